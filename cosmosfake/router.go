package cosmosfake

import (
	"net/http"
	"strings"
)

// path is a request's place in the resource tree, `/dbs/{db}/colls/{coll}/docs/{id}` or a part of it.
type path struct {
	names []string // of database, container, item: as many as the path has
	kind  string   // the type that is signed: "", dbs, colls, docs, pkranges, …
	link  string   // the link that is signed
	feed  bool     // the path ends with a type: all resources of that type
	shape string   // the types along the path, such as "dbs/colls/docs"
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
	var fault Fault
	if !admin {
		fault = s.fault(r)
	}
	if !s.gate.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.gate.leave()
	if admin {
		s.serveAdmin(w, r)
		return
	}
	if fault.Drop == DropAfter {
		s.serveAccount(nowhere{make(http.Header)}, r, fault)
		panic(http.ErrAbortHandler)
	}
	s.serveAccount(w, r, fault)
}

func (s *Server) serveAccount(w http.ResponseWriter, r *http.Request, fault Fault) {
	a := s.newAnswer(w)
	a.ahead = fault.Date
	segments, e := gatewayOf(r).segments(r.URL.EscapedPath())
	p := s.byName(parsePath(segments))
	if e == nil {
		e = s.authorize(r, p)
	}
	if e == nil && fault.Status != 0 {
		e = &Error{Status: fault.Status, Substatus: fault.Substatus, Code: http.StatusText(fault.Status), Message: fault.Message}
	}
	if e == nil {
		e = s.checkRegion(r, &fault)
	}
	if e == nil {
		e = s.route(a, r, p, fault)
	}
	if e != nil {
		a.refuse(e)
	}
}

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
	case "dbs/colls/pkranges", "dbs/colls/docs", "dbs/colls/sprocs", "dbs/colls/udfs", "dbs/colls/triggers":
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
		switch {
		case p.kind == "pkranges":
			return s.readRanges(a, r, p, c, fault)
		case p.kind != "docs":
			return s.serveScripts(a, r, p, c)
		case p.feed:
			return s.serveItems(a, r, c, fault)
		default:
			return s.serveItem(a, r, c, p.names[2])
		}
	}
	return notHere("resources of type " + p.shape)
}

func methodNotAllowed(r *http.Request) *Error {
	return &Error{Status: 405, Code: "MethodNotAllowed", Message: "cosmosfake does not implement " + r.Method + " here."}
}

func isTrue(r *http.Request, header string) bool {
	return strings.EqualFold(r.Header.Get(header), "true")
}
