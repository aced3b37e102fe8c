package archivetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/schemas"
)

// World is a container read in LatestVersion mode by readers that obey the rules of the producer, but crash, repeat, lag
// and speak late as they like. Documents are deleted softly (SoftRules). It moves by Step.
type World struct {
	Container   string
	Incarnation string
	Topic       *Topic
	Partitions  int32
	Marks       map[string]Truth // by the cut's text: what the range held there

	rng    *rand.Rand
	now    time.Time
	keys   []key
	ranges []*feedRange
	etag   int
}

// Truth is the content of a range at a cut: live documents and their bytes.
type Truth map[archive.Key]string

type key struct {
	partition string // canonical
	epk       []byte
}

// SoftRules take {"deleted":true} for a deletion.
func SoftRules() (archive.Rules, error) {
	return archive.NewRules(archive.DeletesSoft, "/deleted", json.RawMessage("true"))
}

// document is a document as the service holds it.
type document struct {
	key  key
	id   string
	lsn  schemas.LSN
	etag string
	text string
	dead bool
}

// feedRange is a physical partition with its reader, and zombies of that.
type feedRange struct {
	bounds    schemas.FeedRange
	documents map[string]document // by key and id
	lsn       schemas.LSN
	undo      []map[string]document // the range before each of the last writes
	lsns      []schemas.LSN
	failed    bool // over: the next reader that looks begins a new generation

	reader reader
	late   []func() // what zombies will say
}

type reader struct {
	generation schemas.Generation
	position   schemas.LSN
	complete   bool
	begun      bool
	offsets    schemas.Offsets
}

// NewWorld makes an empty container of four ranges.
func NewWorld(topic *Topic, container string, rng *rand.Rand) (*World, error) {
	w := &World{
		Container: container, Incarnation: "inc==", Topic: topic, Partitions: 3, Marks: map[string]Truth{},
		rng: rng, now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC),
	}
	def, err := schemas.ParseKeyDefinition([]byte(`{"partitionKey":{"paths":["/pk"],"kind":"Hash","version":2}}`))
	if err != nil {
		return nil, err
	}
	for i := range 24 {
		canonical, epk, err := def.ParsePartitionKey(fmt.Appendf(nil, `["k-%d \"é\""]`, i))
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, key{canonical, slices.Clone(epk)})
	}
	for _, text := range []string{"-0F", "0F-1C", "1C-2B", "2B-FF"} {
		r, err := schemas.ParseFeedRange(text)
		if err != nil {
			return nil, err
		}
		w.ranges = append(w.ranges, &feedRange{
			bounds: r, documents: map[string]document{}, reader: reader{
				generation: schemas.Generation(w.now.UnixMilli()), offsets: schemas.Offsets{},
			},
		})
	}
	return w, nil
}

// Step lets one thing happen.
func (w *World) Step() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
	r := w.ranges[w.rng.IntN(len(w.ranges))]
	switch k := w.rng.IntN(100); {
	case k < 45:
		w.write()
	case k < 90:
		w.read(r)
	case k < 92:
		w.failOver(r)
	case k < 95: // the reader dies; the next one goes on from an older checkpoint and reads again
		r.reader.position = schemas.LSN(w.rng.Int64N(int64(r.reader.position) + 1))
	default:
		if len(r.late) > 0 {
			r.late[0]()
			r.late = r.late[1:]
		}
	}
}

// Settle lets every range drain and mark.
func (w *World) Settle() {
	for _, r := range w.ranges {
		for {
			w.now = w.now.Add(time.Second)
			if w.read(r) {
				break
			}
		}
	}
}

// Write makes n writes and nothing else.
func (w *World) Write(n int) {
	for range n {
		w.write()
	}
}

func (w *World) write() {
	k := w.keys[w.rng.IntN(len(w.keys))]
	d := document{key: k, id: fmt.Sprintf("d-%d", w.rng.IntN(12)), dead: w.rng.IntN(5) == 0}
	for _, r := range w.ranges {
		if !r.bounds.Contains(schemas.HexEPK(k.epk)) {
			continue
		}
		r.undo = append(r.undo, maps.Clone(r.documents))
		r.lsns = append(r.lsns, r.lsn)
		if len(r.undo) > 4 {
			r.undo, r.lsns = r.undo[1:], r.lsns[1:]
		}
		r.lsn += 1 + schemas.LSN(w.rng.IntN(2))
		w.etag++
		d.lsn, d.etag = r.lsn, fmt.Sprintf(`"%08d"`, w.etag)
		d.text = fmt.Sprintf(`{"id":%q,"n":%d.0,"deleted":%v,"pad":%q}`, d.id, w.etag, d.dead, strings.Repeat("é", w.rng.IntN(40)))
		r.documents[k.partition+d.id] = d
	}
}

// failOver undoes the last writes of a range; their LSNs will be used again.
func (w *World) failOver(r *feedRange) {
	if len(r.undo) == 0 {
		return
	}
	n := 1 + w.rng.IntN(len(r.undo))
	r.documents = r.undo[len(r.undo)-n]
	r.lsn = r.lsns[len(r.lsns)-n]
	r.undo, r.lsns = nil, nil
	r.failed = true
}

