package archive

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// oracle folds points the long way round: every time is looked at by itself, and all tilings are tried.
type oracle struct{ h *history }

type oraclePoint struct {
	name   string
	latest time.Time
	exact  bool
}

func (o oracle) points() []oraclePoint {
	times := map[string][]time.Time{}
	var incarnations []string
	for _, m := range o.h.marks {
		times[m.what.Incarnation] = append(times[m.what.Incarnation], m.what.Latest)
		incarnations = append(incarnations, m.what.Incarnation)
	}
	slices.Sort(incarnations)
	var out []oraclePoint
	for _, incarnation := range slices.Compact(incarnations) {
		seen := map[string]bool{}
		for _, at := range times[incarnation] {
			p, ok := o.at(incarnation, at)
			if ok && !seen[p.name] && p.latest.Equal(at) {
				seen[p.name] = true
				out = append(out, p)
			}
		}
	}
	return out
}

func (o oracle) at(incarnation string, at time.Time) (oraclePoint, bool) {
	newest := map[string]placed[schemas.Mark]{}
	for _, m := range o.h.marks {
		old := m.what.Latest.Before(at.Add(-5 * time.Minute))
		if m.what.Incarnation != incarnation || m.what.Latest.After(at) || old || !m.what.Drained || m.what.Basis != schemas.BasisComplete || o.ignored(m.what) {
			continue
		}
		key := pad(m.what.Range.Min) + "-" + pad(m.what.Range.Max)
		if have, ok := newest[key]; !ok || betterMark(m, have) {
			newest[key] = m
		}
	}
	var marks []placed[schemas.Mark]
	for _, m := range newest {
		marks = append(marks, m)
	}
	slices.SortFunc(marks, func(a, b placed[schemas.Mark]) int {
		return strings.Compare(pad(a.what.Range.Max), pad(b.what.Range.Max))
	})
	tiling, ok := tile(marks, pad(""))
	if !ok {
		return oraclePoint{}, false
	}
	return o.describe(incarnation, tiling)
}

func betterMark(m, than placed[schemas.Mark]) bool {
	if c := m.what.Latest.Compare(than.what.Latest); c != 0 {
		return c > 0
	}
	if c := cmp.Or(cmp.Compare(m.what.Generation, than.what.Generation), cmp.Compare(m.what.LSN, than.what.LSN)); c != 0 {
		return c > 0
	}
	return m.partition < than.partition || m.partition == than.partition && m.offset < than.offset
}

func pad(bound string) string { return bound + strings.Repeat("0", 12-len(bound)) }

func (o oracle) ignored(m schemas.Mark) bool {
	for _, other := range o.h.marks {
		x := other.what
		if x.Incarnation != m.Incarnation || pad(x.Range.Min) >= pad(m.Range.Max) || pad(m.Range.Min) >= pad(x.Range.Max) || x.Latest.After(m.Latest) {
			continue
		}
		if x.Generation == m.Generation && x.LSN > m.LSN || x.Generation > m.Generation && x.Latest.Before(m.Latest) {
			return true
		}
	}
	return false
}

func tile(marks []placed[schemas.Mark], from string) ([]placed[schemas.Mark], bool) {
	if from == pad("FF") {
		return nil, true
	}
	for _, m := range marks {
		if pad(m.what.Range.Min) != from {
			continue
		}
		if rest, ok := tile(marks, pad(m.what.Range.Max)); ok {
			return append([]placed[schemas.Mark]{m}, rest...), true
		}
	}
	return nil, false
}

