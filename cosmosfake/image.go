package cosmosfake

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// record is a line of a data directory: something that was done at once, or a piece of a snapshot. In a snapshot
// ranges belong to the container before them, items and events to the range before them; elsewhere In names the
// container by its resource id.
type record struct {
	Time      int64            `json:"time,omitempty"` // nanoseconds since 1970
	Account   *accountRecord   `json:"account,omitempty"`
	Database  *databaseRecord  `json:"database,omitempty"`
	Container *containerRecord `json:"container,omitempty"`
	Offer     *offerRecord     `json:"offer,omitempty"`
	Script    *scriptRecord    `json:"script,omitempty"`
	Drop      *dropRecord      `json:"drop,omitempty"`
	Range     *rangeRecord     `json:"range,omitempty"`
	Item      *itemRecord      `json:"item,omitempty"`
	Event     *eventRecord     `json:"event,omitempty"`
	Write     *writeRecord     `json:"write,omitempty"`
	Act       *actRecord       `json:"act,omitempty"`
	Ledger    string           `json:"ledger,omitempty"` // the lines of what was done
}

type accountRecord struct {
	RIDs    uint32 `json:"rids"`
	Offered uint32 `json:"offered"`
	ETags   uint64 `json:"etags"`
	Merged  bool   `json:"merged,omitempty"`
	Writer  int32  `json:"writer,omitempty"`
}

type databaseRecord struct {
	ID     string `json:"id"`
	Number uint32 `json:"number"`
	Body   []byte `json:"body"`
	ETag   string `json:"etag"`
	TS     int64  `json:"ts"`
	Made   uint32 `json:"made"`
}

type containerRecord struct {
	Database string `json:"database"`
	ID       string `json:"id"`
	RID      []byte `json:"rid"`
	Body     []byte `json:"body"`
	ETag     string `json:"etag"`
	TS       int64  `json:"ts"`
	RIDs     uint64 `json:"rids,omitempty"`
	Layout   int64  `json:"layout,omitempty"`   // of a snapshot
	Next     int    `json:"next,omitempty"`     // of a snapshot: the next range's index
	Cut      int    `json:"cut,omitempty"`      // of a creation: into so many ranges
	Dropped  bool   `json:"dropped,omitempty"`  // of a snapshot: it can be restored
	Restored bool   `json:"restored,omitempty"` // from what was dropped

	DroppedAt int64 `json:"droppedAt,omitempty"` // nanoseconds since 1970
}

type offerRecord struct {
	RID      string            `json:"rid"`
	Resource string            `json:"resource"`
	Self     string            `json:"self"`
	Content  throughputContent `json:"content"`
	ETag     string            `json:"etag"`
	TS       int64             `json:"ts"`
}

type scriptRecord struct {
	In     string `json:"in"`
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Was    string `json:"was,omitempty"` // its id before
	Number uint64 `json:"number"`
	Body   []byte `json:"body"`
	ETag   string `json:"etag"`
	TS     int64  `json:"ts"`
}

// dropRecord is the deletion of a database, a container, or with Kind and ID, a script.
type dropRecord struct {
	Database  string `json:"database"`
	Container string `json:"container,omitempty"`
	In        string `json:"in,omitempty"`
	Kind      string `json:"kind,omitempty"`
	ID        string `json:"id,omitempty"`
}

type rangeRecord struct {
	Index   int               `json:"index"`
	Span    schemas.FeedRange `json:"span"`
	Config  int64             `json:"config"`
	Newest  int64             `json:"newest"`
	Floor   int64             `json:"floor"`
	RIDs    uint64            `json:"rids"`
	From    int64             `json:"from"` // events before are out of retention
	Ticks   []tick            `json:"ticks,omitempty"`
	Parents []string          `json:"parents,omitempty"`
	Merged  bool              `json:"merged,omitempty"`
	Since   int64             `json:"since,omitempty"`
}