// read is one round of a range's reader: a page of changes, and a mark. It tells whether the reader said that it drained.
func (w *World) read(r *feedRange) bool {
	if r.failed {
		r.failed = false
		r.reader.generation = schemas.NextGeneration(w.now, r.reader.generation)
		r.reader.position, r.reader.complete, r.reader.begun = 0, false, false
	}
	if !r.reader.begun {
		r.reader.begun = true
		w.mark(r, &r.reader, false)
	}
	old := r.reader
	page := r.page(old.position, 1+w.rng.IntN(12))
	if w.rng.IntN(8) == 0 { // this reader is a zombie from now on: it speaks later, and moves no checkpoint
		old.offsets = maps.Clone(old.offsets)
		drained, now := len(page) == 0, w.now
		if drained {
			w.remember(r, &old)
		}
		r.late = append(r.late, func() {
			for _, d := range page {
				old.offsets.Raise(w.publish(&old, d))
				old.position = d.lsn
			}
			if drained && old.complete {
				w.markAt(r, &old, true, now)
			}
		})
		return false
	}
	for _, d := range page {
		r.reader.offsets.Raise(w.publish(&r.reader, d))
		r.reader.position = d.lsn
	}
	drained := len(page) == 0
	if drained {
		r.reader.position, r.reader.complete = r.lsn, true
		w.remember(r, &r.reader)
	}
	w.mark(r, &r.reader, drained)
	return drained
}

// page is what the feed shows after a position: the documents whose current version is later, by LSN.
func (r *feedRange) page(after schemas.LSN, n int) []document {
	var page []document
	for _, d := range r.documents {
		if d.lsn > after {
			page = append(page, d)
		}
	}
	slices.SortFunc(page, func(a, b document) int { return int(a.lsn - b.lsn) })
	return page[:min(n, len(page))]
}

func (w *World) publish(by *reader, d document) (int32, int64) {
	partition := int32(d.key.epk[1]) % w.Partitions
	return partition, w.Topic.Publish(partition, w.Container, archive.Row{
		PartitionKey: []byte(d.key.partition), ID: []byte(d.id), Op: schemas.OpUpserted, TS: w.now.UnixMicro(),
		Generation: by.generation, Order: schemas.Order{LSN: d.lsn}, EPK: []byte(schemas.HexEPK(d.key.epk)),
		Incarnation: []byte(w.Incarnation), RID: []byte("rid-" + d.id), ETag: []byte(d.etag), Document: []byte(d.text),
	})
}

// remember keeps what the range holds at the reader's cut.
func (w *World) remember(r *feedRange, by *reader) {
	at := *by
	at.position = r.lsn
	truth := Truth{}
	for _, d := range r.documents {
		if !d.dead {
			truth[archive.Key{PartitionKey: d.key.partition, ID: d.id}] = d.text
		}
	}
	by.position = r.lsn
	w.Marks[schemas.Cut{Range: r.bounds, Generation: at.generation, LSN: at.position}.String()] = truth
}

func (w *World) mark(r *feedRange, by *reader, drained bool) { w.markAt(r, by, drained, w.now) }

func (w *World) markAt(r *feedRange, by *reader, drained bool, at time.Time) {
	basis := schemas.BasisLoading
	if by.complete {
		basis = schemas.BasisComplete
	}
	if r.bounds.Min == schemas.MinEPK && w.rng.IntN(10) == 0 || len(w.Topic.Rows) == 0 {
		by.offsets.Raise(0, w.define())
	}
	if r.bounds.Min == schemas.MinEPK && by.offsets[0] == 0 {
		by.offsets.Raise(0, w.define())
	}
	m := schemas.Mark{
		Container: w.Container, Incarnation: w.Incarnation, Range: r.bounds, Mode: schemas.LatestVersion, Generation: by.generation,
		Basis: basis, LSN: by.position, Newest: max(by.position, r.lsn), Drained: drained,
		CompleteTo: at.Truncate(time.Second).Add(-10 * time.Second), Latest: at.Truncate(time.Second).Add(999 * time.Millisecond),
		Offsets: maps.Clone(by.offsets),
	}
	value, err := m.Encode()
	if err != nil {
		panic(err)
	}
	partition := int32(len(r.bounds.Min)+int(r.bounds.Max[0])) % w.Partitions
	by.offsets.Raise(partition, w.Topic.Publish(partition, schemas.ControlContainer, archive.Row{
		PartitionKey: schemas.ControlKey(schemas.OpMark, w.Container, r.bounds), ID: []byte(w.Container), Op: schemas.OpMark,
		TS: at.UnixMicro(), Generation: by.generation, Order: schemas.Order{LSN: by.position}, Incarnation: []byte(w.Incarnation), Document: value,
	}))
}

func (w *World) define() int64 {
	return w.Topic.Publish(0, schemas.ControlContainer, archive.Row{
		PartitionKey: schemas.ControlKey(schemas.OpDefinition, w.Container, schemas.FeedRange{}), ID: []byte(w.Container), Op: schemas.OpDefinition,
		TS: w.now.UnixMicro(), Incarnation: []byte(w.Incarnation), Document: []byte(`{"id":"products","partitionKey":{"paths":["/pk"],"kind":"Hash","version":2}}`),
	})
}

// Truth is what the container held at a point; false where the world does not know, which is never so for its own points.
func (w *World) Truth(p *archive.Point) (Truth, bool) {
	all := Truth{}
	for _, cut := range p.Cuts {
		part, ok := w.Marks[cut.String()]
		if !ok {
			return nil, false
		}
		maps.Copy(all, part)
	}
	return all, true
}
