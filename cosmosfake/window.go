package cosmosfake

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/cosmos-almanac/almanac/schemas"
)

// window is the part of a container that a feed request asks for: a physical range, a span of effective partition
// keys within one, or one partition key or the first levels of one.
type window struct {
	id   string // of the range; "" is found by the rest
	span *schemas.FeedRange
	pk   string // canonical
	keep func(*version) bool
}

// narrow tells whether it says itself where in the key space it lies.
func (w window) narrow() bool { return w.span != nil || w.pk != "" }

func readWindow(r *http.Request, c *container) (window, *Error) {
	w := window{id: rangeIDOf(r)}
	if text := r.Header.Get("x-ms-documentdb-partitionkey"); text != "" {
		return w, w.readKey(c, text)
	}
	span, e := readSpan(r)
	if span != nil {
		w.within(c, *span)
	}
	return w, e
}

// rangeIDOf is the physical range that a request names; "" is none.
func rangeIDOf(r *http.Request) string {
	text := r.Header.Get("x-ms-documentdb-partitionkeyrangeid")
	if _, id, ok := strings.Cut(text, ","); ok { // rid,range: the form of older clients
		return id
	}
	return text
}

// readSpan reads the effective partition keys that a request names; nil is none.
func readSpan(r *http.Request) (*schemas.FeedRange, *Error) {
	lower, upper := r.Header.Get("x-ms-start-epk"), r.Header.Get("x-ms-end-epk")
	if lower == "" && upper == "" {
		return nil, nil
	}
	if kind := r.Header.Get("x-ms-read-key-type"); !strings.EqualFold(kind, "EffectivePartitionKeyRange") {
		return nil, badRequest("x-ms-read-key-type is %q with x-ms-start-epk and x-ms-end-epk, want EffectivePartitionKeyRange.", kind)
	}
	span := schemas.FeedRange{Min: strings.ToUpper(lower), Max: strings.ToUpper(upper)}
	if upper == "" {
		span.Max = schemas.MaxEPK
	}
	if err := span.Validate(); err != nil {
		return nil, badRequest("x-ms-start-epk and x-ms-end-epk: %v.", err)
	}
	return &span, nil
}

// within keeps what lies in a span.
func (w *window) within(c *container, span schemas.FeedRange) {
	w.span = &span
	w.keep = func(v *version) bool { return span.Contains(c.hashing.epk(c.key, v.pk())) }
}

// readKey reads a partition key, of which levels may be missing at the end.
func (w *window) readKey(c *container, text string) *Error {
	pk, epk, err := c.hashing.parse(c.key, []byte(text))
	if err == nil {
		w.pk = pk
		w.span = &schemas.FeedRange{Min: schemas.HexEPK(epk), Max: schemas.HexEPK(epk) + "FF"}
		w.keep = func(v *version) bool { return v.pk() == pk }
		return nil
	}
	for levels := 1; c.key.Multi && levels < len(c.key.Paths); levels++ {
		first := schemas.KeyDefinition{Paths: c.key.Paths[:levels], Multi: true}
		if _, epk, short := first.ParsePartitionKey([]byte(text)); short == nil {
			// Hashes of the levels below begin with 00 to 3F.
			w.within(c, schemas.FeedRange{Min: schemas.HexEPK(epk), Max: schemas.HexEPK(epk) + schemas.MaxEPK})
			return nil
		}
	}
	return badRequest("Partition key %s is invalid: %v.", text, err)
}

// lockWindow locks the range of a feed request. The caller unlocks it.
func (s *Server) lockWindow(r *http.Request, c *container, w window) (*partition, *Error) {
	id := w.id
	if id == "" {
		var e *Error
		if id, e = c.rangeOf(w); e != nil {
			return nil, e
		}
	}
	p, e := c.lockRange(id)
	if e != nil {
		return nil, e
	}
	e = p.settled()
	switch {
	case e != nil:
	case w.span != nil && !p.span.Overlaps(*w.span):
		e = rangeGone(id)
	default:
		e = c.admit(p, s.clock.now(), priorityOf(r))
	}
	if e != nil {
		p.mu.Unlock()
		return nil, e
	}
	return p, nil
}

// settled refuses requests to a range that comes from a split, as many as SplitOptions say. The caller holds the lock.
func (p *partition) settled() *Error {
	if p.migrating == 0 {
		return nil
	}
	p.migrating--
	return &Error{Status: 410, Substatus: 1008, Code: "Gone", Message: "The partition key range " + p.id + " is migrating."}
}

// rangeOf is the range that holds all of a window.
func (c *container) rangeOf(w window) (string, *Error) {
	ranges := c.partitions()
	if w.span == nil {
		if len(ranges) == 1 {
			return ranges[0].id, nil
		}
		return "", badRequest("The header x-ms-documentdb-partitionkeyrangeid is missing: the container has %d ranges.", len(ranges))
	}
	for _, p := range ranges {
		if p.span.Covers(*w.span) || w.pk != "" && p.span.Contains(w.span.Min) {
			return p.id, nil
		}
	}
	return "", rangeGone(w.span.String())
}

// lockRange locks a range by its id.
func (c *container) lockRange(id string) (*partition, *Error) {
	p := c.rangeByID(id)
	if p == nil {
		return nil, c.gone(id)
	}
	p.mu.Lock()
	if !p.closed {
		return p, nil
	}
	p.mu.Unlock()
	if c.topology.deleted.Load() {
		return nil, ownerNotFound()
	}
	return nil, c.gone(id)
}

// after is the range that follows in the key space; nil is none.
func (c *container) after(p *partition) *partition {
	for _, next := range c.partitions() {
		if next.span.Min == p.span.Max {
			return next
		}
	}
	return nil
}

// startTimePostMerge is the capability of a client to start a merged range at a time (.NET SDK,
// SDKSupportedCapabilities).
const startTimePostMerge = 1 << 1

func announces(r *http.Request, capability uint64) bool {
	known, err := strconv.ParseUint(r.Header.Get("x-ms-cosmos-sdk-supportedcapabilities"), 10, 64)
	return err == nil && known&capability != 0
}
