package archive

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// spread is how much older than a point's time the oldest of its marks may be.
const spread = 5 * time.Minute

// vector is a point as the timeline holds it.
type vector struct {
	incarnation string
	latest      int64
	marks       []int32 // of Control.Marks, in the order of their ranges
}

func (v vector) time() time.Time { return time.Unix(0, v.latest).UTC() }

// Fold makes the timeline of control rows. It is a pure function of them, but for their order in the slices, which may
// change. About n·r steps for n marks of r ranges.
//
// For the latest time t of every mark: of each range the newest usable mark that is at most spread older than t; of
// these, from the beginning of the key space on, the narrowest range from which the rest can be tiled. A mark is ignored
// when, over an overlapping range, one of its generation and of equal or earlier time stands at a greater LSN: a zombie
// or a lagging replica made it. It is ignored as well when one of a greater generation is earlier than it: its LSN means
// nothing any more, and its times would promise what it did not see. The vector is a point of t when one of its marks is of
// t (else only marks that were left aside are, and nothing is newly known), the table has passed the offsets that its marks
// name, and a definition stands within them. So an incarnation has at most one point per time.
func Fold(control *Control, rules Rules) *Timeline {
	t := &Timeline{control: control, rules: rules, expiries: control.expiries(), settled: map[string]int64{}}
	by := map[string][]int32{}
	for i := range control.Marks {
		if control.Marks[i].begins() {
			t.begins = append(t.begins, int32(i))
		}
		by[control.Marks[i].Incarnation] = append(by[control.Marks[i].Incarnation], int32(i))
	}
	newest := int64(0)
	for incarnation, marks := range by {
		f := newFold(control, incarnation, marks)
		points, pending := f.run()
		t.points = append(t.points, points...)
		heard := f.hear()
		t.settled[incarnation] = slices.Min(heard)
		if f.now > newest || newest == 0 {
			newest, t.pending, t.quiet = f.now, pending, f.quiet(heard)
		}
	}
	slices.SortStableFunc(t.points, func(a, b vector) int {
		return cmp.Or(cmp.Compare(a.latest, b.latest), strings.Compare(a.incarnation, b.incarnation))
	})
	if len(by) == 0 {
		t.pending = []string{"no mark of it is archived yet: its producer has not begun, or the archiver has not come to it"}
	}
	return t
}

// fold is Fold for one incarnation.
type fold struct {
	control     *Control
	incarnation string
	marks       []int32   // by latest time
	definitions []int32   // of Control.Definitions
	spans       []*span   // the ranges that marks speak of, by lower bound, narrow before wide
	spanOf      []*span   // by position in marks
	bounds      []string  // of all spans, ascending
	starting    [][]*span // by position in bounds, narrow before wide
	reach       []bool    // by position in bounds: the key space from there on can be tiled
	now         int64
}

// span is a range of marks, with what the fold knows of it at the time it has come to.
type span struct {
	text       schemas.FeedRange
	lo, hi     string // bounds without trailing zeros: equal text is equal bound
	from, to   int    // positions of the bounds
	overlaps   []*span
	reached    map[schemas.Generation]schemas.LSN // greatest LSN of any mark so far
	generation schemas.Generation                 // greatest of any mark of an earlier time
	newest     int32                              // mark, -1 is none
	last       int32                              // mark of any kind, for Pending
}

func newFold(control *Control, incarnation string, marks []int32) *fold {
	f := &fold{control: control, incarnation: incarnation, marks: marks}
	slices.SortFunc(marks, func(a, b int32) int {
		x, y := &control.Marks[a], &control.Marks[b]
		return cmp.Or(cmp.Compare(x.Latest, y.Latest), cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Offset, y.Offset))
	})
	for i := range control.Definitions {
		if control.Definitions[i].Incarnation == incarnation {
			f.definitions = append(f.definitions, int32(i))
		}
	}
	f.makeSpans()
	return f
}

