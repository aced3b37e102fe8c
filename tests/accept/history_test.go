package accept

import (
	"context"
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
				p.writeCorpus()
			})
			p.quiesce()
			p.judge()
		})
	}
}

// firstPoints waits until every container has one.
func (p *play) firstPoints() {
	for _, c := range p.containers {
		p.until(30*time.Second, "the first point of "+c.Name(), func() (string, error) {
			if _, err := os.Stat(filepath.Join(p.stack.Archive, c.TopicName(), "topic.json")); err != nil {
				return err.Error(), nil
			}
			if list := p.points(c); len(list.Points) == 0 {
				return "pending: " + fmtList(list.Pending), nil
			}
			return "", nil
		})
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
	return ledger, lineages
}
