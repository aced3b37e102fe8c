package oracle

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// span names one generation of one range of one container.
type span struct {
	rid        string
	r          Span
	generation int64
}

// Lineages tells which configuration number each generation of each range was read under.
type Lineages map[span]int64

// Of are the configuration numbers under which a range of a container was read, each with its greatest generation.
func (l Lineages) Of(rid string, r Span) map[int64]int64 {
	found := map[int64]int64{}
	for key, config := range l {
		if key.rid == rid && key.r == r {
			found[config] = max(found[config], key.generation)
		}
	}
	return found
}

// located is where the copies of a change stand that a generation read.
type located map[generationChange][]*Row

type generationChange struct {
	change
	generation int64
}

func (a *Archive) locate() located {
	found := located{}
	for i := range a.Rows {
		r := &a.Rows[i]
		if r.Container == control {
			continue
		}
		key := generationChange{change{r.Incarnation, r.Doc, r.LSN, r.ETag}, r.Generation}
		found[key] = append(found[key], r)
	}
	return found
}

// CheckMarks judges INV-1 and INV-5: for every mark that counts, every document that was there at its cut has a row of
// the mark's generation within the mark's offsets; nothing acknowledged before complete_to is above the cut; nothing
// within it is later than latest. A generation belongs to one lineage of its range: the first that contradicts
// nothing, and never one below that of the generation before.
func (a *Archive) CheckMarks(ledger Ledger, report *Report) Lineages {
	rows := a.locate()
	marks := map[span][]*Mark{}
	last := a.Last()
	for i := range a.Marks {
		m := &a.Marks[i]
		m.ahead = m.isAhead(last)
		key := span{m.Incarnation, m.Range, m.Generation}
		marks[key] = append(marks[key], m)
	}
	a.checkStrays(ledger, marks, report)
	lineages := Lineages{}
	reached := map[span]int64{} // without generation: the configuration that an earlier generation had
	keys := slices.SortedFunc(maps.Keys(marks), func(x, y span) int {
		return cmp.Or(cmp.Compare(x.rid, y.rid), cmp.Compare(x.r.Min, y.r.Min), cmp.Compare(x.generation, y.generation))
	})
	for _, key := range keys {
		h := ledger[key.rid]
		if h == nil {
			report.Add("marks", "%s is of an incarnation that the ledger does not know", marks[key][0])
			continue
		}
		place := span{rid: key.rid, r: key.r}
		config, wrong := bestLineage(h.Range(key.r), reached[place], key, marks[key], rows, a.Rows)
		for _, text := range wrong {
			report.Add("marks", "%s", text)
		}
		lineages[key], reached[place] = config, config
	}
	return lineages
}

// checkStrays finds rows of a generation that no mark announced: a generation begins with a mark.
func (a *Archive) checkStrays(ledger Ledger, marks map[span][]*Mark, report *Report) {
	for i := range a.Rows {
		r := &a.Rows[i]
		h := ledger[r.Incarnation]
		if r.Container == control || h == nil {
			continue
		}
		for _, one := range h.Ranges {
			if one.Holds(r.EPK) && len(marks[span{r.Incarnation, one.Span, r.Generation}]) == 0 {
				report.Add("marks", "%s: generation %d of range %s has no mark", r.where(), r.Generation, one.Span)
			}
		}
	}
}

func bestLineage(r *Range, from int64, key span, marks []*Mark, rows located, all []Row) (int64, []string) {
	var best []string
	chosen := int64(-1)
	for _, config := range r.Configs() {
		if config < from {
			continue
		}
		wrong := checkLineage(r, config, key, marks, rows, all)
		if chosen < 0 || len(wrong) < len(best) {
			chosen, best = config, wrong
		}
		if len(wrong) == 0 {
			break
		}
	}
	return chosen, best
}

// checkLineage says what contradicts that a generation was read under a configuration.
func checkLineage(r *Range, config int64, key span, marks []*Mark, rows located, all []Row) []string {
	var wrong []string
	lineage := r.Lineage(config)
	in := map[change]bool{}
	for i := range lineage {
		e := &lineage[i]
		in[change{key.rid, e.doc(), e.LSN, e.ETag}] = true
	}
	for i := range all {
		row := &all[i]
		if row.Container == control || row.Incarnation != key.rid || row.Generation != key.generation || !key.r.Holds(row.EPK) {
			continue
		}
		if !in[change{key.rid, row.Doc, row.LSN, row.ETag}] {
			wrong = append(wrong, fmt.Sprintf("%s: lsn %d of generation %d was not true under configuration %d of range %s",
				row.where(), row.LSN, row.Generation, config, key.r))
		}
	}
	for _, m := range marks {
		if m.Counts() && !m.ahead {
			wrong = append(wrong, checkMark(m, r, config, lineage, rows)...)
		}
	}
	return wrong
}

func checkMark(m *Mark, r *Range, config int64, lineage []Entry, rows located) []string {
	var wrong []string
	if m.LSN < m.Newest {
		wrong = append(wrong, fmt.Sprintf("%s is called drained, its newest is %d", m, m.Newest))
	}
	for doc, e := range Fold(lineage, m.LSN) {
		if e.Op == "delete" {
			continue
		}
		copies := rows[generationChange{change{m.Incarnation, doc, e.LSN, e.ETag}, m.Generation}]
		if !slices.ContainsFunc(copies, func(row *Row) bool { return row.Offset <= m.offset(row.Partition) }) {
			wrong = append(wrong, fmt.Sprintf("%s: document %s %s in its version at %d is not within its offsets (%d copies elsewhere)",
				m, doc.PK, doc.ID, e.LSN, len(copies)))
		}
	}
	for _, e := range lineage {
		switch {
		case e.LSN > m.LSN && !e.Time.After(m.CompleteTo):
			wrong = append(wrong, fmt.Sprintf("%s: lsn %d of %s is above it, but was acknowledged before its complete_to %s",
				m, e.LSN, stamp(e.Time), stamp(m.CompleteTo)))
		case e.LSN <= m.LSN && e.after(m.Latest):
			wrong = append(wrong, fmt.Sprintf("%s: lsn %d of %s is in it, but later than its latest %s", m, e.LSN, stamp(e.Time), stamp(m.Latest)))
		}
	}
	for i := range r.Lines {
		e := &r.Lines[i]
		if e.Op != "failover" && e.Config > config && !e.Time.After(m.CompleteTo) {
			wrong = append(wrong, fmt.Sprintf("%s: lsn %d of %s under configuration %d was acknowledged before its complete_to %s",
				m, e.LSN, stamp(e.Time), e.Config, stamp(m.CompleteTo)))
		}
	}
	return wrong
}

func (m *Mark) isAhead(last map[int32]int64) bool {
	for text, offset := range m.Offsets {
		partition, err := strconv.ParseInt(text, 10, 32)
		if have, ok := last[int32(partition)]; err != nil || offset >= 0 && (!ok || have < offset) {
			return true
		}
	}
	return false
}

func (m *Mark) offset(partition int32) int64 {
	if offset, ok := m.Offsets[fmt.Sprint(partition)]; ok {
		return offset
	}
	return -1
}
