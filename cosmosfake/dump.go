package cosmosfake

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Dump writes the documents of a container at one moment, one line each, range by range in the order of their LSNs, without what the
// service adds. A document's bytes are kept, but that a line break between its tokens becomes a blank.
func (s *Server) Dump(database, container string, w io.Writer) error {
	c, e := s.container(database, container)
	if e != nil {
		return fmt.Errorf("dump %s.%s: %w", database, container, e)
	}
	out := bufio.NewWriter(w)
	lives := c.lives(s.clock.now())
	for _, list := range c.live(lives) {
		for _, v := range list {
			line := bytes.ReplaceAll(v.body, []byte{'\n'}, []byte{' '})
			if _, err := out.Write(append(bytes.Clone(line), '\n')); err != nil {
				return fmt.Errorf("dump %s.%s: %w", database, container, err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("dump %s.%s: %w", database, container, err)
	}
	return nil
}

// live are the documents of all ranges at one moment.
func (c *container) live(lives func(*version) bool) [][]*version {
	unlock := c.topology.lockAll()
	defer unlock()
	var all [][]*version
	for _, p := range c.partitions() {
		var list []*version
		for _, s := range p.log {
			if s.v != nil && s.v.end == 0 && (lives == nil || lives(s.v)) {
				list = append(list, s.v)
			}
		}
		all = append(all, list)
	}
	return all
}

// Load upserts documents, one line each, into a container that exists, and answers how many. Each is a transaction of
// its own, in the order of the lines; those before a line that is refused stay. What the service adds is left out, so
// a list of documents as a client read them can be loaded too.
func (s *Server) Load(database, container string, r io.Reader) (int, error) {
	c, e := s.container(database, container)
	if e != nil {
		return 0, fmt.Errorf("load %s.%s: %w", database, container, e)
	}
	var scan schemas.Document
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxItem+1024)
	loaded, number := 0, 0
	for lines.Scan() {
		number++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := s.loadOne(c, &scan, bytes.Clone(line)); err != nil {
			return loaded, fmt.Errorf("load %s.%s: line %d: %w", database, container, number, err)
		}
		loaded++
	}
	if err := lines.Err(); err != nil {
		return loaded, fmt.Errorf("load %s.%s: line %d: %w", database, container, number+1, err)
	}
	return loaded, nil
}

func (s *Server) loadOne(c *container, scan *schemas.Document, line []byte) error {
	doc, e := s.parseDocument(c, scan, line)
	if e != nil {
		return e
	}
	_, epk, err := c.hashing.parse(c.key, doc.pk)
	if err != nil {
		return fmt.Errorf("hash partition key: %w", err)
	}
	t, e := s.begin(c, epk, priorityHigh)
	if e != nil {
		return e
	}
	if _, e := t.do(&operation{verb: verbUpsert, doc: doc, key: doc.key}); e != nil {
		t.abort()
		return e
	}
	if _, e := t.commit(); e != nil {
		return e
	}
	return nil
}

// serveLines answers GET /_admin/dump and POST /_admin/load, which name the container by the parameters database and
// container and carry documents, one line each.
func (s *Server) serveLines(a *answer, r *http.Request) *Error {
	database, container := r.URL.Query().Get("database"), r.URL.Query().Get("container")
	var (
		dumped bytes.Buffer
		loaded int
		err    error
	)
	switch {
	case r.Method == http.MethodGet && r.URL.Path == adminPrefix+"dump":
		err = s.Dump(database, container, &dumped)
		a.set("Content-Type", "application/x-ndjson")
	case r.Method == http.MethodPost && r.URL.Path == adminPrefix+"load":
		loaded, err = s.Load(database, container, r.Body)
		fmt.Fprintf(&dumped, `{"loaded":%d}`, loaded)
	default:
		return methodNotAllowed(r)
	}
	if err != nil {
		return refusalOf(err)
	}
	a.send(http.StatusOK, dumped.Bytes())
	return nil
}
