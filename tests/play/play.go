package play

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// Play is one run of the stack. Its methods end the test when something fails that must not.
type Play struct {
	*testing.T

	Ctx        context.Context
	Random     *rand.Rand // the director's; authors have their own
	Stack      *harness.Stack
	Library    *harness.Library
	Cast       []*harness.Process // producers and archivers
	Containers []harness.Container
	Topics     []string // of the containers, each once

	options Options
	corpus  map[string][]document // by container
	authors []*author

	seen     map[string]oracle.Point // every point that was ever listed, by container and name
	early    []*restored             // in the middle of everything
	restores int
}

// Options of a Play.
type Options struct {
	Seed   int64
	Stream uint64          // tells plays of one seed apart
	Stack  harness.Options // all but Dir

	Patience time.Duration // until a play gives up what the programs do by themselves
	StopMost time.Duration // that a program may take to end in good order
}

// Shop is two containers, the second with a hierarchical partition key; topic is one for both, or empty for one each.
func Shop(topic string) []harness.Container {
	return []harness.Container{
		{
			Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 5, Topic: topic, Deletes: "soft",
			Definition: `"indexingPolicy":{"indexingMode":"consistent","includedPaths":[{"path":"/*"}],"excludedPaths":[{"path":"/\"_etag\"/?"}]}`,
		},
		{Database: "shop", ID: "visits", Key: []string{"/tenant", "/user"}, Ranges: 6, Topic: topic, Deletes: "soft"},
	}
}

// New starts a stack. What it leaves is kept when the test fails.
func New(ctx context.Context, t *testing.T, o Options) *Play {
	t.Helper()
	p := &Play{
		T: t, Ctx: ctx, Random: rand.New(rand.NewPCG(uint64(o.Seed), o.Stream)), Library: &harness.Library{},
		Containers: o.Stack.Containers, options: o, corpus: map[string][]document{}, seen: map[string]oracle.Point{},
	}
	for _, c := range p.Containers {
		if !slices.Contains(p.Topics, c.TopicName()) {
			p.Topics = append(p.Topics, c.TopicName())
		}
	}
	dir, err := os.MkdirTemp("", "almanac-play-")
	p.Must(err)
	o.Stack.Dir = dir
	p.Stack, err = harness.New(ctx, o.Stack)
	p.Must(err)
	t.Cleanup(func() {
		if err := p.Stack.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("seed %d repeats the choices; everything is kept below %s\n%s", o.Seed, dir, p.Stack.Tails(8))
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Hire gives every container of the shop a corpus and two authors, who write a document each time that pace has passed.
func (p *Play) Hire(pace time.Duration) {
	for i, c := range p.Containers {
		keys := keysOf(c)
		p.corpus[c.Name()] = corpus(keys)
		for n := range 2 {
			p.authors = append(p.authors, &author{
				name: fmt.Sprintf("%s%d", c.ID[:1], n), account: p.Stack.Account, container: c, library: p.Library, keys: keys,
				random: rand.New(rand.NewPCG(uint64(p.options.Seed), uint64(10*i+n+100))), pace: pace, most: 500,
			})
		}
	}
}

// Must ends the test with the error, if it is one.
func (p *Play) Must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// Spawn starts the cast: two producers, then two archivers.
func (p *Play) Spawn() {
	for _, one := range []string{"producer", "archiver"} {
		for n := range 2 {
			process, err := p.Stack.Spawn(fmt.Sprintf("%s-%d", one, n+1), one, []string{"run"})
			p.Must(err)
			p.Cast = append(p.Cast, process)
		}
	}
}

// WriteCorpus upserts all documents of the corpus.
func (p *Play) WriteCorpus() {
	for _, c := range p.Containers {
		for _, d := range p.corpus[c.Name()] {
			p.Library.Keep(d.body)
			p.Must(p.Stack.Account.Write(p.Ctx, harness.Upsert, c, d.key.array, d.body))
		}
	}
}

// Timeline is what `points` prints.
type Timeline struct {
	Points  []Listed
	Pending []string
}

// Listed is one point of them.
type Listed struct {
	oracle.Point
	Claim string `json:"claim"`
	Exact bool   `json:"exact"`
}

// Points lists all points of a container, and compares each with what its name meant before.
func (p *Play) Points(c harness.Container) *Timeline {
	p.Helper()
	result, err := p.Stack.Run(p.Ctx, "restorer", "points", "--container", c.Name(), "--last", "0", "-o", "json")
	p.Must(err)
	p.Must(result.Err())
	var list Timeline
	p.Must(json.Unmarshal(result.Stdout, &list))
	ledger, err := oracle.ReadLedger(p.Stack.Ledger)
	p.Must(err)
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

// Until waits for a condition, for at most so long, and for as long as no program has ended by itself.
func (p *Play) Until(most time.Duration, what string, check func() (string, error)) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, most)
	defer cancel()
	p.Must(harness.Until(ctx, what, func() (string, error) {
		if err := p.Stack.Failed(); err != nil {
			return "", err
		}
		return check()
	}))
}

// Perform lets authors write while the scene lasts.
func (p *Play) Perform(scene func()) {
	writing, stop := context.WithCancel(p.Ctx)
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

// Quiesce waits until everything that was written can be restored, ends the programs, and sees to it that the archive
// holds the topics whole.
func (p *Play) Quiesce() {
	ledger, err := oracle.ReadLedger(p.Stack.Ledger)
	p.Must(err)
	for _, c := range p.Containers {
		last := ledger.ByName(c.Name()).Last()
		p.Until(2*p.options.Patience, "a point of "+c.Name()+" past the last write", func() (string, error) {
			list := p.Points(c)
			if n := len(list.Points); n == 0 || list.Points[n-1].CompleteTo.Before(last) {
				return fmt.Sprintf("the last write is of %s; pending: %s", last, list.Pending), nil
			}
			return "", nil
		})
	}
	p.Stop(p.Cast[0], p.Cast[1])
	for _, topic := range p.Topics {
		ends, err := p.Stack.Ends(p.Ctx, topic)
		p.Must(err)
		progress := p.Stack.Progress(topic)
		p.Until(p.options.Patience, topic+" in the archive", func() (string, error) {
			err := progress.Refresh(p.Ctx)
			return progress.Missing(ends), err
		})
	}
	p.Stop(p.Cast[2], p.Cast[3])
}

// Stop ends programs one after the other, each in good order and time.
func (p *Play) Stop(programs ...*harness.Process) {
	p.Helper()
	for _, one := range programs {
		ctx, cancel := context.WithTimeout(p.Ctx, p.options.StopMost)
		defer cancel()
		p.Must(one.Stop(ctx))
	}
}
