package oracle

import (
	"fmt"
	"maps"
	"slices"
)

// CheckOffsets judges INV-3: of every topic partition the offsets 0 up to below its end are one row each, and every
// commit holds exactly the offsets between the txn below it and its own.
func (a *Archive) CheckOffsets(ends map[int32]int64, report *Report) {
	offsets := map[int32][]int64{}
	byFile := map[string][]*Row{}
	for i := range a.Rows {
		r := &a.Rows[i]
		offsets[r.Partition] = append(offsets[r.Partition], r.Offset)
		byFile[r.File] = append(byFile[r.File], r)
		if r.Topic != a.UUID {
			report.Add("offsets", "%s carries topic %s, topic.json says %s", r.where(), r.Topic, a.UUID)
		}
	}
	for partition := range offsets {
		if _, ok := ends[partition]; !ok {
			report.Add("offsets", "%s has rows of partition %d, which the topic does not have", a.Topic, partition)
		}
	}
	for _, partition := range slices.Sorted(maps.Keys(ends)) {
		a.checkPartition(partition, offsets[partition], ends[partition], report)
	}
	for i := range a.Marks {
		if m := &a.Marks[i]; m.isAhead(lastOf(ends)) {
			report.Add("offsets", "%s names offsets %v, the topic ends before %v", m, m.Offsets, ends)
		}
	}
	below := map[int32]int64{}
	for version, c := range a.Table.Commits {
		a.checkCommit(version, c, byFile, below, report)
	}
}

func lastOf(ends map[int32]int64) map[int32]int64 {
	last := map[int32]int64{}
	for partition, end := range ends {
		last[partition] = end - 1
	}
	return last
}

func (a *Archive) checkPartition(partition int32, have []int64, end int64, report *Report) {
	slices.Sort(have)
	next := int64(0)
	for _, offset := range have {
		switch {
		case offset < next:
			report.Add("offsets", "%s-%d: offset %d stands twice", a.Topic, partition, offset)
			continue
		case offset > next:
			report.Add("offsets", "%s-%d: offsets %d to %d are missing", a.Topic, partition, next, offset-1)
		}
		next = offset + 1
	}
	if next != end {
		report.Add("offsets", "%s-%d: rows end before offset %d, the topic ends before %d", a.Topic, partition, next, end)
	}
}

// checkCommit compares a commit's rows with its txn actions; below is where each partition stood before it.
func (a *Archive) checkCommit(version int, c Commit, byFile map[string][]*Row, below map[int32]int64, report *Report) {
	covered := map[int32][]int64{}
	for _, add := range c.Adds {
		for _, r := range byFile[add.Path] {
			covered[r.Partition] = append(covered[r.Partition], r.Offset)
		}
	}
	for partition, offsets := range covered {
		slices.Sort(offsets)
		first := int64(0)
		if last, ok := below[partition]; ok {
			first = last + 1
		}
		txn, ok := c.Txns[fmt.Sprintf("%s-%d", a.UUID, partition)]
		if !ok || offsets[0] != first || offsets[len(offsets)-1] != txn || int64(len(offsets)) != txn-first+1 {
			report.Add("commits", "%s version %d holds %d rows of partition %d, offsets %d to %d; its txn says %d, the version below ends before %d",
				a.Topic, version, len(offsets), partition, offsets[0], offsets[len(offsets)-1], txn, first)
		}
	}
	for app, last := range c.Txns {
		var partition int32
		if _, err := fmt.Sscanf(app, a.UUID+"-%d", &partition); err != nil {
			continue
		}
		if len(covered[partition]) == 0 {
			report.Add("commits", "%s version %d moves partition %d to %d without rows", a.Topic, version, partition, last)
		}
		below[partition] = last
	}
}
