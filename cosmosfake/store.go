package cosmosfake

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// storeName is the file of a data directory. It is written when the server is closed, as a whole and then renamed, and
// read when one starts: a server that is killed forgets what happened since it started. What was replaced or deleted is
// not in it, so a range cannot go back behind a restart.
const storeName = "cosmosfake.ndjson"

// record is a line of it; one of its members is set.
type record struct {
	Account   *accountRecord   `json:"account,omitempty"`
	Database  *databaseRecord  `json:"database,omitempty"`
	Offer     *offerRecord     `json:"offer,omitempty"`
	Container *containerRecord `json:"container,omitempty"`
	Script    *scriptRecord    `json:"script,omitempty"`
	Range     *rangeRecord     `json:"range,omitempty"`
	Item      *itemRecord      `json:"item,omitempty"`
}

type accountRecord struct {
	RIDs    uint32    `json:"rids"`
	Offered uint32    `json:"offered"`
	ETags   uint64    `json:"etags"`
	Time    time.Time `json:"time"`
	Merged  bool      `json:"merged,omitempty"`
}

type databaseRecord struct {
	ID     string `json:"id"`
	Number uint32 `json:"number"`
	Body   []byte `json:"body"`
	ETag   string `json:"etag"`
	TS     int64  `json:"ts"`
	Made   uint32 `json:"made"`
}

type offerRecord struct {
	RID      string            `json:"rid"`
	Resource string            `json:"resource"`
	Self     string            `json:"self"`
	Content  throughputContent `json:"content"`
	ETag     string            `json:"etag"`
	TS       int64             `json:"ts"`
}

type containerRecord struct {
	Database string `json:"database"`
	ID       string `json:"id"`
	RID      []byte `json:"rid"`
	Body     []byte `json:"body"`
	ETag     string `json:"etag"`
	TS       int64  `json:"ts"`
	RIDs     uint64 `json:"rids"`
	Layout   int64  `json:"layout,omitempty"`
}

// scriptRecord and rangeRecord belong to the container before them, itemRecord to the range before it.
type scriptRecord struct {
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Number uint64 `json:"number"`
	Body   []byte `json:"body"`
	ETag   string `json:"etag"`
	TS     int64  `json:"ts"`
}

type rangeRecord struct {
	Index  int               `json:"index"`
	Span   schemas.FeedRange `json:"span"`
	Config int64             `json:"config"`
	Newest int64             `json:"newest"`
	RIDs   uint64            `json:"rids"`

	Parents []string `json:"parents,omitempty"`
	Merged  bool     `json:"merged,omitempty"`
	Since   int64    `json:"since,omitempty"`
}

type itemRecord struct {
	PK   string `json:"pk"`
	ID   string `json:"id"`
	Body []byte `json:"body"`
	LSN  int64  `json:"lsn"`
	TS   int64  `json:"ts"`
	ETag uint64 `json:"etag"`
	RID  uint64 `json:"rid"`
	TTL  int32  `json:"ttl,omitempty"`
}

// save writes everything into the data directory.
func (s *Server) save() (err error) {
	name := filepath.Join(s.options.Dir, storeName)
	file, err := os.CreateTemp(s.options.Dir, storeName+".*")
	if err != nil {
		return fmt.Errorf("save account: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("save account: %w", err), file.Close(), os.Remove(file.Name()))
		}
	}()
	out := bufio.NewWriter(file)
	encoder := json.NewEncoder(out)
	if err := s.saveAll(func(r record) error { return encoder.Encode(r) }); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), name); err != nil {
		return err
	}
	return file.Close()
}

func (s *Server) saveAll(put func(record) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	err := put(record{Account: &accountRecord{RIDs: s.rids, Offered: s.offered, ETags: s.etags.Load(), Time: s.clock.now(), Merged: s.merged.Load()}})
	for _, d := range sorted(s.databases) {
		err = errors.Join(err, put(record{Database: &databaseRecord{d.id, d.number, d.body, d.etag, d.ts, d.made}}))
		for _, c := range sorted(d.containers) {
			err = errors.Join(err, c.save(d.id, put))
		}
	}
	for _, o := range sorted(s.offers) {
		err = errors.Join(err, put(record{Offer: &offerRecord{o.rid, o.resource, o.self, o.content, o.etag, o.ts}}))
	}
	return err
}

func (c *container) save(database string, put func(record) error) error {
	err := put(record{Container: &containerRecord{database, c.id, c.ridBytes, c.body, c.etag, c.ts, c.rids, c.topology.now.Load().number}})
	for kind, all := range c.scripts {
		for _, one := range sorted(all) {
			err = errors.Join(err, put(record{Script: &scriptRecord{kind, one.id, one.number, one.body, one.etag, one.ts}}))
		}
	}
	for _, p := range c.partitions() {
		p.mu.Lock()
		err = errors.Join(err, p.save(put))
		p.mu.Unlock()
	}
	return err
}