// itemRecord is a version of a document. End is the LSN that ended it; Past is one that only events know.
type itemRecord struct {
	PK   string `json:"pk"`
	ID   string `json:"id"`
	Body []byte `json:"body"`
	LSN  int64  `json:"lsn"`
	TS   int64  `json:"ts"`
	ETag uint64 `json:"etag"`
	RID  uint64 `json:"rid"`
	TTL  int32  `json:"ttl,omitempty"`
	End  int64  `json:"end,omitempty"`
	Past bool   `json:"past,omitempty"`
}

// eventRecord names its version by its place among the range's items.
type eventRecord struct {
	LSN      int64  `json:"lsn"`
	Previous int64  `json:"previous,omitempty"`
	At       int64  `json:"at"`
	Kind     string `json:"kind"`
	Expired  bool   `json:"expired,omitempty"`
	Item     int    `json:"item"`
}

// writeRecord is a transaction on items.
type writeRecord struct {
	In      string         `json:"in"`
	Range   string         `json:"range"`
	LSN     int64          `json:"lsn"`
	TS      int64          `json:"ts,omitempty"` // where it is not the record's time
	Changes []changeRecord `json:"changes"`
}

// changeRecord has no body if it is a deletion or purge.
type changeRecord struct {
	Op   string `json:"op"`
	PK   string `json:"pk"`
	ID   string `json:"id"`
	Body []byte `json:"body,omitempty"`
	ETag uint64 `json:"etag,omitempty"`
	RID  uint64 `json:"rid,omitempty"`
	TTL  int32  `json:"ttl,omitempty"`
}

// actRecord is something that happened to ranges, or to the whole account.
type actRecord struct {
	Op     string   `json:"op"`
	In     string   `json:"in,omitempty"`
	Ranges []string `json:"ranges,omitempty"`
	LSNs   int64    `json:"lsns,omitempty"` // of a failover or bump
	At     []string `json:"at,omitempty"`   // of a split
}

const (
	actBump   = "bump"
	actRegion = "region" // the other region takes the writes
)

func (s *Server) accountRecord() *accountRecord {
	return &accountRecord{RIDs: s.rids, Offered: s.offered, ETags: s.etags.Load(), Merged: s.merged.Load(), Writer: s.writer.Load()}
}

func (d *database) record() *databaseRecord {
	return &databaseRecord{ID: d.id, Number: d.number, Body: d.body, ETag: d.etag, TS: d.ts, Made: d.made}
}

func (c *container) record() *containerRecord {
	database, _, _ := strings.Cut(strings.TrimPrefix(c.path, "dbs/"), "/")
	return &containerRecord{Database: database, ID: c.id, RID: c.ridBytes, Body: c.body, ETag: c.etag, TS: c.ts, RIDs: c.rids}
}

func (o *offer) record() *offerRecord {
	if o == nil {
		return nil
	}
	return &offerRecord{RID: o.rid, Resource: o.resource, Self: o.self, Content: o.content, ETag: o.etag, TS: o.ts}
}

func (one *script) record(c *container, kind string) *scriptRecord {
	return &scriptRecord{In: c.rid, Kind: kind, ID: one.id, Number: one.number, Body: one.body, ETag: one.etag, TS: one.ts}
}

// record is what the journal keeps of a transaction.
func (t *transaction) record() *record {
	w := &writeRecord{In: t.c.rid, Range: t.p.id, LSN: t.lsn, Changes: make([]changeRecord, len(t.changes))}
	if stamp := t.stamp(); stamp != t.time.Unix() {
		w.TS = stamp
	}
	for i, c := range t.changes {
		if v := c.after; v != nil {
			w.Changes[i] = changeRecord{Op: c.op, PK: v.pk(), ID: v.id(), Body: v.body, ETag: v.etag, RID: v.rid, TTL: v.ttl}
		} else {
			w.Changes[i] = changeRecord{Op: c.op, PK: c.before.pk(), ID: c.before.id()}
		}
	}
	return &record{Time: t.time.UnixNano(), Write: w}
}

