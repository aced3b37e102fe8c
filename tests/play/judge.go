package play

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
)

// FirstPoints waits until every container has one.
func (p *Play) FirstPoints() {
	p.TopicsExist()
	for _, c := range p.Containers {
		p.Until(p.options.Patience, "the first point of "+c.Name(), func() (string, error) {
			if list := p.Points(c); len(list.Points) == 0 {
				return fmt.Sprintf("pending: %q", list.Pending), nil
			}
			return "", nil
		})
	}
}

// TopicsExist waits until the producers have come to all topics.
func (p *Play) TopicsExist() {
	for _, topic := range p.Topics {
		p.Until(p.options.Patience, "topic.json of "+topic, func() (string, error) {
			_, err := p.Stack.Read(p.Ctx, topic+"/topic.json")
			if errors.Is(err, fs.ErrNotExist) {
				return "there is none", nil
			}
			return "", err
		})
	}
}

// Snapshot takes one of every container's newest point.
func (p *Play) Snapshot() {
	for _, c := range p.Containers {
		var taken struct{ Point string }
		p.Tell(&taken, "compactor", "snapshot", "--container", c.Name(), "-o", "json")
		list := p.Points(c).Points
		if want := list[len(list)-1].Name; taken.Point != want {
			p.Errorf("snapshot of %s: got %s want the newest point %s", c.Name(), taken.Point, want)
		}
	}
}

// Judge compares the archive with the ledger, when nothing moves any more.
func (p *Play) Judge() (oracle.Ledger, oracle.Lineages) {
	ledger, err := oracle.ReadLedger(p.Stack.Ledger)
	p.Must(err)
	report := &oracle.Report{}
	kinds := map[string]string{}
	for _, c := range p.Containers {
		kinds[c.Name()] = c.Kind()
	}
	lineages := oracle.Lineages{}
	for _, a := range p.archives(report) {
		ends, err := p.Stack.Ends(p.Ctx, a.Topic)
		p.Must(err)
		a.CheckOffsets(ends, report)
		a.CheckRows(ledger, kinds, report)
		maps.Copy(lineages, a.CheckMarks(ledger, report))
		p.Logf("topic %s: %d rows, %d marks, %d commits", a.Topic, len(a.Rows), len(a.Marks), len(a.Table.Commits))
	}
	p.verdict("the archive", report)
	p.premises(ledger)
	return ledger, lineages
}

// premises fails when the play did not try what it is there to try.
func (p *Play) premises(ledger oracle.Ledger) {
	for _, c := range p.Containers {
		for _, r := range ledger.ByName(c.Name()).Ranges {
			for i := range r.Lines {
				if e := &r.Lines[i]; e.SHA256 != "" && p.Library.Get(e.SHA256) == nil {
					p.Fatalf("nobody wrote the document %s %s of lsn %d with SHA-256 %s", e.PK, e.ID, e.LSN, e.SHA256)
				}
			}
		}
		large, err := filepath.Glob(filepath.Join(p.Stack.Archive, c.TopicName(), "large", "*", "*"))
		if err != nil || len(large) == 0 {
			p.Errorf("no document of topic %s went by claim check (%v)", c.TopicName(), err)
		}
	}
}

// archives reads what stands in the store.
func (p *Play) archives(report *oracle.Report) []*oracle.Archive {
	p.Must(p.Stack.Fetch(p.Ctx))
	var out []*oracle.Archive
	for _, topic := range p.Topics {
		a, err := oracle.ReadArchive(p.Stack.Archive, topic, report)
		p.Must(err)
		out = append(out, a)
	}
	return out
}

// verdict fails the test when the report is not empty.
func (p *Play) verdict(what string, report *oracle.Report) {
	p.Helper()
	if report.Total() > 0 {
		p.Errorf("%s: %d findings in %s\n%s", what, report.Total(), filepath.Base(p.Stack.Dir), report)
	}
}
