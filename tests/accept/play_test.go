package accept

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// play is one run of the stack.
type play struct {
	*testing.T
	ctx     context.Context
	random  *rand.Rand // the director's; authors have their own
	stack   *harness.Stack
	library *harness.Library
	cast    []*harness.Process // producers and archivers

	containers []harness.Container
	topics     []string
	keys       map[string][]key      // by container
	corpus     map[string][]document // by container
	authors    []*author

	seen     map[string]oracle.Point // every point that was ever listed, by container and name
	early    []*restored             // in the middle of everything
	restores int

	failed      harness.Container // that had the failover, in the range
	failedRange oracle.Span
}

const (
	settle  = 3 * time.Second // how far replicas may lag: the premise of every complete_to
	session = 2 * time.Second // of the consumer groups
)

// newPlay starts the emulators; topic is one for all containers, or empty for one each.
func newPlay(t *testing.T, ctx context.Context, topic string) *play {
	p := &play{
		T: t, ctx: ctx, random: rand.New(rand.NewPCG(uint64(seed), uint64(len(topic)))), library: &harness.Library{},
		containers: []harness.Container{
			{
				Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 5, Topic: topic, Deletes: "soft",
				Definition: `"indexingPolicy":{"indexingMode":"consistent","includedPaths":[{"path":"/*"}],"excludedPaths":[{"path":"/\"_etag\"/?"}]}`,
			},
			{Database: "shop", ID: "visits", Key: []string{"/tenant", "/user"}, Ranges: 6, Topic: topic, Deletes: "soft"},
		},
		keys: map[string][]key{"shop.orders": flatKeys(), "shop.visits": deepKeys()},
		seen: map[string]oracle.Point{},
	}
	p.start(harness.Settings{
		"producer.page_size":                "50",
		"producer.checkpoint_interval":      "500ms",
		"producer.idle_checkpoint_interval": "2s",
		"archiver.control_commit_interval":  "500ms",
	})
	p.corpus = map[string][]document{}
	for i, c := range p.containers {
		p.corpus[c.Name()] = corpus(p.keys[c.Name()])
		if !slices.Contains(p.topics, c.TopicName()) {
			p.topics = append(p.topics, c.TopicName())
		}
		for n := range 2 {
			p.authors = append(p.authors, &author{
				name: fmt.Sprintf("%s%d", c.ID[:1], n), account: p.stack.Account, container: c, library: p.library, keys: p.keys[c.Name()],
				random: rand.New(rand.NewPCG(uint64(seed), uint64(10*i+n+100))), pace: 12 * time.Millisecond, most: 500,
			})
		}
	}
	return p
}

// start starts the emulators. What they leave is kept when the test fails.
func (p *play) start(over harness.Settings) {
	dir, err := os.MkdirTemp("", "almanac-play-")
	p.must(err)
	p.stack, err = harness.New(p.ctx, harness.Options{Dir: dir, Bin: bin, Partitions: 4, Containers: p.containers, Settings: harness.Settings{
		"kafka.session_timeout":   session.String(),
		"producer.settle":         settle.String(),
		"archiver.flush_interval": "250ms",
		"service.shutdown_grace":  "30s",
	}.With(over)})
	p.must(err)
	p.Cleanup(func() {
		if err := p.stack.Close(); err != nil {
			p.Error(err)
		}
		if p.Failed() {
			p.Logf("ALMANAC_SEED=%d repeats the choices; everything is kept below %s\n%s", seed, dir, p.stack.Tails(8))
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			p.Error(err)
		}
	})
}

func (p *play) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// spawn starts the programs.
func (p *play) spawn() {
	for _, one := range []string{"producer", "archiver"} {
		for n := range 2 {
			process, err := p.stack.Spawn(fmt.Sprintf("%s-%d", one, n+1), one, []string{"run"})
			p.must(err)
			p.cast = append(p.cast, process)
		}
	}
}

// writeCorpus upserts all documents of the corpus.
func (p *play) writeCorpus() {
	for _, c := range p.containers {
		for _, d := range p.corpus[c.Name()] {
			p.library.Keep(d.body)
			p.must(p.stack.Account.Write(p.ctx, harness.Upsert, c, d.key.array, d.body))
		}
	}
}

