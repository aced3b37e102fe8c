package oracle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Entry is one line of the ledger.
type Entry struct {
	Op         string    `json:"op"`
	Container  string    `json:"container"`
	RID        string    `json:"rid"`
	Range      string    `json:"range"`
	Min        string    `json:"min"`
	Max        string    `json:"max"`
	Config     int64     `json:"config"`
	LSN        int64     `json:"lsn"`
	UndoneFrom int64     `json:"undone_from"`
	Time       time.Time `json:"time"`
	PK         string    `json:"pk"`
	ID         string    `json:"id"`
	SHA256     string    `json:"sha256"`
	ETag       string    `json:"etag"`

	at Doc
}

// Doc identifies a document inside a container.
type Doc struct{ PK, ID string }

func (e *Entry) doc() Doc { return e.at }

// after reports whether a write is later than a time of the archive, which has milliseconds: both stand for a whole one.
func (e *Entry) after(t time.Time) bool {
	return e.Time.Truncate(time.Millisecond).After(t.Truncate(time.Millisecond))
}

// Ledger is the history of every container by its resource id.
type Ledger map[string]*History

// History is what the ledger says of one container.
type History struct {
	Container string
	RID       string
	Ranges    []*Range // in order of their lower bounds
}

// Range is the history of one feed range, in the order in which it happened.
type Range struct {
	Span
	Lines []Entry // writes and failovers
}

// ReadLedger reads the file. A last line without an end is left out: its write was not acknowledged.
func ReadLedger(path string) (Ledger, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	ledger := Ledger{}
	reader := bufio.NewReaderSize(file, 1<<16)
	for n := 1; ; n++ {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return ledger, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read ledger: %w", err)
		}
		var e Entry
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return nil, fmt.Errorf("read ledger line %d: %w", n, err)
		}
		if e.ID != "" {
			pk, err := normal(e.PK)
			if err != nil {
				return nil, fmt.Errorf("read ledger line %d: %w", n, err)
			}
			e.at = Doc{PK: pk, ID: e.ID}
		}
		ledger.add(e)
	}
}

func (l Ledger) add(e Entry) {
	h := l[e.RID]
	if h == nil {
		h = &History{Container: e.Container, RID: e.RID}
		l[e.RID] = h
	}
	if e.LSN == 0 && e.UndoneFrom == 0 {
		return // the container's own life
	}
	at := 0
	for at < len(h.Ranges) && h.Ranges[at].Min < e.Min {
		at++
	}
	if at == len(h.Ranges) || h.Ranges[at].Min != e.Min {
		h.Ranges = append(h.Ranges[:at], append([]*Range{{Span: Span{e.Min, e.Max}}}, h.Ranges[at:]...)...)
	}
	h.Ranges[at].Lines = append(h.Ranges[at].Lines, e)
}

// ByName is the history of the newest container of that name, or nil.
func (l Ledger) ByName(name string) *History {
	var found *History
	for _, h := range l {
		if h.Container == name && (found == nil || len(h.Ranges) > 0) {
			found = h
		}
	}
	return found
}

// Last is the time of the last write or failover.
func (h *History) Last() (last time.Time) {
	for _, r := range h.Ranges {
		if n := len(r.Lines); n > 0 && r.Lines[n-1].Time.After(last) {
			last = r.Lines[n-1].Time
		}
	}
	return last
}

// Range is the range with these bounds; one without any write is empty.
func (h *History) Range(s Span) *Range {
	for _, r := range h.Ranges {
		if r.Span == s {
			return r
		}
	}
	return &Range{Span: s}
}

// Configs are the configuration numbers under which the range was written, ascending; at least one.
func (r *Range) Configs() []int64 {
	var configs []int64
	for _, e := range r.Lines {
		if len(configs) == 0 || configs[len(configs)-1] < e.Config {
			configs = append(configs, e.Config)
		}
	}
	if len(configs) == 0 {
		configs = []int64{1}
	}
	if len(r.Lines) > 0 && r.Lines[0].Op == "failover" { // nothing was written before it
		configs = append([]int64{r.Lines[0].Config - 1}, configs...)
	}
	return configs
}

// Lineage is the line of writes that was true under the configuration number: those before the next failover, less
// what earlier failovers undid.
func (r *Range) Lineage(config int64) []Entry {
	var line []Entry
	for _, e := range r.Lines {
		if e.Config > config {
			break
		}
		if e.Op != "failover" {
			line = append(line, e)
			continue
		}
		for len(line) > 0 && line[len(line)-1].LSN >= e.UndoneFrom {
			line = line[:len(line)-1]
		}
	}
	return line
}

// Fold is the last entry of every document of a lineage at or below the LSN, deletions included.
func Fold(lineage []Entry, lsn int64) map[Doc]*Entry {
	last := map[Doc]*Entry{}
	for i := range lineage {
		if e := &lineage[i]; e.LSN <= lsn {
			last[e.doc()] = e
		}
	}
	return last
}

// Final is the content of the container by its ledger: every document's last entry, deletions left out.
func (h *History) Final() map[Doc]*Entry {
	content := map[Doc]*Entry{}
	for _, r := range h.Ranges {
		configs := r.Configs()
		lineage := r.Lineage(configs[len(configs)-1])
		for doc, e := range Fold(lineage, 1<<62) {
			if e.Op != "delete" {
				content[doc] = e
			}
		}
	}
	return content
}