func (o oracle) describe(incarnation string, marks []placed[schemas.Mark]) (oraclePoint, bool) {
	offsets := map[int32]int64{}
	text := "almanac point 1\ncontainer " + shop + "\nincarnation " + incarnation + "\n"
	p := oraclePoint{exact: true}
	for _, m := range marks {
		text += fmt.Sprintf("cut %s-%s %d %d\n", m.what.Range.Min, m.what.Range.Max, m.what.Generation, m.what.LSN)
		if m.what.Latest.After(p.latest) {
			p.latest = m.what.Latest
		}
		for partition, offset := range m.what.Offsets {
			if have, ok := o.h.archived[partition]; offset >= 0 && (!ok || have < offset) {
				return p, false
			}
			if have, ok := offsets[partition]; !ok || offset > have {
				offsets[partition] = offset
			}
		}
	}
	for partition := range int32(64) {
		if offset, ok := offsets[partition]; ok && offset >= 0 {
			text += fmt.Sprintf("offset %d %d\n", partition, offset)
		}
	}
	within := func(partition int32, offset int64) bool {
		last, ok := offsets[partition]
		return ok && offset <= last
	}
	defined := false
	for _, d := range o.h.definitions {
		defined = defined || d.what.incarnation == incarnation && within(d.partition, d.offset)
	}
	if !defined {
		return p, false
	}
	p.name = p.latest.Format("20060102T150405.000Z") + "-" + fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:8]
	p.exact = !o.lost(incarnation, marks, within) && !o.hasUnkeyed(incarnation, marks, within) && !o.hasTTL(incarnation, marks, p.latest, within)
	return p, true
}

func (o oracle) lost(incarnation string, marks []placed[schemas.Mark], within func(int32, int64) bool) bool {
	for _, l := range o.h.losses {
		if l.foreign || !within(l.partition, l.from) {
			continue
		}
		for _, m := range marks {
			before, known := int64(-1), false
			for _, first := range o.h.marks {
				f := first.what
				if f.Incarnation != incarnation || f.Basis != schemas.BasisLoading || f.LSN != 0 || f.Generation != m.what.Generation ||
					pad(f.Range.Min) >= pad(m.what.Range.Max) || pad(m.what.Range.Min) >= pad(f.Range.Max) {
					continue
				}
				offset, ok := f.Offsets[l.partition]
				if !ok {
					offset = -1
				}
				if !known || offset < before {
					before, known = offset, true
				}
			}
			if before < l.to {
				return true
			}
		}
	}
	return false
}

func (o oracle) hasUnkeyed(incarnation string, marks []placed[schemas.Mark], within func(int32, int64) bool) bool {
	for _, u := range o.h.unkeyed {
		for _, m := range marks {
			if u.what.incarnation == incarnation && within(u.partition, u.offset) && u.what.generation == m.what.Generation && u.what.lsn <= m.what.LSN &&
				pad(u.what.feedRange.Min) < pad(m.what.Range.Max) && pad(m.what.Range.Min) < pad(u.what.feedRange.Max) {
				return true
			}
		}
	}
	return false
}

// hasTTL looks whether a time to live held within [begin, latest], definition by definition.
func (o oracle) hasTTL(incarnation string, marks []placed[schemas.Mark], latest time.Time, within func(int32, int64) bool) bool {
	begin := marks[0].what.Generation
	for _, m := range marks {
		begin = min(begin, m.what.Generation)
	}
	for _, d := range o.h.definitions {
		earliest, surely := inForce(d.what)
		begun := !earliest.After(latest) || within(d.partition, d.offset)
		if d.what.incarnation != incarnation || !begun || !strings.Contains(d.what.resource, "defaultTtl") {
			continue
		}
		ended := false
		for _, e := range o.h.definitions {
			_, last := inForce(e.what)
			ended = ended || e.what.incarnation == incarnation && last.After(surely) && last.UnixMilli() < int64(begin)
		}
		if !ended {
			return true
		}
	}
	return false
}

// inForce is the first and the last moment at which a definition may have come into force.
func inForce(d definition) (first, last time.Time) {
	_, ts, ok := strings.Cut(d.resource, `"_ts":`)
	if !ok {
		return time.Time{}, d.observed
	}
	seconds, err := strconv.ParseInt(strings.TrimRight(ts, "}"), 10, 64)
	if err != nil {
		panic(err)
	}
	return time.Unix(seconds, 0), time.Unix(seconds, 999_999_999)
}
