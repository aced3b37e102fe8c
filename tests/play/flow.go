package play

import (
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// Pause lets the programs work.
func (p *Play) Pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.Ctx.Done():
		p.Fatal(p.Ctx.Err())
	}
}

// Flow tells whether rows of documents were archived since it was asked last.
type Flow struct {
	play   *Play
	topics []*harness.Progress
	before int64
}

// NewFlow begins with nothing, so that the first row counts.
func (p *Play) NewFlow() *Flow {
	f := &Flow{play: p}
	for _, topic := range p.Topics {
		f.topics = append(f.topics, p.Stack.Progress(topic))
	}
	return f
}

// Moved says what is missing; it is a condition for Until.
func (f *Flow) Moved() (string, error) {
	var rows int64
	for _, topic := range f.topics {
		if err := topic.Refresh(f.play.Ctx); err != nil {
			return "", err
		}
		for _, c := range f.play.Containers {
			rows += topic.Rows[c.Name()]
		}
	}
	if rows == f.before {
		return fmt.Sprintf("still %d rows", rows), nil
	}
	f.before = rows
	return "", nil
}
