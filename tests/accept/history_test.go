package accept

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
)

const playMost = 4 * time.Minute

func TestHistory(t *testing.T) {
	for _, test := range []struct{ name, topic string }{
		{"one topic", "history"},
		{"two topics", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), playMost)
			defer cancel()
			p := newPlay(t, ctx, test.topic)
			p.writeCorpus()
			p.spawn()
			p.perform(func() {
				p.firstPoints()
				p.harm()
				p.writeCorpus() // a failover may have undone some of it
			})
			p.quiesce()
			p.snapshot()
			ledger, lineages := p.judge()
			p.moments(ledger, lineages)
		})
	}
}

// firstPoints waits until every container has one.
func (p *play) firstPoints() {
	p.topicsExist()
	for _, c := range p.containers {
		p.until(30*time.Second, "the first point of "+c.Name(), func() (string, error) {
			if list := p.points(c); len(list.Points) == 0 {
				return fmt.Sprintf("pending: %q", list.Pending), nil
			}
			return "", nil
		})
	}
}

// topicsExist waits until the producers have come to all topics.
func (p *play) topicsExist() {
	for _, topic := range p.topics {
		p.until(30*time.Second, "topic.json of "+topic, func() (string, error) {
			if _, err := os.Stat(filepath.Join(p.stack.Archive, topic, "topic.json")); err != nil {
				return err.Error(), nil
			}
			return "", nil
		})
	}
}

// snapshot takes one of every container's newest point.
func (p *play) snapshot() {
	for _, c := range p.containers {
		var taken struct{ Point string }
		p.tell(&taken, "compactor", "snapshot", "--container", c.Name(), "-o", "json")
		list := p.points(c).Points
		if want := list[len(list)-1].Name; taken.Point != want {
			p.Errorf("snapshot of %s: got %s want the newest point %s", c.Name(), taken.Point, want)
		}
	}
}

// judge compares the archive with the ledger.
func (p *play) judge() (oracle.Ledger, oracle.Lineages) {
	ledger, err := oracle.ReadLedger(p.stack.Ledger)
	p.must(err)
	report := &oracle.Report{}
	kinds := map[string]string{}
	for _, c := range p.containers {
		kinds[c.Name()] = c.Kind()
	}
	lineages := oracle.Lineages{}
	for _, a := range p.archives(report) {
		ends, err := p.stack.Ends(p.ctx, a.Topic)
		p.must(err)
		a.CheckOffsets(ends, report)
		a.CheckRows(ledger, kinds, report)
		maps.Copy(lineages, a.CheckMarks(ledger, report))
		p.Logf("topic %s: %d rows, %d marks, %d commits", a.Topic, len(a.Rows), len(a.Marks), len(a.Table.Commits))
	}
	p.verdict("the archive", report)
	p.premises(ledger, lineages)
	return ledger, lineages
}

// premises fails when the play did not try what it is there to try.
func (p *play) premises(ledger oracle.Ledger, lineages oracle.Lineages) {
	for _, c := range p.containers {
		for _, r := range ledger.ByName(c.Name()).Ranges {
			for i := range r.Lines {
				if e := &r.Lines[i]; e.SHA256 != "" && p.library.Get(e.SHA256) == nil {
					p.Fatalf("nobody wrote the document %s %s of lsn %d with SHA-256 %s", e.PK, e.ID, e.LSN, e.SHA256)
				}
			}
		}
		large, err := filepath.Glob(filepath.Join(p.stack.Archive, c.TopicName(), "large", "*", "*"))
		if err != nil || len(large) == 0 {
			p.Errorf("no document of topic %s went by claim check (%v)", c.TopicName(), err)
		}
	}
	if read := lineages.Of(ledger.ByName(p.failed.Name()).RID, p.failedRange); len(read) != 2 {
		p.Errorf("range %s of %s failed over once; it was read under %d configuration numbers: %v", p.failedRange, p.failed.Name(), len(read), read)
	}
}