func (p *partition) save(put func(record) error) error {
	err := put(record{Range: &rangeRecord{p.index, p.span, p.config, p.newest, p.rids, p.parents, p.merged, p.since}})
	for _, slot := range p.log {
		if v := slot.v; v != nil && v.end == 0 {
			err = errors.Join(err, put(record{Item: &itemRecord{v.pk(), v.id(), v.body, v.lsn, v.ts, v.etag, v.rid, v.ttl}}))
		}
	}
	return err
}

// restore reads what save wrote. A directory without it is a new account.
func (s *Server) restore() error {
	if err := os.MkdirAll(s.options.Dir, 0o755); err != nil {
		return fmt.Errorf("restore account: %w", err)
	}
	file, err := os.Open(filepath.Join(s.options.Dir, storeName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("restore account: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	decoder := json.NewDecoder(bufio.NewReader(file))
	into := restoring{s: s}
	for number := 1; ; number++ {
		var r record
		err := decoder.Decode(&r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = into.take(r)
		}
		if err != nil {
			return fmt.Errorf("restore account: %s, record %d: %w", file.Name(), number, err)
		}
	}
}

// restoring is the place to which the next records belong.
type restoring struct {
	s *Server
	c *container
	p *partition
}

var errOrder = errors.New("it stands before what it belongs to")

func (in *restoring) take(r record) error {
	s := in.s
	switch {
	case r.Account != nil:
		s.rids, s.offered = r.Account.RIDs, r.Account.Offered
		s.etags.Store(r.Account.ETags)
		s.merged.Store(r.Account.Merged)
		s.clock.last.Store(r.Account.Time.UnixNano())
	case r.Database != nil:
		d := r.Database
		s.databases[d.ID] = &database{
			id: d.ID, rid: ridText(databaseRID(d.Number)), number: d.Number, body: d.Body, etag: d.ETag, ts: d.TS,
			made: d.Made, containers: make(map[string]*container),
		}
	case r.Offer != nil:
		o := r.Offer
		s.offers[o.Resource] = &offer{rid: o.RID, resource: o.Resource, self: o.Self, content: o.Content, etag: o.ETag, ts: o.TS}
	case r.Container != nil:
		return in.container(r.Container)
	case in.c == nil:
		return errOrder
	case r.Script != nil:
		one := r.Script
		in.c.keep(one.Kind, &script{id: one.ID, number: one.Number, body: one.Body, etag: one.ETag, ts: one.TS})
	case r.Range != nil:
		p := newPartition(r.Range.Index, r.Range.Span)
		p.config, p.newest, p.floor, p.rids = r.Range.Config, r.Range.Newest, r.Range.Newest, r.Range.RIDs
		p.events.from = p.newest // what was before is forgotten
		p.parents, p.merged, p.since = r.Range.Parents, r.Range.Merged, max(1, r.Range.Since)
		in.c.topology.add(p)
		in.p = p
	case in.p == nil:
		return errOrder
	case r.Item != nil:
		i := r.Item
		v := &version{key: i.PK + i.ID, pkLen: len(i.PK), body: i.Body, lsn: i.LSN, ts: i.TS, etag: i.ETag, rid: i.RID, ttl: i.TTL}
		in.p.docs[v.key] = v
		in.p.bytes += int64(len(v.body))
		in.p.log = append(in.p.log, slot{v.lsn, v})
	}
	return nil
}

func (in *restoring) container(r *containerRecord) error {
	d := in.s.databases[r.Database]
	if d == nil {
		return errOrder
	}
	_, key, version, e := completeDefinition(r.Body)
	if e != nil {
		return e
	}
	unique, e := parseUniqueKeys(r.Body)
	if e != nil {
		return e
	}
	c := &container{
		name: d.id + "." + r.ID, path: pathOf(d.id, r.ID), id: r.ID, ridBytes: r.RID, rid: ridText(r.RID), key: key, hashing: version, unique: unique,
		body: r.Body, etag: r.ETag, ts: r.TS, rids: r.RIDs,
	}
	if e := c.ttl.define(r.Body); e != nil {
		return e
	}
	c.topology.begin(nil)
	c.topology.now.Store(&layout{number: max(1, r.Layout)})
	c.throughput.set(in.s.options.Throughput)
	c.self = "dbs/" + d.rid + "/colls/" + c.rid + "/"
	d.containers[r.ID] = c
	in.c, in.p = c, nil
	return nil
}
