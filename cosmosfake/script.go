package cosmosfake

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// script is a stored procedure, user-defined function or trigger: a document that is kept and never executed. It is
// guarded by the server's lock.
type script struct {
	id     string
	number uint64
	body   []byte // as it was sent, without system properties
	etag   string
	ts     int64
}

// scriptKind is a type of scripts: its list's name, and the bits that tell its resource ids from documents'.
type scriptKind struct {
	list string
	bits uint64
}

func scriptKinds() map[string]scriptKind {
	return map[string]scriptKind{
		"sprocs":   {"StoredProcedures", 8 << 60},
		"triggers": {"Triggers", 7 << 60},
		"udfs":     {"UserDefinedFunctions", 6 << 60},
	}
}

func (c *container) scriptJSON(kind string, one *script) []byte {
	var rid [ridSize]byte
	c.putRID(&rid, one.number|scriptKinds()[kind].bits)
	return spliceResource(one.body, fmt.Sprintf(`"_rid":%q,"_self":%q,"_etag":%s,"_ts":%d`,
		rid[:], c.self+kind+"/"+string(rid[:])+"/", quote(one.etag), one.ts))
}

// serveScripts answers requests for sprocs, udfs and triggers (REST reference): create, list, query, read, replace,
// delete. Executing a stored procedure is refused.
func (s *Server) serveScripts(a *answer, r *http.Request, p path, c *container) *Error {
	kind := p.kind
	var (
		out reply
		e   *Error
	)
	switch {
	case p.feed && isQuery(r):
		return s.queryResources(a, r, s.listScripts(c, kind))
	case p.feed && r.Method == http.MethodGet:
		return a.page(r, s.listScripts(c, kind))
	case p.feed && r.Method == http.MethodPost:
		out, e = s.createScript(r, c, kind)
	case p.feed:
		return methodNotAllowed(r)
	case r.Method == http.MethodPost && kind == "sprocs":
		return notHere("the execution of stored procedures; it keeps them as documents")
	case r.Method == http.MethodGet:
		out, e = s.readScript(c, kind, p.names[2])
	case r.Method == http.MethodPut:
		out, e = s.replaceScript(r, c, kind, p.names[2])
	case r.Method == http.MethodDelete:
		out, e = s.deleteScript(r, c, kind, p.names[2])
	default:
		return methodNotAllowed(r)
	}
	return a.reply(out.unless(r), e)
}

func (s *Server) listScripts(c *container, kind string) reply {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([][]byte, 0, len(c.scripts[kind]))
	for _, one := range sorted(c.scripts[kind]) {
		list = append(list, c.scriptJSON(kind, one))
	}
	return listReply(c.rid, scriptKinds()[kind].list, list)
}

func (s *Server) readScript(c *container, kind, id string) (reply, *Error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	one := c.scripts[kind][id]
	if one == nil {
		return reply{}, notFound()
	}
	return reply{status: 200, etag: one.etag, body: c.scriptJSON(kind, one)}, nil
}

// readScriptBody reads what a client sends for a script of a kind.
func readScriptBody(r *http.Request, kind string) (id string, body []byte, _ *Error) {
	id, body, e := readDefinition(r)
	if e != nil {
		return "", nil, e
	}
	var sent struct {
		Body      *string `json:"body"`
		Operation *string `json:"triggerOperation"`
		Type      *string `json:"triggerType"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return "", nil, badRequest("The input content is invalid: %v.", err)
	}
	missing := ""
	switch {
	case sent.Body == nil:
		missing = "body"
	case kind == "triggers" && sent.Operation == nil:
		missing = "triggerOperation"
	case kind == "triggers" && sent.Type == nil:
		missing = "triggerType"
	}
	if missing != "" {
		return "", nil, badRequest("The input content is invalid because the required properties - '%s; ' - are missing.", missing)
	}
	return id, body, nil
}

func (s *Server) createScript(r *http.Request, c *container, kind string) (reply, *Error) {
	id, body, e := readScriptBody(r, kind)
	if e != nil {
		return reply{}, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.scripts[kind][id] != nil {
		return reply{}, conflict()
	}
	c.rids++
	now := s.clock.now()
	one := &script{id: id, number: c.rids, body: body, ts: now.Unix(), etag: s.resourceETag(now.Unix())}
	c.keep(kind, one)
	return reply{status: 201, etag: one.etag, body: c.scriptJSON(kind, one)}, nil
}

// keep adds a script.
func (c *container) keep(kind string, one *script) {
	if c.scripts == nil {
		c.scripts = make(map[string]map[string]*script)
	}
	if c.scripts[kind] == nil {
		c.scripts[kind] = make(map[string]*script)
	}
	c.scripts[kind][one.id] = one
}

func (s *Server) replaceScript(r *http.Request, c *container, kind, id string) (reply, *Error) {
	sent, body, e := readScriptBody(r, kind)
	if e != nil {
		return reply{}, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := c.scripts[kind][id]
	switch {
	case one == nil:
		return reply{}, notFound()
	case sent != id && c.scripts[kind][sent] != nil:
		return reply{}, conflict()
	}
	if e := checkMatch(r.Header.Get("If-Match"), one.etag); e != nil {
		return reply{}, e
	}
	now := s.clock.now()
	delete(c.scripts[kind], id)
	one.id, one.body, one.ts, one.etag = sent, body, now.Unix(), s.resourceETag(now.Unix())
	c.scripts[kind][sent] = one
	return reply{status: 200, etag: one.etag, body: c.scriptJSON(kind, one)}, nil
}

func (s *Server) deleteScript(r *http.Request, c *container, kind, id string) (reply, *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := c.scripts[kind][id]
	if one == nil {
		return reply{}, notFound()
	}
	if e := checkMatch(r.Header.Get("If-Match"), one.etag); e != nil {
		return reply{}, e
	}
	delete(c.scripts[kind], id)
	return reply{status: http.StatusNoContent}, nil
}
