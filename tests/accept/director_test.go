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
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
	"github.com/cosmos-almanac/almanac/tests/play"
)

const (
	settle  = 3 * time.Second // how far replicas may lag: the premise of every complete_to
	session = 2 * time.Second // of the consumer groups

	kills          = 20 // of producers and archivers
	compactorKills = 5
	flowMost       = 60 * time.Second // for rows to be archived after a kill
)

// director does harm to a play on emulators.
type director struct {
	*play.Play

	failed      harness.Container // that had the failover, in the range
	failedRange oracle.Span
}

// newDirector starts the emulators; topic is one for all containers, or empty for one each.
func newDirector(ctx context.Context, t *testing.T, topic string) *director {
	p := newPlay(ctx, t, uint64(len(topic)), play.Shop(topic), harness.Settings{
		"producer.page_size":                "50",
		"producer.checkpoint_interval":      "500ms",
		"producer.idle_checkpoint_interval": "2s",
		"archiver.control_commit_interval":  "500ms",
	})
	p.Hire(12 * time.Millisecond)
	return &director{Play: p}
}

func newPlay(ctx context.Context, t *testing.T, stream uint64, containers []harness.Container, over harness.Settings) *play.Play {
	t.Helper()
	return play.New(ctx, t, play.Options{Seed: seed, Stream: stream, Patience: 30 * time.Second, StopMost: 8 * time.Second, Stack: harness.Options{
		Bin: bin, Partitions: 4, Containers: containers, Settings: harness.Settings{
			"kafka.session_timeout":   session.String(),
			"producer.settle":         settle.String(),
			"archiver.flush_interval": "250ms",
			"service.shutdown_grace":  "30s",
		}.With(over),
	}})
}

// harm does everything to the stack that it must survive, while authors write.
func (p *director) harm() {
	compactor, err := p.Stack.Spawn("compactor", "compactor", []string{"run"})
	p.Must(err)
	ctx, cancel := context.WithCancel(p.Ctx)
	var group errgroup.Group
	random := rand.New(rand.NewPCG(p.Random.Uint64(), 0))
	group.Go(func() error { return p.harmCompactor(ctx, compactor, random) })
	defer func() {
		cancel()
		if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			p.Error(err)
		}
	}()
	flow := p.NewFlow()
	killed := map[string]int{}
	for n := range kills {
		p.lag(time.Duration(200+p.Random.IntN(1000)) * time.Millisecond)
		p.Until(flowMost, "rows after a kill", flow.Moved)
		victim := p.Cast[p.Random.IntN(len(p.Cast))]
		killed[victim.Name]++
		p.Must(victim.Restart())
		switch n {
		case 5, 8, 13:
			p.RestoreEarly(p.Random.IntN)
		case 17:
			p.RestoreEarly(func(int) int { return 0 }) // the oldest, which will stay
		case 9:
			p.failOver()
		default:
			p.Points(p.Containers[n%len(p.Containers)])
		}
	}
	p.Logf("killed %v", killed)
	p.Must(group.Wait())
	p.Stop(compactor)
}

// anyRange is a range in which something was written.
func (p *director) anyRange() (cosmosfake.Range, cosmosfake.RangeState) {
	c := p.Containers[p.Random.IntN(len(p.Containers))]
	states, err := p.Stack.Cosmos.Ranges(c.Database, c.ID)
	p.Must(err)
	for {
		if s := states[p.Random.IntN(len(states))]; s.Items > 0 {
			return cosmosfake.Range{Database: c.Database, Container: c.ID, ID: s.ID}, s
		}
	}
}

// lagMost is how far a replica falls behind at most: less than settle, by what answering a request may take.
const lagMost = settle - time.Second

// lag lets a replica of some range fall behind for a while, by less than the programs are told to allow for, however busy
// the machine is; and the service write something of its own elsewhere. In between the programs work for so long.
func (p *director) lag(work time.Duration) {
	r, before := p.anyRange()
	began := time.Now()
	p.Stack.Cosmos.SetHook(func(*http.Request) *cosmosfake.Fault {
		if time.Since(began) >= lagMost {
			_, _ = p.Stack.Cosmos.ClearLag(r) // the range exists
		}
		return nil
	})
	defer p.Stack.Cosmos.SetHook(nil)
	p.Pause(work / 2)
	states, err := p.Stack.Cosmos.Ranges(r.Database, r.Container)
	p.Must(err)
	i := slices.IndexFunc(states, func(s cosmosfake.RangeState) bool { return s.ID == r.ID })
	// What is written meanwhile must not push it out of what the range remembers, which is a thousand LSNs.
	if behind := min(states[i].Newest-before.Newest, states[i].Newest-states[i].Floor, 500); behind >= 0 {
		_, err = p.Stack.Cosmos.Lag(r, behind, 0)
		p.Must(err)
	}
	other, _ := p.anyRange()
	_, err = p.Stack.Cosmos.Bump(other, int64(1+p.Random.IntN(3)))
	p.Must(err)
	p.Pause(work / 2)
	_, err = p.Stack.Cosmos.ClearLag(r)
	p.Must(err)
}

// failOver undoes the last writes of a range, some that its reader has read among them.
func (p *director) failOver() {
	r, before := p.anyRange()
	c := harness.Container{Database: r.Database, ID: r.Container}
	topic := p.Containers[slices.IndexFunc(p.Containers, func(o harness.Container) bool { return o.Name() == c.Name() })].TopicName()
	span := oracle.Span{Min: before.Span.Min, Max: before.Span.Max}
	p.Until(flowMost, "the reader of range "+span.String(), func() (string, error) {
		var checkpoint struct{ Position int64 }
		text, err := os.ReadFile(filepath.Join(p.Stack.Archive, topic, "checkpoints", c.Name(), span.String()+".json"))
		if err == nil {
			err = json.Unmarshal(text, &checkpoint)
		}
		if err == nil && checkpoint.Position < before.Newest {
			return fmt.Sprintf("it is at %d of %d", checkpoint.Position, before.Newest), nil
		}
		return "", err
	})
	states, err := p.Stack.Cosmos.Ranges(r.Database, r.Container)
	p.Must(err)
	now := states[slices.IndexFunc(states, func(s cosmosfake.RangeState) bool { return s.ID == r.ID })]
	after, err := p.Stack.Cosmos.Failover(r, min(now.Newest-now.Floor, now.Newest-before.Newest+int64(1+p.Random.IntN(8))))
	p.Must(err)
	p.failed, p.failedRange = c, span
	p.Logf("failed over range %s of %s from %d to %d, its reader had come to %d", span, c.Name(), now.Newest, after.Newest, before.Newest)
}

// harmCompactor kills the compactor when it begins to write files of a snapshot, or whenever it is.
func (p *director) harmCompactor(ctx context.Context, compactor *harness.Process, random *rand.Rand) error {
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
func (p *director) stateFiles() (n int, err error) {
	for _, topic := range p.Topics {
		err := filepath.WalkDir(filepath.Join(p.Stack.Archive, topic, "containers"), func(_ string, e fs.DirEntry, err error) error {
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
