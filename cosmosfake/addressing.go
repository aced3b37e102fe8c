package cosmosfake

import "strings"

// byName turns a path whose databases and containers are addressed by resource id, as the Java SDK addresses /pkranges,
// into the same with names. What is signed is then the id of the innermost resource, in lower case (REST reference,
// access control). Names go first: an account may have a database whose name is another's resource id. Scripts and
// items are addressed by name only.
func (s *Server) byName(p path) path {
	if len(p.names) == 0 || !strings.HasPrefix(p.shape, "dbs") {
		return p
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.databases[p.names[0]] != nil {
		return p
	}
	for _, d := range s.databases {
		if d.rid != p.names[0] {
			continue
		}
		named := p
		named.names = append([]string{d.id}, p.names[1:]...)
		named.link = strings.ToLower(d.rid)
		if len(p.names) == 1 {
			return named
		}
		for _, c := range d.containers {
			if c.rid == p.names[1] && len(p.names) == 2 {
				named.names[1], named.link = c.id, strings.ToLower(c.rid)
				return named
			}
		}
	}
	return p
}

// nameOwner names the database of a container in an answer: the Java SDK makes the container's path of it.
func (s *Server) nameOwner(a *answer, database string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d := s.databases[database]; d != nil {
		a.set("x-ms-alt-content-path", "dbs/"+d.id)
		a.set("x-ms-content-path", d.rid)
	}
}
