package cosmosfake

import (
	"net/http"
	"strconv"
	"strings"
)

// sessionToken is what a client saw of a range: `range:config#lsn#region=lsn…`, or in the older form `range:lsn`.
type sessionToken struct {
	rangeID string
	lsn     int64
}

func parseSession(text string) (sessionToken, bool) {
	id, rest, ok := strings.Cut(text, ":")
	parts := strings.Split(rest, "#")
	number := parts[0]
	for i, part := range parts[min(1, len(parts)):] {
		if i == 0 {
			ok = ok && isInteger(parts[0]) // the configuration number
			number = part
			continue
		}
		name, lsn, both := strings.Cut(part, "=")
		ok = ok && both && isInteger(name) && isInteger(lsn)
	}
	lsn, err := strconv.ParseInt(number, 10, 64)
	return sessionToken{id, lsn}, ok && err == nil && id != ""
}

func isInteger(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return err == nil
}

// readSession reads the session tokens of a request, several joined by commas (the text of the refusal is that of
// azure-cosmos-dotnet-v3, RMResources.InvalidSessionToken).
func readSession(r *http.Request) ([]sessionToken, *Error) {
	text := r.Header.Get("x-ms-session-token")
	if text == "" {
		return nil, nil
	}
	var list []sessionToken
	for one := range strings.SplitSeq(text, ",") {
		token, ok := parseSession(strings.TrimSpace(one))
		if !ok {
			return nil, badRequest("The session token provided '%s' is invalid.", one)
		}
		list = append(list, token)
	}
	return list, nil
}

// sessionOf is the LSN of a range that a read's session has seen; 0 is none.
func sessionOf(r *http.Request, rangeID string) (int64, *Error) {
	list, e := readSession(r)
	var seen int64
	for _, token := range list {
		if token.rangeID == rangeID {
			seen = max(seen, token.lsn)
		}
	}
	return seen, e
}

// sessionNotAvailable refuses a read by a session that is ahead of the range, as after a failover that lost writes.
func sessionNotAvailable(r *http.Request, at position) *Error {
	return &Error{
		Status: 404, Substatus: 1002, Code: "NotFound",
		Message: "The read session is not available for the input session token " + r.Header.Get("x-ms-session-token") + ": the range is at " + at.session() + ".",
	}
}
