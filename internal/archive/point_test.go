package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

const shop = "shop.products"

var epoch = time.Date(2026, 11, 20, 10, 0, 0, int(999*time.Millisecond), time.UTC)

// history is what a topic says about a container, in the form in which it was published.
type history struct {
	marks       []placed[schemas.Mark]
	definitions []placed[definition]
	losses      []loss
	unkeyed     []placed[unkeyed]
	archived    schemas.Offsets
}

type placed[T any] struct {
	partition int32
	offset    int64
	what      T
}

type definition struct {
	incarnation string
	observed    time.Time
	resource    string
}

type loss struct {
	partition   int32
	from, to    int64
	quarantined bool
	foreign     bool
}

type unkeyed struct {
	incarnation string
	feedRange   schemas.FeedRange
	generation  schemas.Generation
	lsn         schemas.LSN
}

// control makes the rows that the archiver would have made, in a random order.
func (h *history) control(t *testing.T, rng *rand.Rand) *Control {
	t.Helper()
	var rows []Row
	for _, m := range h.marks {
		value, err := m.what.Encode()
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, Row{
			Op: schemas.OpMark, PartitionKey: schemas.ControlKey(schemas.OpMark, shop, m.what.Range), ID: []byte(shop),
			TopicPartition: m.partition, Offset: m.offset, Incarnation: []byte(m.what.Incarnation), Document: value,
		})
	}
	for _, d := range h.definitions {
		rows = append(rows, Row{
			Op: schemas.OpDefinition, ID: []byte(shop), TS: d.what.observed.UnixMicro(), TopicPartition: d.partition, Offset: d.offset,
			Incarnation: []byte(d.what.incarnation), Document: []byte(d.what.resource),
		})
	}
	for _, u := range h.unkeyed {
		rows = append(rows, Row{
			Op: schemas.OpUnkeyed, PartitionKey: schemas.ControlKey(schemas.OpUnkeyed, shop, u.what.feedRange), ID: []byte(shop),
			TopicPartition: u.partition, Offset: u.offset, Incarnation: []byte(u.what.incarnation),
			Generation: u.what.generation, Order: schemas.Order{LSN: u.what.lsn}, Document: []byte(`{}`),
		})
	}
	for _, l := range h.losses {
		row := Row{Op: schemas.OpGap, TopicPartition: l.partition, Offset: l.from, Document: mustJSON(schemas.Gap{From: l.from, To: l.to})}
		if l.quarantined {
			row.Op, row.Document = schemas.OpQuarantined, mustJSON(schemas.Quarantine{Reason: "torn", Foreign: l.foreign})
		}
		rows = append(rows, row)
	}
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	c := NewControl(shop, h.archived)
	for i := range rows {
		if err := c.Add(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func softRules(t *testing.T) Rules {
	t.Helper()
	r, err := NewRules(DeletesSoft, "/deleted", json.RawMessage("true"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// makeHistory lets ranges split and merge, generations begin, and zombies speak late, at random.
func makeHistory(rng *rand.Rand) *history {
	h := &history{archived: schemas.Offsets{}}
	const partitions = 3
	next := [partitions]int64{}
	place := func(p int32) (int32, int64) { next[p]++; return p, next[p] - 1 }
	type reader struct {
		r          schemas.FeedRange
		generation schemas.Generation
		lsn        schemas.LSN
		basis      schemas.Basis
		offsets    schemas.Offsets
		dead       bool
	}
	bounds := []string{"", "05", "0A", "0F00", "1F", "2A00", "FF"}
	var readers []*reader
	cuts := 1 + rng.IntN(3)
	for i := 0; i+1 < len(bounds); {
		j := min(len(bounds)-1, i+1+rng.IntN(6/cuts))
		readers = append(readers, &reader{
			r: schemas.FeedRange{Min: bounds[i], Max: bounds[j]}, generation: schemas.Generation(epoch.UnixMilli()),
			basis: schemas.BasisLoading, offsets: schemas.Offsets{},
		})
		i = j
	}
	now := epoch
	for range 20 + rng.IntN(40) {
		now = now.Add(time.Duration(rng.IntN(40)*rng.IntN(3)) * time.Second)
		r := readers[rng.IntN(len(readers))]
		switch k := rng.IntN(20); {
		case k == 0 && !r.dead: // a new generation
			r.generation = schemas.NextGeneration(now, r.generation)
			r.lsn, r.basis = 0, schemas.BasisLoading
		case k == 1 && !r.dead: // a split
			lo, hi := slices.Index(bounds, r.r.Min), slices.Index(bounds, r.r.Max)
			if hi-lo > 1 {
				mid := lo + 1 + rng.IntN(hi-lo-1)
				for _, half := range [2][2]int{{lo, mid}, {mid, hi}} {
					child := *r
					child.r = schemas.FeedRange{Min: bounds[half[0]], Max: bounds[half[1]]}
					child.offsets = schemas.Offsets{}
					for p, o := range r.offsets {
						child.offsets[p] = o
					}
					readers = append(readers, &child)
				}
				r.dead = true
			}
		case k == 2: // a definition
			d := definition{incarnation: "a", observed: now.Add(-time.Duration(rng.IntN(20)) * time.Second), resource: `{"id":"products"}`}
			ts := ""
			if rng.IntN(4) > 0 { // it came into force before it was read
				ts = fmt.Sprintf(`,"_ts":%d`, d.observed.Unix()-rng.Int64N(90))
			}
			d.resource = `{"id":"products"` + ts + `}`
			if rng.IntN(6) == 0 {
				d.resource = `{"id":"products","defaultTtl":-1` + ts + `}`
			}
			p, o := place(0)
			h.definitions = append(h.definitions, placed[definition]{p, o, d})
			readers[0].offsets.Raise(p, o)
		case k == 3 && rng.IntN(4) == 0: // a loss
			p, o := place(int32(rng.IntN(partitions)))
			l := loss{partition: p, from: o, to: o, quarantined: rng.IntN(2) == 0}
			if l.quarantined {
				l.foreign = rng.IntN(2) == 0
			} else {
				next[p] += int64(rng.IntN(3))
				l.to = next[p] - 1
			}
			h.losses = append(h.losses, l)
		case k == 4 && rng.IntN(5) == 0:
			p, o := place(int32(rng.IntN(partitions)))
			h.unkeyed = append(h.unkeyed, placed[unkeyed]{p, o, unkeyed{"a", r.r, r.generation, r.lsn}})
			r.offsets.Raise(p, o)
		default:
			h.speak(rng, place, r.r, now, r.dead, &r.generation, &r.lsn, &r.basis, r.offsets)
		}
	}
	for p, n := range next {
		h.archived[int32(p)] = n - 1 - int64(rng.IntN(2)*rng.IntN(4))
	}
	return h
}

// speak publishes events and a mark; a zombie's are late and go back.
func (h *history) speak(
	rng *rand.Rand, place func(int32) (int32, int64), r schemas.FeedRange, now time.Time, zombie bool,
	generation *schemas.Generation, lsn *schemas.LSN, basis *schemas.Basis, offsets schemas.Offsets,
) {
	for range rng.IntN(4) {
		offsets.Raise(place(int32(rng.IntN(3))))
	}
	at := *lsn
	if *basis == schemas.BasisLoading && *lsn == 0 && rng.IntN(2) == 0 {
		*lsn = 0
	} else if zombie || rng.IntN(6) == 0 {
		at = max(0, at-schemas.LSN(rng.IntN(3)))
	} else {
		*lsn += schemas.LSN(rng.IntN(4))
		at = *lsn
		if rng.IntN(3) > 0 {
			*basis = schemas.BasisComplete
		}
	}
	m := schemas.Mark{
		Container: shop, Incarnation: "a", Range: r, Mode: schemas.LatestVersion, Generation: *generation, Basis: *basis,
		LSN: at, Newest: at, Drained: rng.IntN(5) > 0, Latest: now.Add(-time.Duration(rng.IntN(3)) * time.Second), Offsets: schemas.Offsets{},
	}
	m.CompleteTo = m.Latest.Add(-11 * time.Second)
	if rng.IntN(40) == 0 {
		m.Incarnation = "b"
	}
	for p, o := range offsets {
		m.Offsets[p] = o
	}
	p, o := place(int32(len(r.Min) % 3))
	h.marks = append(h.marks, placed[schemas.Mark]{p, o, m})
	offsets.Raise(p, o)
}

func TestFoldAgainstOracle(t *testing.T) {
	seed := rand.Uint64()
	points, exact, vectors := 0, 0, 0
	for round := range 1500 {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		h := makeHistory(rng)
		line := Fold(h.control(t, rng), softRules(t))
		want := oracle{h}.points()
		got := line.Points()
		slices.SortFunc(want, func(a, b oraclePoint) int { return strings.Compare(a.name, b.name) })
		byName := slices.SortedFunc(slices.Values(got), func(a, b Point) int { return strings.Compare(a.Name, b.Name) })
		for i := 0; i < max(len(want), len(got)); i++ {
			if i >= len(want) || i >= len(got) || want[i].name != byName[i].Name || want[i].exact != byName[i].Claim.Exact() {
				t.Fatalf("seed %d round %d: got points %s want %s", seed, round, namesOf(byName), wantNames(want))
			}
		}
		for i, p := range got {
			if i > 0 && p.Latest.Before(got[i-1].Latest) {
				t.Fatalf("seed %d round %d: point %d is of %v, the one before of %v", seed, round, i, p.Latest, got[i-1].Latest)
			}
			again, err := line.ByName(p.Name)
			if err != nil || again.Name != p.Name {
				t.Fatalf("seed %d round %d: by name %s: got %s, %v", seed, round, p.Name, again.Name, err)
			}
			if p.Claim.Exact() {
				exact++
			}
			vectors += len(p.Cuts)
		}
		points += len(got)
	}
	t.Logf("seed %d: %d points, %d exact, %.1f cuts each", seed, points, exact, float64(vectors)/float64(points))
	if points < 1000 || exact < 100 || exact == points {
		t.Errorf("got %d points, %d exact: the histories try too little", points, exact)
	}
}

func namesOf(points []Point) (out []string) {
	for _, p := range points {
		out = append(out, p.Name+" "+p.Claim.String())
	}
	return out
}

func wantNames(points []oraclePoint) (out []string) {
	for _, p := range points {
		out = append(out, fmt.Sprintf("%s exact=%v", p.name, p.exact))
	}
	return out
}

// mark is a drained, complete mark of the whole key space, or what change makes of it.
func markAt(second int, lsn schemas.LSN, offset int64, change func(*schemas.Mark)) placed[schemas.Mark] {
	m := schemas.Mark{
		Container: shop, Incarnation: "a", Range: schemas.WholeRange(), Mode: schemas.LatestVersion, Generation: schemas.Generation(epoch.UnixMilli()),
		Basis: schemas.BasisComplete, LSN: lsn, Newest: lsn, Drained: true, Latest: epoch.Add(time.Duration(second) * time.Second),
		Offsets: schemas.Offsets{0: offset - 1},
	}
	m.CompleteTo = m.Latest.Add(-11 * time.Second)
	if change != nil {
		change(&m)
	}
	return placed[schemas.Mark]{0, offset, m}
}

func simple(marks ...placed[schemas.Mark]) *history {
	return &history{
		marks: marks, archived: schemas.Offsets{0: 100},
		definitions: []placed[definition]{{0, 0, definition{"a", epoch, `{"id":"products"}`}}},
	}
}

func foldOf(t *testing.T, h *history) *Timeline {
	t.Helper()
	return Fold(h.control(t, rand.New(rand.NewPCG(1, 1))), softRules(t))
}

func TestLookups(t *testing.T) {
	line := foldOf(t, simple(markAt(0, 5, 1, nil), markAt(10, 6, 2, nil), markAt(20, 7, 3, nil)))
	points := line.Points()
	if len(points) != 3 {
		t.Fatalf("got %d points want 3: %s", len(points), line.Pending())
	}
	at := func(second int) time.Time { return epoch.Add(time.Duration(second) * time.Second) }
	before := []struct {
		name    string
		at      time.Time
		want    int // point, or -1
		nearest []int
	}{
		{"before the first", at(0).Add(-1), -1, []int{0}},
		{"exactly the first", at(0), 0, nil},
		{"between", at(19), 1, nil},
		{"exactly the newest", at(20), 2, nil},
		{"after the newest", at(20).Add(1), -1, []int{2}},
		{"far after", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), -1, []int{2}},
		{"long ago", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), -1, []int{0}},
	}
	check := func(t *testing.T, got Point, err error, want int, nearest []int) {
		t.Helper()
		if want >= 0 {
			if err != nil || got.Name != points[want].Name {
				t.Fatalf("got %s, %v want %s", got.Name, err, points[want].Name)
			}
			return
		}
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.ExitCode() != 2 || len(refused.Nearest) != len(nearest) {
			t.Fatalf("got %v want a refusal with %d nearest", err, len(nearest))
		}
		for i, n := range nearest {
			if refused.Nearest[i].Name != points[n].Name || !strings.Contains(err.Error(), points[n].Name) {
				t.Errorf("got nearest %s want %s", refused.Nearest[i].Name, points[n].Name)
			}
		}
	}
	for _, c := range before {
		t.Run("before/"+c.name, func(t *testing.T) {
			got, err := line.Before(c.at)
			check(t, got, err, c.want, c.nearest)
		})
	}
	t.Run("at/exact", func(t *testing.T) { got, err := line.At(at(10)); check(t, got, err, 1, nil) })
	t.Run("at/between", func(t *testing.T) { got, err := line.At(at(12)); check(t, got, err, -1, []int{1, 2}) })
	t.Run("name/other vector", func(t *testing.T) {
		got, err := line.ByName(points[1].Name[:len(points[1].Name)-8] + "00000000")
		check(t, got, err, -1, []int{1, 2})
	})
	t.Run("name/none", func(t *testing.T) { got, err := line.ByName("yesterday"); check(t, got, err, -1, []int{2}) })
}

func TestPending(t *testing.T) {
	half := func(r schemas.FeedRange) func(*schemas.Mark) { return func(m *schemas.Mark) { m.Range = r } }
	low, high := schemas.FeedRange{Min: "", Max: "1F"}, schemas.FeedRange{Min: "1F", Max: "FF"}
	noDefinition := simple(markAt(0, 5, 1, nil))
	noDefinition.definitions = nil
	cases := []struct {
		name    string
		history *history
		points  int
		want    string // in Pending; empty: nothing pending
	}{
		{"nothing", &history{}, 0, "no mark"},
		{"from now", simple(markAt(0, 5, 1, func(m *schemas.Mark) { m.Basis = schemas.BasisNone })), 0, `begun at "now"`},
		{"loading", simple(markAt(0, 5, 1, func(m *schemas.Mark) { m.Basis, m.Newest, m.Drained = schemas.BasisLoading, 9, false })), 0, "is loading: at LSN 5 of 9"},
		{"not drained", simple(markAt(0, 5, 1, func(m *schemas.Mark) { m.Newest, m.Drained = 9, false })), 0, "not drained: at LSN 5 of 9"},
		{"a range is missing", simple(markAt(0, 5, 1, half(low))), 0, `from "1F" to "FF"`},
		{"a range is old", simple(markAt(0, 5, 1, half(low)), markAt(301, 5, 2, half(high))), 0, "range -1F"},
		{"as old as may be", simple(markAt(0, 5, 1, half(low)), markAt(300, 5, 2, half(high))), 1, ""},
		{"not archived", simple(markAt(0, 5, 200, nil)), 0, "has not passed offset 199"},
		{"no definition", noDefinition, 0, "definition"},
		{"other mode", simple(markAt(0, 5, 1, func(m *schemas.Mark) { m.Mode = schemas.AllVersionsAndDeletes })), 0, "AllVersionsAndDeletes"},
		{"a point, then a rebase", simple(markAt(0, 5, 1, nil), markAt(9, 0, 2, func(m *schemas.Mark) {
			m.Generation, m.Basis, m.Drained = m.Generation+1, schemas.BasisLoading, false
		})), 1, "is loading"},
		{"a split under way", simple(markAt(0, 5, 1, nil), markAt(9, 7, 2, half(low)), markAt(9, 7, 3, half(schemas.FeedRange{Min: "0F", Max: "FF"}))), 1, "overlap"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			line := foldOf(t, c.history)
			pending := strings.Join(line.Pending(), "; ")
			if line.Len() != c.points || c.want == "" && pending != "" || !strings.Contains(pending, c.want) {
				t.Errorf("got %d points, pending %q want %d, %q", line.Len(), pending, c.points, c.want)
			}
		})
	}
}

func TestPointsAreStable(t *testing.T) {
	first := foldOf(t, simple(markAt(0, 5, 1, nil), markAt(10, 6, 2, nil)))
	want := first.Points()
	later := foldOf(t, simple(markAt(0, 5, 1, nil), markAt(10, 6, 2, nil),
		markAt(10, 6, 3, nil), // the same mark again
		markAt(20, 5, 4, nil), // a zombie that never saw 6
		markAt(30, 9, 5, func(m *schemas.Mark) { m.Generation++; m.LSN = 2 }), // a new generation
		markAt(40, 9, 6, nil))) // a zombie of the old one
	for _, p := range want {
		if got, err := later.ByName(p.Name); err != nil || got.Name != p.Name {
			t.Errorf("point %s: got %v", p.Name, err)
		}
	}
	if later.Len() != 3 {
		t.Errorf("got %d points want 3: %s", later.Len(), namesOf(later.Points()))
	}
}

func TestPointName(t *testing.T) {
	p := Point{
		Container: shop, Incarnation: "AbCd==", Latest: epoch,
		Cuts:    []schemas.Cut{{Range: schemas.FeedRange{Min: "", Max: "1F"}, Generation: 7, LSN: 42}, {Range: schemas.FeedRange{Min: "1F", Max: "FF"}, Generation: 8, LSN: 0}},
		Offsets: schemas.Offsets{2: 17, 0: -1, 10: 3},
	}
	// Golden: printf 'almanac point 1\ncontainer shop.products\nincarnation AbCd==\ncut -1F 7 42\ncut 1F-FF 8 0\noffset 2 17\noffset 10 3\n' | sha256sum
	if got, want := p.nameOf(), "20261120T100000.999Z-f0f925b1"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
	if at, err := ParsePointName(p.nameOf()); err != nil || !at.Equal(epoch) {
		t.Errorf("got %v, %v want %v", at, err, epoch)
	}
	for _, bad := range []string{"", "x", "20261120T100000.999Z", "20261120T100000.999Z-1234567", "20261120T100000.999Z-1234567X", "20261320T100000.999Z-12345678"} {
		if _, err := ParsePointName(bad); err == nil {
			t.Errorf("%q: got a time want an error", bad)
		}
	}
}

func BenchmarkFold(b *testing.B) {
	h := simple()
	const ranges, rounds = 16, 5000
	for round := range rounds {
		for r := range ranges {
			h.marks = append(h.marks, markAt(10*round+r%10, schemas.LSN(round), int64(round), func(m *schemas.Mark) {
				m.Range = schemas.FeedRange{Min: fmt.Sprintf("%02X", r*4), Max: fmt.Sprintf("%02X", r*4+4)}
				if r == 0 {
					m.Range.Min = ""
				}
				if r == ranges-1 {
					m.Range.Max = "FF"
				}
				m.Offsets = schemas.Offsets{0: 50}
			}))
		}
	}
	c := NewControl(shop, schemas.Offsets{0: 1 << 40})
	c.Definitions = []DefinitionRow{{Incarnation: "a"}}
	for _, m := range h.marks {
		value, _ := m.what.Encode()
		if err := c.Add(&Row{Op: schemas.OpMark, ID: []byte(shop), Offset: m.offset, Document: value}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		if n := Fold(c, Rules{Deletes: DeletesNone}).Len(); n == 0 {
			b.Fatal("no points")
		}
	}
	b.ReportMetric(float64(b.N*ranges*rounds)/b.Elapsed().Seconds(), "marks/s")
}
