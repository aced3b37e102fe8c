package cosmosfake

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const (
	adminPrefix = "/_admin/"
	// adminHeader carries the account's key in admin requests.
	adminHeader = "x-ms-cosmosfake-key"
)

// adminRequest is the body of POST /_admin/{verb}.
type adminRequest struct {
	Range
	SplitOptions
	LSNs       int64    `json:"lsns"`       // failover: to undo; bump: to take; lag: behind the newest
	Requests   int      `json:"requests"`   // lag: how many feed requests; 0 is until clear-lag
	Ranges     []string `json:"ranges"`     // merge
	Throughput float64  `json:"throughput"` // throughput: RU/s of the container; 0 is without limit
}

// adminVerbs are what other processes may do as the Go methods do. The answer is the state of the ranges afterwards.
func (s *Server) adminVerbs() map[string]func(q adminRequest) (any, error) {
	type verbs = map[string]func(q adminRequest) (any, error)
	return verbs{
		"failover":          func(q adminRequest) (any, error) { return s.Failover(q.Range, q.LSNs) },
		"bump":              func(q adminRequest) (any, error) { return s.Bump(q.Range, q.LSNs) },
		"lag":               func(q adminRequest) (any, error) { return s.Lag(q.Range, q.LSNs, q.Requests) },
		"clear-lag":         func(q adminRequest) (any, error) { return s.ClearLag(q.Range) },
		"hold-events":       func(q adminRequest) (any, error) { return s.HoldEvents(q.Range) },
		"release-events":    func(q adminRequest) (any, error) { return s.ReleaseEvents(q.Range) },
		"split":             func(q adminRequest) (any, error) { return s.Split(q.Range, q.SplitOptions) },
		"merge":             func(q adminRequest) (any, error) { return s.Merge(q.Database, q.Container, q.Ranges...) },
		"ranges":            func(q adminRequest) (any, error) { return s.Ranges(q.Database, q.Container) },
		"fail-region":       func(q adminRequest) (any, error) { return nil, s.FailOverRegion(q.LSNs) },
		"restore-container": func(q adminRequest) (any, error) { return nil, s.RestoreContainer(q.Database, q.Container) },
		"purge": func(q adminRequest) (any, error) {
			if _, err := s.Purge(q.Database, q.Container); err != nil {
				return nil, err
			}
			return s.Ranges(q.Database, q.Container)
		},
		"throughput": func(q adminRequest) (any, error) {
			if err := s.SetThroughput(q.Database, q.Container, q.Throughput); err != nil {
				return nil, err
			}
			return s.Ranges(q.Database, q.Container)
		},
	}
}

// serveAdmin does what the Go methods do, for other processes.
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

func (s *Server) admin(r *http.Request) (any, error) {
	if r.Method != http.MethodPost {
		return nil, methodNotAllowed(r)
	}
	var q adminRequest
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&q); err != nil {
		return nil, badRequest("The body is no admin request: %v.", err)
	}
	verbs := s.adminVerbs()
	do, ok := verbs[strings.TrimPrefix(r.URL.Path, adminPrefix)]
	if !ok {
		known := slices.Sorted(maps.Keys(verbs))
		return nil, badRequest("The admin endpoint knows %s, not %q.", strings.Join(known, ", "), strings.TrimPrefix(r.URL.Path, adminPrefix))
	}
	return do(q)
}