func (f *fold) makeSpans() {
	type key struct{ lo, hi string }
	byBounds := map[key]*span{}
	f.spanOf = make([]*span, len(f.marks))
	for i, m := range f.marks {
		r := f.control.Marks[m].Range
		k := key{strings.TrimRight(r.Min, "0"), strings.TrimRight(r.Max, "0")}
		s := byBounds[k]
		if s == nil {
			s = &span{text: r, lo: k.lo, hi: k.hi, newest: -1, last: -1, reached: map[schemas.Generation]schemas.LSN{}}
			byBounds[k] = s
			f.spans = append(f.spans, s)
			f.bounds = append(f.bounds, k.lo, k.hi)
		}
		f.spanOf[i] = s
	}
	slices.SortFunc(f.spans, func(a, b *span) int { return cmp.Or(strings.Compare(a.lo, b.lo), strings.Compare(a.hi, b.hi)) })
	f.bounds = append(f.bounds, schemas.MinEPK, schemas.MaxEPK)
	slices.Sort(f.bounds)
	f.bounds = slices.Compact(f.bounds)
	f.starting = make([][]*span, len(f.bounds))
	f.reach = make([]bool, len(f.bounds))
	for _, s := range f.spans {
		s.from, _ = slices.BinarySearch(f.bounds, s.lo)
		s.to, _ = slices.BinarySearch(f.bounds, s.hi)
		f.starting[s.from] = append(f.starting[s.from], s)
		for _, o := range f.spans {
			if s.text.Overlaps(o.text) {
				s.overlaps = append(s.overlaps, o)
			}
		}
	}
}

// run goes through the marks time by time.
func (f *fold) run() (points []vector, pending []string) {
	for i := 0; i < len(f.marks); {
		end := i
		f.now = f.control.Marks[f.marks[i]].Latest
		for end < len(f.marks) && f.control.Marks[f.marks[end]].Latest == f.now {
			end++
		}
		f.take(i, end)
		i = end
		if v, ok := f.vector(); ok && v.latest == f.now && f.archived(v) == "" {
			points = append(points, v)
		}
	}
	return points, f.why()
}

// take takes the marks of one time in.
func (f *fold) take(from, to int) {
	for i := from; i < to; i++ {
		m, s := &f.control.Marks[f.marks[i]], f.spanOf[i]
		s.reached[m.Generation] = max(s.reached[m.Generation], m.LSN)
	}
	for i := from; i < to; i++ {
		m, s := &f.control.Marks[f.marks[i]], f.spanOf[i]
		if m.Mode == schemas.LatestVersion && ignored(m, s) {
			continue
		}
		s.last = f.marks[i]
		if m.usable() && f.newer(m, s.newest) {
			s.newest = f.marks[i]
		}
	}
	for i := from; i < to; i++ {
		s := f.spanOf[i]
		s.generation = max(s.generation, f.control.Marks[f.marks[i]].Generation)
	}
}

func ignored(m *MarkRow, s *span) bool {
	for _, o := range s.overlaps {
		if o.reached[m.Generation] > m.LSN || o.generation > m.Generation {
			return true
		}
	}
	return false
}

// newer tells whether m takes the place of a mark of the same range. Of equal ones that of the lower offset stays, so that
// a point keeps its name when a mark is repeated.
func (f *fold) newer(m *MarkRow, than int32) bool {
	if than < 0 {
		return true
	}
	o := &f.control.Marks[than]
	return cmp.Or(cmp.Compare(m.Latest, o.Latest), cmp.Compare(m.Generation, o.Generation), cmp.Compare(m.LSN, o.LSN)) > 0
}

func (f *fold) fresh(s *span) bool {
	return s.newest >= 0 && f.now-f.control.Marks[s.newest].Latest <= int64(spread)
}