// timeline is what `points` prints.
type timeline struct {
	Points  []listed
	Pending []string
}

type listed struct {
	oracle.Point
	Claim string `json:"claim"`
	Exact bool   `json:"exact"`
}

// points lists all points of a container, and compares each with what its name meant before.
func (p *play) points(c harness.Container) *timeline {
	p.Helper()
	result, err := p.stack.Run(p.ctx, "restorer", "points", "--container", c.Name(), "--last", "0", "-o", "json")
	p.must(err)
	p.must(result.Err())
	var list timeline
	p.must(json.Unmarshal(result.Stdout, &list))
	ledger, err := oracle.ReadLedger(p.stack.Ledger)
	p.must(err)
	for i := range list.Points {
		one := &list.Points[i]
		one.Container, one.Incarnation = c.Name(), ledger.ByName(c.Name()).RID
		name := c.Name() + " " + one.Name
		if before, ok := p.seen[name]; ok && !before.Keeps(&one.Point) {
			p.Errorf("point %s changed: it was %+v, it is %+v", name, before, one.Point)
		}
		p.seen[name] = one.Point
		if !one.Exact {
			p.Errorf("point %s is %s, want exact", name, one.Claim)
		}
	}
	return &list
}

// until waits for a condition, for at most so long, and for as long as no program has ended by itself.
func (p *play) until(most time.Duration, what string, check func() (string, error)) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, most)
	defer cancel()
	p.must(harness.Until(ctx, what, func() (string, error) {
		if err := p.stack.Failed(); err != nil {
			return "", err
		}
		return check()
	}))
}

// perform lets authors write while the scene lasts.
func (p *play) perform(scene func()) {
	writing, stop := context.WithCancel(p.ctx)
	group, writing := errgroup.WithContext(writing)
	for _, a := range p.authors {
		group.Go(func() error { return a.write(writing) })
	}
	defer func() {
		stop()
		if err := group.Wait(); err != nil {
			p.Error(err)
		}
		p.Log(tally(p.authors))
	}()
	scene()
}

// quiesce waits until everything that was written can be restored, ends the programs, and sees to it that the archive
// holds the topics whole.
func (p *play) quiesce() {
	ledger, err := oracle.ReadLedger(p.stack.Ledger)
	p.must(err)
	for _, c := range p.containers {
		last := ledger.ByName(c.Name()).Last()
		p.until(time.Minute, "a point of "+c.Name()+" past the last write", func() (string, error) {
			list := p.points(c)
			if n := len(list.Points); n == 0 || list.Points[n-1].CompleteTo.Before(last) {
				return fmt.Sprintf("the last write is of %s; pending: %s", last, list.Pending), nil
			}
			return "", nil
		})
	}
	p.stop(p.cast[0], p.cast[1])
	for _, topic := range p.topics {
		ends, err := p.stack.Ends(p.ctx, topic)
		p.must(err)
		progress := p.stack.Progress(topic)
		p.until(30*time.Second, topic+" in the archive", func() (string, error) {
			err := progress.Refresh()
			return progress.Missing(ends), err
		})
	}
	p.stop(p.cast[2], p.cast[3])
}

// stop ends programs one after the other, each in good order and time.
func (p *play) stop(programs ...*harness.Process) {
	p.Helper()
	for _, one := range programs {
		ctx, cancel := context.WithTimeout(p.ctx, stopMost)
		defer cancel()
		p.must(one.Stop(ctx))
	}
}

const stopMost = 8 * time.Second

// archives reads what stands in the store.
func (p *play) archives(report *oracle.Report) []*oracle.Archive {
	var out []*oracle.Archive
	for _, topic := range p.topics {
		a, err := oracle.ReadArchive(p.stack.Archive, topic, report)
		p.must(err)
		out = append(out, a)
	}
	return out
}

// verdict fails the test when the report is not empty.
func (p *play) verdict(what string, report *oracle.Report) {
	p.Helper()
	if report.Total() > 0 {
		p.Errorf("%s: %d findings in %s\n%s", what, report.Total(), filepath.Base(p.stack.Dir), report)
	}
}
