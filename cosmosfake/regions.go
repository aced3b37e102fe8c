package cosmosfake

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// An account may have a second region, with an endpoint of its own. Its replicas follow those of the region that takes
// writes, until it takes over: then what it did not have yet never was, and its LSNs are used again.

type regionKey struct{}

// regionOf is the region that a request came to: 0 is Options.Region, 1 is Options.SecondRegion.
func regionOf(r *http.Request) int32 {
	n, _ := r.Context().Value(regionKey{}).(int32)
	return n
}

// inRegion tells requests to which region they came.
func (s *Server) inRegion(ctx context.Context, l net.Listener) context.Context {
	if s.second != nil && l.Addr().String() == s.second.Addr().String() {
		return context.WithValue(ctx, regionKey{}, int32(1))
	}
	return ctx
}

// location is a region as the account's document names it.
type location struct {
	Name     string `json:"name"`
	Endpoint string `json:"databaseAccountEndpoint"`
}

// locations are the regions, the one that takes writes first.
func (s *Server) locations(r *http.Request) []location {
	if s.second == nil {
		return []location{{s.options.Region, comeBy(r)}}
	}
	both := []location{{s.options.Region, beside(r, s.listener)}, {s.options.SecondRegion, beside(r, s.second)}}
	both[regionOf(r)].Endpoint = comeBy(r)
	if s.writer.Load() == 1 {
		both[0], both[1] = both[1], both[0]
	}
	return both
}

// beside is the endpoint of a listener for a client: at the name or address by which it came.
func beside(r *http.Request, l net.Listener) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil || strings.EqualFold(host, "localhost") {
		return urlOf(l)
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(l.Addr().(*net.TCPAddr).Port)) + "/"
}

// SecondURL is the endpoint of the second region; "" without one.
func (s *Server) SecondURL() string {
	if s.second == nil {
		return ""
	}
	return urlOf(s.second)
}

// checkRegion refuses a write to the region that takes none, and makes its reads lag.
func (s *Server) checkRegion(r *http.Request, fault *Fault) *Error {
	if s.second == nil || regionOf(r) == s.writer.Load() {
		return nil
	}
	if r.Method != http.MethodGet && !isQuery(r) {
		return &Error{Status: 403, Substatus: 3, Code: "Forbidden", Message: "The requested operation cannot be performed at this region"}
	}
	fault.Behind += s.behind.Load()
	return nil
}

// SetReplication makes the region that takes no writes be n LSNs behind in every range, or as far as that
// remembers.
func (s *Server) SetReplication(n int64) error {
	switch {
	case n < 0:
		return fmt.Errorf("set replication: %d LSNs behind, want 0 or more", n)
	case s.second == nil:
		return fmt.Errorf("set replication: the account has only %s", s.options.Region)
	}
	s.behind.Store(n)
	return nil
}

// FailOverRegion lets the other region take the writes. Every range loses its last n LSNs, or all that it has taken since
// the container was created, and has a higher configuration number. It is an error, and nothing happens, if a range does not
// remember that much.
func (s *Server) FailOverRegion(n int64) error {
	if err := s.failOverRegion(n); err != nil {
		return fmt.Errorf("fail over region: %w", err)
	}
	return nil
}

func (s *Server) failOverRegion(n int64) error {
	switch {
	case s.second == nil:
		return fmt.Errorf("the account has only %s", s.options.Region)
	case n < 0:
		return fmt.Errorf("%d LSNs: want 0 or more", n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*container
	for _, d := range sorted(s.databases) {
		all = append(all, sorted(d.containers)...)
	}
	for _, c := range all {
		defer c.topology.lockAll()()
	}
	for _, c := range all {
		for _, p := range c.partitions() {
			if to := p.newest - p.loses(n); to < p.floor {
				return fmt.Errorf("range %s of %s cannot go back to lsn %d: it remembers from %d on", p.id, c.name, to, p.floor)
			}
		}
	}
	if err := s.keep(&record{Act: &actRecord{Op: actRegion}}); err != nil {
		return err
	}
	s.writer.Store(1 - s.writer.Load())
	for _, c := range all {
		for _, p := range c.partitions() {
			if err := s.failOverRange(c, p, p.loses(n)); err != nil {
				return fmt.Errorf("range %s of %s: %w", p.id, c.name, err)
			}
		}
	}
	return nil
}

// loses is how many LSNs a range loses by a failover that loses n.
func (p *partition) loses(n int64) int64 { return min(n, p.newest-firstLSN) }

// RestoreContainer brings back the last container of this name that was deleted, as a restore into the same account
// does: with the same resource id and documents, and LSNs that begin again; without stored procedures, triggers and
// user-defined functions. Accounts that keep versions can, for as long (Options.Retention).
func (s *Server) RestoreContainer(database, name string) error {
	wrap := func(e *Error) error { return fmt.Errorf("restore %s.%s: %w", database, name, e) }
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.databases[database]
	if !ok {
		return wrap(ownerNotFound())
	}
	now := s.clock.now()
	old := s.dropped[pathOf(database, name)]
	switch {
	case d.containers[name] != nil:
		return wrap(conflict())
	case old == nil || s.overdue(old, now.UnixNano()):
		return wrap(notFound())
	}
	c := old.revive()
	c.ts, c.etag = now.Unix(), s.resourceETag(now.Unix())
	r := c.record()
	r.Restored = true
	if e := s.note(&record{Account: s.accountRecord(), Container: r}, c.entry(nil, OpRestoreContainer, now)); e != nil {
		return wrap(e)
	}
	d.containers[name] = c
	delete(s.dropped, pathOf(database, name))
	return nil
}

// revive is a container that was deleted, with new LSNs.
func (old *container) revive() *container {
	c := &container{
		name: old.name, path: old.path, id: old.id, rid: old.rid, ridBytes: old.ridBytes, self: old.self, key: old.key, hashing: old.hashing,
		body: old.body, rids: old.rids, unique: old.unique,
	}
	c.ttl.seconds.Store(old.ttl.seconds.Load())
	c.throughput.set(old.throughput.get())
	c.topology.begin(nil)
	number := old.topology.now.Load().number + 1 // clients that know the old ranges, by the same resource id, ask again
	c.topology.now.Store(&layout{number: number})
	for _, p := range old.partitions() {
		one := old.join([]*partition{p})
		again := newPartition(p.index, p.span)
		again.parents, again.since = p.parents, number
		again.docs, again.log, again.bytes = one.docs, one.log, one.bytes
		again.newest, again.floor, again.rids = one.newest, one.floor, max(again.rids, p.rids)
		again.events.from = again.newest // no position of before is good
		c.topology.add(again)
	}
	return c
}

// drop remembers a deleted container for RestoreContainer, and lets go of those that cannot be brought back any more. The
// caller holds the server's lock.
func (s *Server) drop(c *container) {
	if s.options.Retention == 0 {
		return
	}
	s.dropped[c.path] = c
	maps.DeleteFunc(s.dropped, func(_ string, old *container) bool { return s.overdue(old, c.dropped) })
}

// overdue tells whether it is too late at a time to bring a container back.
func (s *Server) overdue(c *container, at int64) bool {
	return at-c.dropped > int64(s.options.Retention)
}