// vector tiles the key space at the time f.now.
func (f *fold) vector() (vector, bool) {
	end, _ := slices.BinarySearch(f.bounds, schemas.MaxEPK)
	for i := len(f.bounds) - 1; i >= 0; i-- {
		f.reach[i] = i == end
		for _, s := range f.starting[i] {
			if i < end && f.reach[s.to] && f.fresh(s) {
				f.reach[i] = true
				break
			}
		}
	}
	if !f.reach[0] {
		return vector{}, false
	}
	v := vector{incarnation: f.incarnation}
	for at := 0; at != end; {
		for _, s := range f.starting[at] {
			if f.reach[s.to] && f.fresh(s) {
				v.marks = append(v.marks, s.newest)
				v.latest = max(v.latest, f.control.Marks[s.newest].Latest)
				at = s.to
				break
			}
		}
	}
	return v, true
}

// archived says why a vector is no point yet, or nothing: the table has passed what its marks name, and holds a definition
// of then.
func (f *fold) archived(v vector) string {
	defined := false
	for _, i := range v.marks {
		m := &f.control.Marks[i]
		for partition, offset := range m.Offsets {
			if offset >= 0 && !covers(f.control.Archived, int32(partition), offset) {
				return fmt.Sprintf("the table has not passed offset %d of topic partition %d, which the mark of range %s of %s names: the archiver has not come to it",
					offset, partition, m.Range, formatNano(m.Latest))
			}
		}
		for _, d := range f.definitions {
			place := f.control.Definitions[d].Place
			defined = defined || place.Offset <= m.acknowledged(place.Partition)
		}
	}
	if !defined {
		return "the definition of the container is not archived yet: its producer publishes it before marks"
	}
	return ""
}

func formatNano(nanoseconds int64) string { return schemas.FormatTime(time.Unix(0, nanoseconds)) }

// why says what keeps the newest marks from making a point of their time.
func (f *fold) why() []string {
	v, tiled := f.vector()
	if tiled {
		if reason := f.archived(v); reason != "" {
			return []string{reason}
		}
		if v.latest == f.now {
			return nil
		}
	}
	var why []string
	at := schemas.MinEPK
	hole := func(to string) {
		if schemas.CompareEPK(at, to) < 0 {
			why = append(why, fmt.Sprintf("no mark speaks of the effective partition keys from %q to %q", at, to))
		}
	}
	for _, s := range f.narrow() {
		hole(s.text.Min)
		if schemas.CompareEPK(at, s.text.Max) < 0 {
			at = s.text.Max
		}
		if m := &f.control.Marks[s.last]; !f.fresh(s) || !m.usable() {
			why = append(why, f.whyStale(s.text, m))
		}
	}
	hole(schemas.MaxEPK)
	if len(why) == 0 {
		why = append(why, "the newest marks overlap without tiling the key space (a split or merge is under way), or come from readers that others have overtaken")
	}
	return why
}

// narrow are the spans with marks that count and with no narrower such span inside.
func (f *fold) narrow() []*span {
	var narrow []*span
	for _, s := range f.spans {
		inner := slices.ContainsFunc(f.spans, func(o *span) bool {
			return o != s && o.last >= 0 && s.text.Covers(o.text)
		})
		if s.last >= 0 && !inner {
			narrow = append(narrow, s)
		}
	}
	return narrow
}

func (f *fold) whyStale(r schemas.FeedRange, m *MarkRow) string {
	switch {
	case m.Mode != schemas.LatestVersion:
		return fmt.Sprintf("range %s is read in mode %s, which makes no points in this version", r, m.Mode)
	case m.Basis == schemas.BasisNone:
		return fmt.Sprintf("range %s was begun at \"now\": it has history, never restore points; start it from the beginning", r)
	case m.Basis == schemas.BasisLoading:
		return fmt.Sprintf("range %s is loading: at LSN %d of %d", r, m.LSN, m.Newest)
	case !m.Drained:
		return fmt.Sprintf("range %s is not drained: at LSN %d of %d", r, m.LSN, m.Newest)
	}
	return fmt.Sprintf("the newest mark of range %s is of %s, more than %v before the newest of all", r, formatNano(m.Latest), spread)
}
