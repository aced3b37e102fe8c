package cosmosfake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far a request's date may be from the service's time (REST reference, access control).
const maxSkew = 15 * time.Minute

const unauthorized = "The input authorization token can't serve the request. The wrong key is being used or the " +
	"expected payload is not built as per the protocol. For more info: https://aka.ms/cosmosdb-tsg-unauthorized. " +
	"Server used the following payload to sign: "

// authorize verifies the master-key signature of a request (REST reference, "Access control on Cosmos DB resources").
func (s *Server) authorize(r *http.Request, p path) *Error {
	token, err := url.QueryUnescape(r.Header.Get("Authorization"))
	if err != nil || token == "" {
		return &Error{Status: 401, Code: "Unauthorized", Message: "Required Header authorization is missing or malformed. Ensure a valid Authorization token is passed."}
	}
	parts := make(map[string]string, 3)
	for part := range strings.SplitSeq(token, "&") {
		name, value, _ := strings.Cut(part, "=")
		parts[name] = value
	}
	switch {
	case parts["ver"] != "1.0":
		return &Error{Status: 401, Code: "Unauthorized", Message: "The authorization token's version is " + strconv.Quote(parts["ver"]) + ", want 1.0."}
	case parts["type"] == "aad":
		return s.authorizeIdentity(r, p, parts["sig"])
	case parts["type"] != "master":
		return &Error{Status: 401, Code: "Unauthorized", Message: "cosmosfake knows tokens of the types master and aad, not " + strconv.Quote(parts["type"]) + "."}
	}
	date := r.Header.Get("x-ms-date")
	if date == "" {
		date = r.Header.Get("Date")
	}
	payload, ok := s.signed(r, p, date, parts["sig"])
	if !ok {
		return &Error{Status: 401, Code: "Unauthorized", Message: unauthorized + "'" + payload + "'"}
	}
	if s.options.Clock != nil {
		return nil
	}
	at, err := http.ParseTime(date)
	if err != nil {
		return &Error{Status: 401, Code: "Unauthorized", Message: "The x-ms-date header '" + date + "' is not in RFC 1123 form."}
	}
	if skew := s.clock.outside().Sub(at); skew > maxSkew || skew < -maxSkew {
		return &Error{Status: 403, Code: "Forbidden", Message: "The authorization token is not valid at the current time. " +
			"Please create another token and retry (token start time: " + date + ", current time: " + dateOf(s.clock.outside()) + ")."}
	}
	return nil
}

// signed tells whether the key made a signature, and of what it must have made it.
func (s *Server) signed(r *http.Request, p path, date, signature string) (payload string, _ bool) {
	sent, err := base64.StdEncoding.DecodeString(signature)
	for _, of := range p.signatures() {
		payload = strings.ToLower(r.Method) + "\n" + of[0] + "\n" + of[1] + "\n" + strings.ToLower(date) + "\n\n"
		mac := hmac.New(sha256.New, s.key)
		mac.Write([]byte(payload))
		if err == nil && hmac.Equal(sent, mac.Sum(nil)) {
			return payload, true
		}
	}
	return payload, false
}

// signatures are the type and the link that a request is signed with. Of a deletion by partition key clients know two
// types, and with and without the rest of the path.
func (p path) signatures() [][2]string {
	if p.shape != "dbs/colls/operations" {
		return [][2]string{{p.kind, p.link}}
	}
	of := pathOf(p.names[0], p.names[1])
	return [][2]string{{"colls", of}, {"colls", p.link}, {"partitionkey", p.link}, {"partitionkey", of}}
}
