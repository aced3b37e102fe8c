package cosmosfake

import (
	"bytes"
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	adminPrefix = "/_admin/"
	// adminHeader carries the account's key in admin requests.
	adminHeader = "x-ms-cosmosfake-key"
)

// adminRequest is the body of POST /_admin/{verb}: an object with some of these properties, which the verb says.
type adminRequest struct {
	Database  string `json:"database"`
	Container string `json:"container"`
	Range     string `json:"range"`

	LSNs       int64    `json:"lsns"`
	Requests   int      `json:"requests"`
	Ranges     []string `json:"ranges"`
	Throughput float64  `json:"throughput"`
	By         duration `json:"by"`

	At         []string `json:"at"`
	Completing int      `json:"completing"`
	Migrating  int      `json:"migrating"`

	adminFault
}

// at is the range that a request names.
func (q *adminRequest) at() Range { return Range{q.Database, q.Container, q.Range} }

// adminVerb is one of /_admin.
type adminVerb struct {
	knows string // the properties of its body
	do    func(q adminRequest) (any, error)
}

// adminVerbs are what other processes may do as the Go methods do. docs/emulator.md has a row for each.
func (s *Server) adminVerbs() map[string]adminVerb {
	const (
		container = "database container"
		oneRange  = container + " range"
	)
	ranges := func(q adminRequest, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return s.Ranges(q.Database, q.Container)
	}
	return map[string]adminVerb{
		"ranges":         {container, func(q adminRequest) (any, error) { return ranges(q, nil) }},
		"bump":           {oneRange + " lsns", func(q adminRequest) (any, error) { return s.Bump(q.at(), q.LSNs) }},
		"failover":       {oneRange + " lsns", func(q adminRequest) (any, error) { return s.Failover(q.at(), q.LSNs) }},
		"lag":            {oneRange + " lsns requests", func(q adminRequest) (any, error) { return s.Lag(q.at(), q.LSNs, q.Requests) }},
		"clear-lag":      {oneRange, func(q adminRequest) (any, error) { return s.ClearLag(q.at()) }},
		"skew":           {oneRange + " by", func(q adminRequest) (any, error) { return s.Skew(q.at(), time.Duration(q.By)) }},
		"hold-events":    {oneRange, func(q adminRequest) (any, error) { return s.HoldEvents(q.at()) }},
		"release-events": {oneRange, func(q adminRequest) (any, error) { return s.ReleaseEvents(q.at()) }},
		"split": {oneRange + " at completing migrating", func(q adminRequest) (any, error) {
			return s.Split(q.at(), SplitOptions{At: q.At, Completing: q.Completing, Migrating: q.Migrating})
		}},
		"merge": {container + " ranges", func(q adminRequest) (any, error) { return s.Merge(q.Database, q.Container, q.Ranges...) }},
		"purge": {container, func(q adminRequest) (any, error) {
			_, err := s.Purge(q.Database, q.Container)
			return ranges(q, err)
		}},
		"throughput": {container + " throughput", func(q adminRequest) (any, error) {
			return ranges(q, s.SetThroughput(q.Database, q.Container, q.Throughput))
		}},
		"restore-container": {container, func(q adminRequest) (any, error) { return ranges(q, s.RestoreContainer(q.Database, q.Container)) }},
		"fail-region":       {"lsns", func(q adminRequest) (any, error) { return nothing{}, s.FailOverRegion(q.LSNs) }},
		"replication":       {"lsns", func(q adminRequest) (any, error) { return nothing{}, s.SetReplication(q.LSNs) }},
		"advance-clock": {"by", func(q adminRequest) (any, error) {
			now, err := s.Advance(time.Duration(q.By))
			return map[string]time.Time{"now": now}, err
		}},
		"fault": {adminFaultKnows, func(q adminRequest) (any, error) {
			rule, err := q.rule()
			if err == nil {
				err = s.AddFault(rule)
			}
			return s.faultList(), err
		}},
		"faults": {"", func(adminRequest) (any, error) { return s.faultList(), nil }},
		"clear-faults": {"", func(adminRequest) (any, error) {
			s.ClearFaults()
			return s.faultList(), nil
		}},
	}
}

// nothing is the answer {}.
type nothing struct{}

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
		a.refuse(refusalOf(err))
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
	name := strings.TrimPrefix(r.URL.Path, adminPrefix)
	verbs := s.adminVerbs()
	verb, ok := verbs[name]
	if !ok {
		return nil, badRequest("The admin endpoint knows POST %s, load and GET dump, not %q.", strings.Join(slices.Sorted(maps.Keys(verbs)), ", "), name)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 64<<10))
	if err != nil {
		return nil, badRequest("The body of %s cannot be read: %v.", name, err)
	}
	q, err := verb.read(body)
	if err != nil {
		return nil, badRequest("The body of %s is invalid: %v.", name, err)
	}
	return verb.do(q)
}

// read takes a body, which may be empty.
func (v adminVerb) read(body []byte) (q adminRequest, _ error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return q, nil
	}
	var sent map[string]json.RawMessage
	if err := json.Unmarshal(body, &sent); err != nil {
		return q, err
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if known := strings.Fields(v.knows); !slices.Contains(known, name) {
			return q, fmt.Errorf("it has %q, and may have %s", name, cmp.Or(strings.Join(known, ", "), "no property"))
		}
	}
	return q, json.Unmarshal(body, &q)
}
