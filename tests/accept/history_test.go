package accept

import (
	"context"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/play"
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
			p := newDirector(ctx, t, test.topic)
			p.WriteCorpus()
			p.Spawn()
			p.Perform(func() {
				p.FirstPoints()
				p.harm()
				p.WriteCorpus() // a failover may have undone some of it
			})
			p.Quiesce()
			p.Snapshot()
			ledger, lineages := p.Judge()
			p.failedOver(ledger, lineages)
			p.Moments(play.Sample{ByName: 10, ByTime: 5, Outside: 5}, ledger, lineages)
		})
	}
}

// failedOver fails when the range that failed over was not read anew.
func (p *director) failedOver(ledger oracle.Ledger, lineages oracle.Lineages) {
	if read := lineages.Of(ledger.ByName(p.failed.Name()).RID, p.failedRange); len(read) != 2 {
		p.Errorf("range %s of %s failed over once; it was read under %d configuration numbers: %v", p.failedRange, p.failed.Name(), len(read), read)
	}
}