// imagePart is a record, and of a range what belongs to it.
type imagePart struct {
	record record
	log    []ended
	events []event
}

// ended is a version as it was when the image was made.
type ended struct {
	v   *version
	end int64
}

// image collects everything, under all locks, and calls turn while it has them. What it returns writes a snapshot.
func (s *Server) image(turn func() (int64, error)) (write func(*json.Encoder) error, number int64, _ error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var containers []*container
	for _, d := range sorted(s.databases) {
		containers = append(containers, sorted(d.containers)...)
	}
	containers = append(containers, sorted(s.dropped)...)
	for _, c := range containers {
		defer c.topology.lockAll()()
	}
	number, err := turn()
	if err != nil {
		return nil, 0, err
	}
	parts := []imagePart{{record: record{Time: s.clock.last.Load(), Account: s.accountRecord()}}}
	for _, d := range sorted(s.databases) {
		parts = append(parts, imagePart{record: record{Database: d.record()}})
	}
	for _, c := range containers {
		parts = append(parts, c.image()...)
		for _, p := range c.partitions() {
			parts = append(parts, p.image(s.options.Retention))
		}
	}
	for _, o := range sorted(s.offers) {
		parts = append(parts, imagePart{record: record{Offer: o.record()}})
	}
	return func(e *json.Encoder) error {
		for i := range parts {
			if err := parts[i].write(e); err != nil {
				return err
			}
		}
		return nil
	}, number, nil
}

func (c *container) image() []imagePart {
	r := c.record()
	r.Layout, r.Next, r.Dropped = c.topology.now.Load().number, c.topology.next, c.topology.deleted.Load()
	r.DroppedAt = c.dropped
	parts := []imagePart{{record: record{Container: r}}}
	for kind, all := range c.scripts {
		for _, one := range sorted(all) {
			parts = append(parts, imagePart{record: record{Script: one.record(c, kind)}})
		}
	}
	return parts
}

func (p *partition) image(retention time.Duration) imagePart {
	r := &rangeRecord{
		Index: p.index, Span: p.span, Config: p.config, Newest: p.newest, Floor: p.floor, RIDs: p.rids, From: p.newest,
		Parents: p.parents, Merged: p.merged, Since: p.since,
	}
	part := imagePart{record: record{Range: r}, log: make([]ended, 0, len(p.log)-p.holes)}
	for _, slot := range p.log {
		if slot.v != nil {
			part.log = append(part.log, ended{slot.v, slot.v.end})
		}
	}
	if retention > 0 { // without, events are not remembered
		r.From, r.Ticks, part.events = p.events.from, slices.Clone(p.events.ticks), slices.Clone(p.events.list)
	}
	return part
}

// write writes the record, then the range's versions and events.
func (part *imagePart) write(e *json.Encoder) error {
	if err := e.Encode(&part.record); err != nil {
		return err
	}
	place := make(map[*version]int)
	item := func(v *version, end int64, past bool) error {
		if len(part.events) > 0 {
			place[v] = len(place)
		}
		return e.Encode(&record{Item: &itemRecord{
			PK: v.pk(), ID: v.id(), Body: v.body, LSN: v.lsn, TS: v.ts, ETag: v.etag, RID: v.rid, TTL: v.ttl, End: end, Past: past,
		}})
	}
	for _, one := range part.log {
		if err := item(one.v, one.end, false); err != nil {
			return err
		}
	}
	for _, one := range part.events {
		if _, ok := place[one.v]; !ok {
			if err := item(one.v, 0, true); err != nil {
				return err
			}
		}
	}
	for _, one := range part.events {
		r := &eventRecord{LSN: one.lsn, Previous: one.previous, At: one.at, Kind: one.kind, Expired: one.expired, Item: place[one.v]}
		if err := e.Encode(&record{Event: r}); err != nil {
			return err
		}
	}
	return nil
}
