package cosmosfake

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
)

// isQuery tells a query from a creation: both are POST to a list.
func isQuery(r *http.Request) bool {
	return r.Method == http.MethodPost && (isTrue(r, "x-ms-documentdb-isquery") || isTrue(r, "x-ms-documentdb-query") ||
		isTrue(r, "x-ms-cosmos-is-query-plan-request") || strings.HasPrefix(r.Header.Get("Content-Type"), "application/query+json"))
}

// readQuery compiles the body of a query, {"query", "parameters"}.
func readQuery(r *http.Request) (*sql.Statement, *Error) {
	raw, e := readBody(r)
	if e != nil {
		return nil, e
	}
	var sent struct {
		Query      string          `json:"query"`
		Parameters []sql.Parameter `json:"parameters"`
	}
	if err := json.Unmarshal(raw, &sent); err != nil {
		return nil, badRequest("The query's body is invalid: %v.", err)
	}
	return compile(sent.Query, sent.Parameters)
}

func compile(query string, parameters []sql.Parameter) (*sql.Statement, *Error) {
	q, err := sql.Compile(query, parameters)
	if err != nil {
		return nil, invalidQuery(err)
	}
	return q, nil
}

// invalidQuery words an error as the service does.
func invalidQuery(err error) *Error {
	type place struct {
		Start int `json:"start"`
		End   int `json:"end"`
	}
	said := struct {
		Severity string `json:"severity"`
		Location *place `json:"location,omitempty"`
		Code     any    `json:"code,omitempty"`
		Message  string `json:"message"`
	}{Severity: "Error", Message: err.Error()}
	var e *sql.Error
	if errors.As(err, &e) {
		said.Message = e.Message
		if n, err := strconv.Atoi(e.Code); err == nil {
			said.Code = n
		} else if e.Code != "" {
			said.Code = e.Code
		}
		if e.End > 0 {
			said.Location = &place{e.Start, e.End}
		}
	}
	text, failed := json.Marshal(map[string]any{"errors": []any{said}})
	if failed != nil { // texts always encode
		panic(failed)
	}
	return badRequest("Message: %s", text)
}

// queryResources runs a query over databases, containers, scripts or offers.
func (s *Server) queryResources(a *answer, r *http.Request, whole reply) *Error {
	q, e := readQuery(r)
	if e != nil {
		return e
	}
	rows, err := q.At(s.clock.now()).Run(whole.list.all)
	if err != nil {
		return invalidQuery(err)
	}
	return a.page(r, listReply(whole.list.rid, whole.list.name, rows))
}

// serveQuery runs a query over items: those of one partition key or of the keys that begin with it, of one physical
// range, or of the container (REST reference, "Query Documents").
func (s *Server) serveQuery(a *answer, r *http.Request, c *container, fault Fault) *Error {
	q, e := readQuery(r)
	if e != nil {
		return e
	}
	q = q.At(s.clock.now())
	planned := isTrue(r, "x-ms-cosmos-is-query-plan-request")
	if !planned && !q.ReadsDocuments() {
		return answerConstant(a, r, c, q)
	}
	if planned {
		body, err := queryPlan(q, r.Header.Get("x-ms-cosmos-supported-query-features"))
		if err != nil {
			return invalidQuery(err)
		}
		return a.reply(reply{status: http.StatusOK, body: body}, nil)
	}
	limit, e := readLimit(r)
	if e != nil {
		return e
	}
	now := s.clock.now()
	for !c.topology.deleted.Load() {
		scope, e := scopeOf(r, c, q)
		if e != nil {
			return e
		}
		scope.lives, scope.fault, scope.byRID = c.lives(now), fault, s.options.Scan == ScanByRID
		if e := scope.admit(now, priorityOf(r)); e != nil {
			return e
		}
		found, e := scope.run(q, limit)
		if e != nil {
			return e
		}
		if found.gone {
			continue // a range was split or merged meanwhile
		}
		scope.spend(found.charge())
		found.answer(a, r, c)
		return nil
	}
	return ownerNotFound()
}
