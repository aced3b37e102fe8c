package accept

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	kills          = 20 // of producers and archivers
	compactorKills = 5
	flowMost       = 60 * time.Second // for rows to be archived after a kill
)

// harm does everything to the stack that it must survive, while authors write.
func (p *play) harm() {
	compactor, err := p.stack.Spawn("compactor", "compactor", []string{"run"})
	p.must(err)
	ctx, cancel := context.WithCancel(p.ctx)
	var group errgroup.Group
	random := rand.New(rand.NewPCG(p.random.Uint64(), 0))
	group.Go(func() error { return p.harmCompactor(ctx, compactor, random) })
	defer func() {
		cancel()
		if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			p.Error(err)
		}
	}()
	flow := newFlow(p)
	killed := map[string]int{}
	for n := range kills {
		p.lag(time.Duration(200+p.random.IntN(1000)) * time.Millisecond)
		p.until(flowMost, "rows after a kill", flow.moved)
		victim := p.cast[p.random.IntN(len(p.cast))]
		killed[victim.Name]++
		p.must(victim.Restart())
		switch n {
		case 5, 8, 13:
			p.early = append(p.early, p.restoreEarly(p.random.IntN))
		case 17:
			p.early = append(p.early, p.restoreEarly(func(int) int { return 0 })) // the oldest, which will stay
		case 9:
			p.failOver()
		default:
			p.points(p.containers[n%len(p.containers)])
		}
	}
	p.Logf("killed %v", killed)
	p.must(group.Wait())
	p.stop(compactor)
}

// bury does what a real broker does by itself, see harness.Stack.Bury, until the function that it returns is called.
func (p *play) bury() (end func()) {
	ctx, cancel := context.WithCancel(p.ctx)
	var group errgroup.Group
	group.Go(func() error {
		ticker := time.NewTicker(session / 4)
		defer ticker.Stop()
		for buried := 0; ; {
			select {
			case <-ctx.Done():
				p.Logf("buried %d members that the broker forgot", buried)
				return nil
			case <-ticker.C:
			}
			n, err := p.stack.Bury(ctx, session)
			if err != nil && ctx.Err() == nil {
				return err
			}
			buried += n
		}
	})
	return sync.OnceFunc(func() {
		cancel()
		if err := group.Wait(); err != nil {
			p.Error(err)
		}
	})
}

// pause lets the programs work.
func (p *play) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
		p.Fatal(p.ctx.Err())
	}
}

// flow tells whether rows of documents were archived since it was asked last.
type flow struct {
	containers []harness.Container
	topics     []*harness.Progress
	before     int64
}

func newFlow(p *play) *flow {
	f := &flow{containers: p.containers}
	for _, topic := range p.topics {
		f.topics = append(f.topics, p.stack.Progress(topic))
	}
	return f
}

func (f *flow) moved() (string, error) {
	var rows int64
	for _, topic := range f.topics {
		if err := topic.Refresh(); err != nil {
			return "", err
		}
		for _, c := range f.containers {
			rows += topic.Rows[c.Name()]
		}
	}
	if rows == f.before {
		return fmt.Sprintf("still %d rows", rows), nil
	}
	f.before = rows
	return "", nil
}

// anyRange is a range in which something was written.
func (p *play) anyRange() (cosmosfake.Range, cosmosfake.RangeState) {
	c := p.containers[p.random.IntN(len(p.containers))]
	states, err := p.stack.Cosmos.Ranges(c.Database, c.ID)
	p.must(err)
	for {
		if s := states[p.random.IntN(len(states))]; s.Items > 0 {
			return cosmosfake.Range{Database: c.Database, Container: c.ID, ID: s.ID}, s
		}
	}
}

// lagMost is how far a replica falls behind at most: less than settle, by what answering a request may take.
const lagMost = settle - time.Second

