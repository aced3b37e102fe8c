package cosmosfake

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

const (
	adminPrefix = "/_admin/"
	// adminHeader carries the account's key in admin requests.
	adminHeader = "x-ms-cosmosfake-key"
)

// adminRequest is the body of POST /_admin/{failover,bump,lag,clear-lag}.
type adminRequest struct {
	Range
	LSNs     int64 `json:"lsns"`     // failover: to undo; bump: to take; lag: behind the newest
	Requests int   `json:"requests"` // lag: how many feed requests; 0 is until clear-lag
}

// serveAdmin does what the Go methods do, for other processes: the answer is the range's state afterwards.
func (s *Server) serveAdmin(w http.ResponseWriter, r *http.Request) {
	a := s.newAnswer(w)
	if subtle.ConstantTimeCompare([]byte(r.Header.Get(adminHeader)), []byte(s.options.Key)) != 1 {
		a.refuse(&Error{Status: 401, Code: "Unauthorized", Message: "The header " + adminHeader + " does not hold the account's key."})
		return
	}
	switch r.URL.Path {
	case adminPrefix + "dump", adminPrefix + "load":
		if e := s.serveLines(a, r); e != nil {
			a.refuse(e)
		}
		return
	}
	state, err := s.admin(r)
	if err != nil {
		refusal := badRequest("%v", err)
		if e := (*Error)(nil); errors.As(err, &e) {
			refusal.Status, refusal.Substatus, refusal.Code = e.Status, e.Substatus, e.Code
		}
		a.refuse(refusal)
		return
	}
	body, err := json.Marshal(state)
	if err != nil {
		a.refuse(&Error{Status: 500, Code: "InternalServerError", Message: err.Error()})
		return
	}
	a.send(200, body)
}

func (s *Server) admin(r *http.Request) (RangeState, error) {
	if r.Method != http.MethodPost {
		return RangeState{}, methodNotAllowed(r)
	}
	var q adminRequest
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&q); err != nil {
		return RangeState{}, badRequest("The body is no admin request: %v.", err)
	}
	switch verb := strings.TrimPrefix(r.URL.Path, adminPrefix); verb {
	case "failover":
		return s.Failover(q.Range, q.LSNs)
	case "bump":
		return s.Bump(q.Range, q.LSNs)
	case "lag":
		return s.Lag(q.Range, q.LSNs, q.Requests)
	case "clear-lag":
		return s.ClearLag(q.Range)
	default:
		return RangeState{}, badRequest("The admin endpoint knows failover, bump, lag, clear-lag, dump and load, not %q.", verb)
	}
}
