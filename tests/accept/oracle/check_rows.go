package oracle

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// change names one change wherever it was read.
type change struct {
	rid  string // container
	doc  Doc
	lsn  int64
	etag string
}

// CheckRows judges INV-6 and INV-4 by rows: every change is an entry of the ledger, with its bytes, its time and its
// key's hash; copies of one change differ only where they may; no order has two changes. kinds is the kind of every
// container's partition key by name (Hash or MultiHash).
func (a *Archive) CheckRows(ledger Ledger, kinds map[string]string, report *Report) {
	entries := map[change]*Entry{}
	for _, h := range ledger {
		for _, r := range h.Ranges {
			for i := range r.Lines {
				e := &r.Lines[i]
				entries[change{h.RID, e.doc(), e.LSN, e.ETag}] = e
			}
		}
	}
	type place struct {
		rid        string
		doc        Doc
		generation int64
		lsn        int64
		ordinal    int32
	}
	first := map[change]*Row{}
	winner := map[place]string{}
	for i := range a.Rows {
		r := &a.Rows[i]
		if r.Container == control {
			a.checkControl(r, report)
			continue
		}
		c := change{r.Incarnation, r.Doc, r.LSN, r.ETag}
		checkChange(r, entries[c], kinds[r.Container], report)
		if other := first[c]; other == nil {
			first[c] = r
		} else if difference := compareCopies(other, r); difference != "" {
			report.Add("copies", "%s and its copy at %d:%d differ in %s", r.where(), other.Partition, other.Offset, difference)
		}
		p := place{r.Incarnation, r.Doc, r.Generation, r.LSN, r.Ordinal}
		if etag, ok := winner[p]; ok && etag != r.ETag {
			report.Add("contradictions", "%s: generation %d lsn %d has etags %s and %s", r.where(), r.Generation, r.LSN, etag, r.ETag)
		}
		winner[p] = r.ETag
	}
}

func (a *Archive) checkControl(r *Row, report *Report) {
	switch r.Op {
	case "mark", "definition":
	default:
		report.Add("control", "row %s at %d:%d: %s", r.Op, r.Partition, r.Offset, strings.ToValidUTF8(string(r.Document), "?"))
	}
}

func checkChange(r *Row, e *Entry, kind string, report *Report) {
	if e == nil {
		report.Add("rows", "%s: the ledger knows no write of it with lsn %d and etag %s in %s", r.where(), r.LSN, r.ETag, r.Incarnation)
		return
	}
	span := Span{e.Min, e.Max}
	epk, err := EPK(e.PK, kind)
	if err != nil {
		report.Add("rows", "%s: %v", r.where(), err)
	}
	second := e.Time.Truncate(time.Second).UnixMicro()
	for _, wrong := range []struct {
		is   bool
		what string
	}{
		{r.Container != e.Container, "container " + e.Container},
		{r.PartitionKey != e.PK, "partition key as canonical JSON " + e.PK},
		{r.User != e.SHA256, "user's bytes with SHA-256 " + e.SHA256 + ", not " + r.User},
		{r.EPK != epk, "epk " + epk + ", not " + r.EPK},
		{!span.Holds(r.EPK), "an epk in range " + span.String()},
		{r.TS != second, fmt.Sprintf("ts %d, not %d", second, r.TS)},
		{r.Op != "upserted" && r.Op != "read", "op upserted or read, not " + r.Op},
		{r.Ordinal != 0, "ordinal 0"},
		{r.Generation <= 0, "a generation"},
	} {
		if wrong.is {
			report.Add("rows", "%s (lsn %d): want %s", r.where(), r.LSN, wrong.what)
		}
	}
}

// compareCopies names the columns in which two rows of one change differ, those left out that may differ: offset,
// published_at, date, and generation after a rebase.
func compareCopies(x, y *Row) string {
	var differ []string
	for _, column := range []struct {
		name string
		same bool
	}{
		{"partition_key", x.PartitionKey == y.PartitionKey},
		{"op", x.Op == y.Op},
		{"ts", x.TS == y.TS},
		{"ordinal", x.Ordinal == y.Ordinal},
		{"epk", x.EPK == y.EPK},
		{"rid", x.RID == y.RID},
		{"ttl", x.TTL == y.TTL},
		{"document", x.Bytes == y.Bytes},
		{"topic", x.Topic == y.Topic},
		{"topic_partition", x.Partition == y.Partition},
		{"container", x.Container == y.Container},
	} {
		if !column.same {
			differ = append(differ, column.name)
		}
	}
	slices.Sort(differ)
	return strings.Join(differ, ", ")
}
