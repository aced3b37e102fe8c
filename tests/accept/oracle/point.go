package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Cut is one position of a restore point.
type Cut struct {
	Range      Span  `json:"range"`
	Generation int64 `json:"generation"`
	LSN        int64 `json:"lsn"`
}

// Point is a restore point as a program lists it.
type Point struct {
	Name        string           `json:"name"`
	Container   string           `json:"container"`
	Incarnation string           `json:"incarnation"`
	Earliest    time.Time        `json:"earliest"`
	Latest      time.Time        `json:"latest"`
	CompleteTo  time.Time        `json:"complete_to"`
	Cuts        []Cut            `json:"cuts"`
	Offsets     map[string]int64 `json:"offsets"`
}

// Keeps reports whether a later listing of the same name says the same: the vector and its time. Of the other two times
// the listing may know better, since marks of ranges that stood still, of the same second, can be archived later; they
// never go back.
func (p *Point) Keeps(later *Point) bool {
	return p.Name == later.Name && p.Container == later.Container && p.Incarnation == later.Incarnation &&
		p.Latest.Equal(later.Latest) && slices.Equal(p.Cuts, later.Cuts) && maps.Equal(p.Offsets, later.Offsets) &&
		!later.Earliest.Before(p.Earliest) && !later.CompleteTo.Before(p.CompleteTo)
}

// CheckPoint judges a listed point by the marks of the archive: its cuts tile the key space, each is a mark that
// counts, no older than five minutes before the newest of them; its times are theirs, its offsets theirs together, and
// the table has passed them.
func (a *Archive) CheckPoint(p *Point, report *Report) {
	if name := p.fold(); name != p.Name {
		report.Add("points", "%s: its vector folds to the name %s", p.Name, name)
	}
	next := ""
	var latest, earliest, complete time.Time
	offsets := map[string]int64{}
	for _, cut := range p.Cuts {
		if cut.Range.Min != next {
			report.Add("points", "%s: a cut begins at %q where %q must", p.Name, cut.Range.Min, next)
		}
		next = cut.Range.Max
		m := a.markOf(p, cut)
		if m == nil {
			report.Add("points", "%s: no mark that counts stands at %s %d/%d", p.Name, cut.Range, cut.Generation, cut.LSN)
			continue
		}
		if m.Latest.After(latest) {
			latest = m.Latest
		}
		if earliest.IsZero() || m.Latest.Before(earliest) {
			earliest = m.Latest
		}
		if complete.IsZero() || m.CompleteTo.Before(complete) {
			complete = m.CompleteTo
		}
		for partition, offset := range m.Offsets {
			if have, ok := offsets[partition]; !ok || have < offset {
				offsets[partition] = offset
			}
		}
	}
	if next != "FF" {
		report.Add("points", "%s: its cuts end at %q", p.Name, next)
	}
	if !latest.Equal(p.Latest) || latest.Sub(earliest) > 5*time.Minute {
		report.Add("points", "%s: latest is %s, its marks say %s, the oldest %s", p.Name, stamp(p.Latest), stamp(latest), stamp(earliest))
	}
	if p.CompleteTo.After(complete) {
		report.Add("points", "%s: complete_to is %s, its marks say %s", p.Name, stamp(p.CompleteTo), stamp(complete))
	}
	last := a.Last()
	for partition, offset := range offsets {
		if p.Offsets[partition] < offset {
			report.Add("points", "%s: offset of partition %s is %d, its marks say %d", p.Name, partition, p.Offsets[partition], offset)
		}
	}
	for partition, offset := range p.Offsets {
		n, err := strconv.ParseInt(partition, 10, 32)
		if err != nil || last[int32(n)] < offset {
			report.Add("points", "%s: the table ends at %d of partition %s, the point at %d", p.Name, last[int32(n)], partition, offset)
		}
	}
}

// fold is the name that the point's vector folds to: its latest time, and 8 digits of the SHA-256 of its vector in the
// archive's encoding.
func (p *Point) fold() string {
	var b strings.Builder
	fmt.Fprintf(&b, "almanac point 1\ncontainer %s\nincarnation %s\n", p.Container, p.Incarnation)
	for _, c := range p.Cuts {
		fmt.Fprintf(&b, "cut %s %d %d\n", c.Range, c.Generation, c.LSN)
	}
	partitions := map[int]int64{}
	for text, offset := range p.Offsets {
		if n, err := strconv.Atoi(text); err == nil && offset >= 0 {
			partitions[n] = offset
		}
	}
	for _, n := range slices.Sorted(maps.Keys(partitions)) {
		fmt.Fprintf(&b, "offset %d %d\n", n, partitions[n])
	}
	return p.Latest.UTC().Format("20060102T150405.000Z") + "-" + Digest([]byte(b.String()))[:8]
}

// markOf is the newest mark at the cut that is not later than the point.
func (a *Archive) markOf(p *Point, cut Cut) *Mark {
	var found *Mark
	for i := range a.Marks {
		m := &a.Marks[i]
		if m.Counts() && m.Incarnation == p.Incarnation && m.Range == cut.Range && m.Generation == cut.Generation &&
			m.LSN == cut.LSN && !m.Latest.After(p.Latest) && (found == nil || m.Latest.After(found.Latest)) {
			found = m
		}
	}
	return found
}

// Content is what a restore to the point must give: the fold of the ledger at its cuts, without deletions and without
// what gone says of a document by its digest (soft deletes). It is an error when a generation has no known lineage.
func (h *History) Content(p *Point, lineages Lineages, gone func(sha256 string) bool) (map[Doc]*Entry, error) {
	content := map[Doc]*Entry{}
	for _, cut := range p.Cuts {
		config, ok := lineages[span{h.RID, cut.Range, cut.Generation}]
		if !ok {
			return nil, fmt.Errorf("point %s: generation %d of range %s has no marks in the archive", p.Name, cut.Generation, cut.Range)
		}
		for doc, e := range Fold(h.Range(cut.Range).Lineage(config), cut.LSN) {
			if e.Op != "delete" && !gone(e.SHA256) {
				content[doc] = e
			}
		}
	}
	return content, nil
}

// CheckContent compares a restored container, as digests of the users' bytes, with what it must hold. Nothing in it may
// be later than the limit; a zero limit is none.
func CheckContent(name string, got map[Doc]string, want map[Doc]*Entry, limit time.Time, report *Report) {
	for doc, e := range want {
		switch sha, ok := got[doc]; {
		case !ok:
			report.Add("restored", "%s: document %s %s of %s is missing", name, doc.PK, doc.ID, stamp(e.Time))
		case sha != e.SHA256:
			report.Add("restored", "%s: document %s %s has SHA-256 %s, the ledger says %s at lsn %d", name, doc.PK, doc.ID, sha, e.SHA256, e.LSN)
		case !limit.IsZero() && e.after(limit):
			report.Add("restored", "%s: document %s %s is of %s, after %s", name, doc.PK, doc.ID, stamp(e.Time), stamp(limit))
		}
	}
	for doc := range got {
		if want[doc] == nil {
			report.Add("restored", "%s: document %s %s should not be there", name, doc.PK, doc.ID)
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format("15:04:05.000") }