// lag lets a replica of some range fall behind for a while, by less than the programs are told to allow for, however busy
// the machine is; and the service write something of its own elsewhere. In between the programs work for so long.
func (p *play) lag(work time.Duration) {
	r, before := p.anyRange()
	began := time.Now()
	p.stack.Cosmos.SetHook(func(*http.Request) *cosmosfake.Fault {
		if time.Since(began) >= lagMost {
			_, _ = p.stack.Cosmos.ClearLag(r) // the range exists
		}
		return nil
	})
	defer p.stack.Cosmos.SetHook(nil)
	p.pause(work / 2)
	states, err := p.stack.Cosmos.Ranges(r.Database, r.Container)
	p.must(err)
	i := slices.IndexFunc(states, func(s cosmosfake.RangeState) bool { return s.ID == r.ID })
	if behind := states[i].Newest - before.Newest; behind >= 0 {
		_, err = p.stack.Cosmos.Lag(r, behind, 0)
		p.must(err)
	}
	other, _ := p.anyRange()
	_, err = p.stack.Cosmos.Bump(other, int64(1+p.random.IntN(3)))
	p.must(err)
	p.pause(work / 2)
	_, err = p.stack.Cosmos.ClearLag(r)
	p.must(err)
}

// failOver undoes the last writes of a range, some that its reader has read among them.
func (p *play) failOver() {
	r, before := p.anyRange()
	c := harness.Container{Database: r.Database, ID: r.Container}
	topic := p.containers[slices.IndexFunc(p.containers, func(o harness.Container) bool { return o.Name() == c.Name() })].TopicName()
	span := oracle.Span{Min: before.Span.Min, Max: before.Span.Max}
	p.until(flowMost, "the reader of range "+span.String(), func() (string, error) {
		var checkpoint struct{ Position int64 }
		text, err := os.ReadFile(filepath.Join(p.stack.Archive, topic, "checkpoints", c.Name(), span.String()+".json"))
		if err == nil {
			err = json.Unmarshal(text, &checkpoint)
		}
		if err == nil && checkpoint.Position < before.Newest {
			return fmt.Sprintf("it is at %d of %d", checkpoint.Position, before.Newest), nil
		}
		return "", err
	})
	states, err := p.stack.Cosmos.Ranges(r.Database, r.Container)
	p.must(err)
	now := states[slices.IndexFunc(states, func(s cosmosfake.RangeState) bool { return s.ID == r.ID })]
	after, err := p.stack.Cosmos.Failover(r, min(now.Newest-now.Floor, now.Newest-before.Newest+int64(1+p.random.IntN(8))))
	p.must(err)
	p.failed, p.failedRange = c, span
	p.Logf("failed over range %s of %s from %d to %d, its reader had come to %d", span, c.Name(), now.Newest, after.Newest, before.Newest)
}

// harmCompactor kills the compactor when it begins to write files of a snapshot, or whenever it is.
func (p *play) harmCompactor(ctx context.Context, compactor *harness.Process, random *rand.Rand) error {
	atWork := 0
	for n := range compactorKills {
		most := time.Duration(1000+random.IntN(4000)) * time.Millisecond
		before, err := p.stateFiles()
		if err != nil {
			return err
		}
		looking, cancel := context.WithTimeout(ctx, most)
		err = harness.Until(looking, "the compactor's work", func() (string, error) {
			now, err := p.stateFiles()
			if err == nil && now == before {
				return "no new file", nil
			}
			return "", err
		})
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			atWork++
		} else if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if !compactor.Running() {
			return fmt.Errorf("the compactor ended before its kill %d, exit code %d:\n%s", n, compactor.ExitCode(), compactor.Tail(5))
		}
		if err := compactor.Restart(); err != nil {
			return err
		}
	}
	p.Logf("killed the compactor %d times, %d of them when it had just written something", compactorKills, atWork)
	_, err := compactor.Addr(ctx) // until then it knows no signals
	return err
}

// stateFiles counts what stands below the containers' folders, half-written files too.
func (p *play) stateFiles() (n int, err error) {
	for _, topic := range p.topics {
		err := filepath.WalkDir(filepath.Join(p.stack.Archive, topic, "containers"), func(_ string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && !e.IsDir() && !strings.HasSuffix(e.Name(), ".lock") {
				n++
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}
