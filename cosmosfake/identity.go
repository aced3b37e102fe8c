package cosmosfake

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// authorizeIdentity verifies an Entra ID token as Microsoft's emulator does: a JWT within its times whose third part is
// the account's key in base64url, as whoever knows the key can write one. Roles of the data plane do not reach
// definitions, scripts and offers.
func (s *Server) authorizeIdentity(r *http.Request, p path, token string) *Error {
	refuse := func(why string) *Error {
		return &Error{Status: 401, Code: "Unauthorized", Message: "The Entra ID token is refused: " + why + "."}
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return refuse("it is no JWT of three parts")
	}
	if subtle.ConstantTimeCompare([]byte(parts[2]), []byte(base64.RawURLEncoding.EncodeToString([]byte(s.options.Key)))) != 1 {
		return refuse("its third part is not the account's key in base64url")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return refuse("its payload is not base64url")
	}
	var claims struct {
		NotBefore int64 `json:"nbf"`
		Expires   int64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return refuse("its payload is no JSON object with nbf and exp")
	}
	now := s.clock.outside()
	if now.Add(maxSkew).Before(time.Unix(claims.NotBefore, 0)) || now.Add(-maxSkew).After(time.Unix(claims.Expires, 0)) {
		return refuse("it is not valid at " + dateOf(now))
	}
	return dataPlane(r, p)
}

// dataPlane refuses what no role of the data plane allows (service documentation, "data plane role-based access").
func dataPlane(r *http.Request, p path) *Error {
	switch {
	case p.shape == "dbs/colls/docs", p.shape == "dbs/colls/pkranges", p.shape == "":
		return nil
	case (p.shape == "dbs" || p.shape == "dbs/colls") && r.Method == http.MethodGet:
		return nil
	}
	return &Error{
		Status: 403, Substatus: 5300, Code: "Forbidden",
		Message: "The given request [" + r.Method + " " + r.URL.Path + "] cannot be authorized by AAD token in data plane. Learn more: https://aka.ms/cosmos-native-rbac.",
	}
}
