package cosmosfake

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// path is a request's place in the resource tree, `/dbs/{db}/colls/{coll}/docs/{id}` or a part of it.
type path struct {
	names []string // of database, container, item: as many as the path has
	kind  string   // the type that is signed: "", dbs, colls, docs, pkranges, …
	link  string   // the link that is signed
	feed  bool     // the path ends with a type: all resources of that type
	shape string   // the types along the path, such as "dbs/colls/docs"

	segments []string // as they were sent
}

func parsePath(segments []string) path {
	var p path
	if len(segments) == 0 {
		return p
	}
	kinds := make([]string, 0, 3)
	for i, segment := range segments {
		if i%2 == 1 {
			p.names = append(p.names, segment)
		} else {
			kinds = append(kinds, segment)
		}
	}
	p.segments = segments
	p.shape = strings.Join(kinds, "/")
	p.feed = len(segments)%2 == 1
	p.kind = kinds[len(kinds)-1]
	linked := segments
	if p.feed {
		linked = segments[:len(segments)-1]
	}
	p.link = strings.Join(linked, "/")
	if p.shape == "offers" && !p.feed {
		p.link = strings.ToLower(p.names[0]) // addressed by resource id alone (REST reference, access control)
	}
	return p
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	admin := strings.HasPrefix(r.URL.Path, adminPrefix)
	var (
		fault Fault
		e     *Error
	)
	if !admin {
		fault, e = s.meet(r)
	}
	if !s.gate.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.gate.leave()
	if admin {
		s.serveAdmin(w, r)
		return
	}
	switch {
	case e != nil:
		drain(r)
		s.newAnswer(w).refuse(e)
	case fault.Drop == DropAfter:
		s.serveAccount(nowhere{make(http.Header)}, r, fault)
		panic(http.ErrAbortHandler)
	case fault.Tear != 0:
		t := &torn{ResponseWriter: w, left: max(fault.Tear, 0)}
		s.serveAccount(t, r, fault)
		t.end()
	default:
		s.serveAccount(w, r, fault)
	}
}

func (s *Server) serveAccount(w http.ResponseWriter, r *http.Request, fault Fault) {
	a := s.newAnswer(w)
	defer a.recover()
	a.ahead = fault.Date
	segments, e := gatewayOf(r).segments(r.URL.EscapedPath())
	p := s.byName(parsePath(segments))
	if e == nil {
		e = p.unknown()
	}
	if e == nil {
		e = s.authorize(r, p)
	}
	if e == nil {
		e = fault.refusal()
	}
	if e == nil {
		e = s.checkRegion(r, &fault)
	}
	if e == nil {
		e = s.route(a, r, p, fault)
	}
	if e != nil {
		drain(r)
		a.refuse(e)
	}
}

// maxDrained is how much of a body is read only to be able to answer.
const maxDrained = 64 << 20

// drain reads what a client is still sending: most read no answer before they have sent all, and see a connection that
// broke instead.
func drain(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, maxDrained) }

// route calls the handler of the path's shape. A handler answers or returns why not.
func (s *Server) route(a *answer, r *http.Request, p path, fault Fault) *Error {
	switch p.shape {
	case "":
		return s.readAccount(a, r)
	case "dbs":
		return s.serveDatabase(a, r, p)
	case "dbs/colls":
		s.nameOwner(a, p.names[0])
		return s.serveContainer(a, r, p)
	case "offers":
		return s.serveOffers(a, r, p)
	case "dbs/colls/pkranges", "dbs/colls/docs", "dbs/colls/sprocs", "dbs/colls/udfs", "dbs/colls/triggers", "dbs/colls/operations":
		c, e := s.container(p.names[0], p.names[1])
		if e != nil {
			return ownerNotFound()
		}
		if want := r.Header.Get("x-ms-cosmos-intended-collection-rid"); want != "" && want != c.rid {
			return &Error{
				Status: 400, Substatus: 1024, Code: "BadRequest",
				Message: "The container " + p.names[1] + " has the resource id " + c.rid + ", not the intended " + want + ".",
			}
		}
		// Clients keep session tokens by these.
		a.set("x-ms-alt-content-path", c.path)
		a.set("x-ms-content-path", c.rid)
		e = checkHeaders(r, p)
		switch {
		case e != nil:
			return e
		case p.kind == "operations":
			return s.deleteKey(a, r, c)
		case p.kind == "pkranges":
			return s.readRanges(a, r, p, c, fault)
		case p.kind != "docs":
			return s.serveScripts(a, r, p, c)
		case p.feed:
			return s.serveItems(a, r, c, fault)
		default:
			return s.serveItem(a, r, c, p.names[2], fault)
		}
	}
	return notHere("resources of type " + p.shape)
}

// unknown refuses what this emulator leaves out before anybody asks who sent it: clients sign such requests each in its
// own way. Below /docs and the like an id with a slash may stand, so there the signature decides.
func (p path) unknown() *Error {
	kinds := strings.Split(p.shape, "/")
	switch {
	case kinds[0] == "addresses":
		return notHere("direct mode, which asks for /addresses; use gateway mode: " +
			"Java gatewayMode(), .NET ConnectionMode = ConnectionMode.Gateway")
	case !slices.Contains([]string{"", "dbs", "offers"}, kinds[0]),
		kinds[0] == "offers" && len(kinds) > 1,
		len(kinds) > 1 && kinds[1] != "colls",
		len(kinds) > 2 && !slices.Contains([]string{"docs", "pkranges", "sprocs", "udfs", "triggers", "operations"}, kinds[2]),
		len(kinds) > 3 && kinds[2] == "docs" && kinds[3] == "attachments":
		return notHere("resources of the type " + strconv.Quote(p.kind) + ", as in the path /" + strings.Join(p.segments, "/"))
	case len(kinds) > 2 && kinds[2] == "operations" && (p.feed || len(kinds) > 3 || p.names[2] != deletionOfKey):
		return notHere("the operation in the path /" + strings.Join(p.segments, "/") + ", only " + deletionOfKey)
	}
	return nil
}

// checkHeaders refuses headers of requests for items that would otherwise be ignored, and change what is done.
func checkHeaders(r *http.Request, p path) *Error {
	if p.kind != "docs" {
		return nil
	}
	for _, header := range []string{"x-ms-documentdb-pre-trigger-include", "x-ms-documentdb-post-trigger-include"} {
		if name := r.Header.Get(header); name != "" {
			return notHere("the execution of triggers; it keeps them as documents, and the header " + header + " names " + strconv.Quote(name))
		}
	}
	if r.Method != http.MethodGet && !isQuery(r) {
		return nil
	}
	_, e := readSession(r)
	return e
}

func methodNotAllowed(r *http.Request) *Error {
	return &Error{Status: 405, Code: "MethodNotAllowed", Message: "cosmosfake does not implement " + r.Method + " here."}
}

func isTrue(r *http.Request, header string) bool {
	return strings.EqualFold(r.Header.Get(header), "true")
}
