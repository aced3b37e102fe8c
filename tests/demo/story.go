package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	pulse    = time.Second      // between two lines of progress
	patience = 45 * time.Second // for one wait
	glance   = 200 * time.Millisecond
)

// The stages, as they are printed.
const (
	opening   = "OPEN"
	trading   = "TRADE"
	deploying = "DEPLOY"
	restoring = "RESTORE"
	proving   = "PROVE"
	closing   = "CLOSE"
)

// story is one run: the stack, the shop, and what happened when.
type story struct {
	seed  uint64
	out   *screen
	place *place
	tails string // of the logs, when something failed

	stack    *harness.Stack
	account  *account // with the archive in it, where that is no folder
	library  harness.Library
	catalog  *catalog
	till     *till
	archived []*harness.Progress // of products, of orders

	events  []event
	loaded  loading
	memory  map[string]int64 // peak by program, in bytes
	records int64            // on both topics, at the end
}

// event is a line of the timeline.
type event struct {
	at   time.Time
	what string
}

type loading struct {
	documents int64
	took      time.Duration
}

func (s *story) note(at time.Time, format string, args ...any) {
	s.events = append(s.events, event{at, fmt.Sprintf(format, args...)})
}

// tell is the whole story.
func (s *story) tell(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.out.title("Almanac: lose a shop's documents, and get them back", fmt.Sprintf("seed %d", s.seed))
	if err := s.open(ctx, harness.Options{}); err != nil {
		return err
	}
	stopOrders := s.keepTaking(ctx, 25*time.Millisecond)
	defer func() { err = errors.Join(err, stopOrders()) }()
	if err := s.trade(ctx); err != nil {
		return err
	}
	damage, err := s.deploy(ctx)
	if err != nil {
		return err
	}
	back, err := s.restore(ctx, damage)
	if err != nil {
		return err
	}
	if err := s.shut(ctx, stopOrders); err != nil {
		return err
	}
	if err := s.prove(ctx, damage, back); err != nil {
		return err
	}
	s.report(damage, back)
	return nil
}

// open brings up the emulators, the shop and the programs.
func (s *story) open(ctx context.Context, o harness.Options) (err error) {
	o.Dir, o.Bin, o.Partitions = s.place.dir, s.place.bin, partitions
	o.Containers = []harness.Container{productsContainer(), ordersContainer()}
	if s.stack, err = harness.New(ctx, o); err != nil {
		return err
	}
	desk := func(c harness.Container) desk {
		return desk{in: c, account: s.stack.Account, library: &s.library}
	}
	s.catalog = &catalog{desk: desk(productsContainer()), random: s.dice(1)}
	s.till = &till{desk: desk(ordersContainer()), random: s.dice(2)}
	for _, c := range []harness.Container{s.catalog.in, s.till.in} {
		s.archived = append(s.archived, s.stack.Progress(c.TopicName()))
		s.out.say(opening, "Cosmos DB  %-13s  key %s, %d physical ranges", c.Name(), strings.Join(c.Key, ","), c.Ranges)
	}
	s.out.say(opening, "Kafka      2 topics of %d partitions at %s", partitions, strings.Join(s.stack.Brokers(), ","))

	began := time.Now()
	if err := s.catalog.load(ctx); err != nil {
		return err
	}
	s.loaded = loading{s.catalog.tally.created.Load(), time.Since(began)}
	s.note(began, "the first of %s is written", count(s.loaded.documents, "document", "documents"))
	s.out.say(opening, "loaded     %s, %s, in %s", count(s.loaded.documents, "document", "documents"),
		sized(s.catalog.tally.bytes.Load()), seconds(s.loaded.took))
	return s.spawn(ctx)
}

const partitions = 4

// dice are independent of each other, so that who throws first changes nothing.
func (s *story) dice(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, stream)) }

// producers, archivers and everybody are names of processes.
func producers() []string { return []string{"producer-1", "producer-2"} }
func archivers() []string { return []string{"archiver-1", "archiver-2"} }
func everybody() []string { return slices.Concat(producers(), archivers(), []string{"compactor"}) }

// programOf is the program that a process of that name runs.
func programOf(name string) string { return strings.TrimRight(name, "-0123456789") }

// spawn starts the programs and waits for the first restore point.
func (s *story) spawn(ctx context.Context) error {
	for _, name := range everybody() {
		if _, err := s.stack.Spawn(name, programOf(name), []string{"run"}); err != nil {
			return err
		}
	}
	s.out.say(opening, "started    2 producers, 2 archivers, 1 compactor; logs in %s", s.place.short("logs"))
	began := time.Now()
	point, err := s.awaitPoint(ctx, opening, "the first restore point", s.catalog.in, anyPoint)
	if err != nil {
		return err
	}
	s.out.say(opening, "restorable %s after the start: point %s", seconds(time.Since(began)), point.Name)
	return nil
}

// keepTaking lets the till take orders until the returned function is called, or the context ends.
func (s *story) keepTaking(ctx context.Context, interval time.Duration) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var failed error
	var group sync.WaitGroup
	group.Go(func() { failed = paced(ctx, 1<<30, interval, s.till.work) })
	return func() error {
		cancel()
		group.Wait()
		return failed
	}
}

// outage is the death of an archiver in the middle of business.
type outage struct {
	victim       *harness.Process
	kill, revive time.Duration // after the beginning
}

// step does what is due by then. It is done when the victim lives again.
func (o *outage) step(s *story, since time.Duration) error {
	switch {
	case o.kill > 0 && since >= o.kill:
		o.kill = 0
		o.victim.Kill()
		s.note(time.Now(), "%s is killed (-9) in its work", o.victim.Name)
		s.out.say(trading, "%s", s.out.paint(red, "kill -9 "+o.victim.Name))
	case o.kill == 0 && o.revive > 0 && since >= o.revive:
		o.revive = 0
		s.note(time.Now(), "%s is started again", o.victim.Name)
		s.out.say(trading, "%s started again; it goes on where the table ends", o.victim.Name)
		return o.victim.Start()
	}
	return nil
}

func (o *outage) over() bool { return o.revive == 0 }

// trade lets the shop work on its products for some seconds. An archiver is killed in the middle.
func (s *story) trade(ctx context.Context) error {
	const interval = 20 * time.Millisecond
	plot := s.dice(3)
	acts := 330 + plot.IntN(120)
	o := outage{victim: s.stack.Process(archivers()[plot.IntN(len(archivers()))])}
	o.kill = time.Duration(acts) * interval * time.Duration(30+plot.IntN(15)) / 100
	o.revive = o.kill + 2*time.Second

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	s.note(began, "products are edited, reviewed and withdrawn; orders come in until the end")
	s.out.say(trading, "%s with products and reviews; orders come in until the end", count(acts, "act of business", "acts of business"))
	done := make(chan error, 1)
	go func() { done <- paced(ctx, acts, interval, s.catalog.work) }()
	err := s.watchBusiness(ctx, done, func() error { return o.step(s, time.Since(began)) })
	for err == nil && !o.over() { // business was over first
		err = o.step(s, patience)
	}
	return err
}

// watchBusiness prints how it goes until it is done. at is called often.
func (s *story) watchBusiness(ctx context.Context, done <-chan error, at func() error) error {
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	said := time.Now()
	for {
		select {
		case err := <-done:
			return errors.Join(err, ctx.Err())
		case <-ticker.C:
		}
		err := errors.Join(at(), s.stack.Failed())
		if err == nil && time.Since(said) >= pulse {
			said = time.Now()
			err = s.sayBusiness(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// sayBusiness prints how much was written, and how far the archive is.
func (s *story) sayBusiness(ctx context.Context) error {
	rows, behind, err := s.archive(ctx)
	if err != nil {
		return err
	}
	t := &s.catalog.tally
	s.out.progress(trading, "%s edits, %s new, %s withdrawn · orders %s · archive %s rows, %s behind",
		grouped(t.edited.Load()), grouped(t.created.Load()-s.loaded.documents), grouped(t.deleted.Load()),
		grouped(s.till.tally.writes()), grouped(rows), grouped(behind))
	return nil
}

// archive is how many rows both tables have, and how many records of the topics are not in them yet.
func (s *story) archive(ctx context.Context) (rows, behind int64, err error) {
	for i, c := range []harness.Container{s.catalog.in, s.till.in} {
		ends, err := s.stack.Ends(ctx, c.TopicName())
		if err != nil {
			return 0, 0, err
		}
		p := s.archived[i]
		if err := p.Refresh(ctx); err != nil {
			return 0, 0, err
		}
		for _, n := range p.Rows {
			rows += n
			behind -= n
		}
		for _, end := range ends {
			behind += end
		}
	}
	return rows, max(0, behind), nil
}

// close ends what runs. A story that failed keeps the ends of the logs.
func (s *story) close() error {
	if s.stack == nil {
		return nil
	}
	s.tails = s.stack.Tails(8)
	return s.stack.Close()
}

// shut stops the shop and the programs in good order.
func (s *story) shut(ctx context.Context, stopOrders func() error) error {
	s.out.say(closing, "no more orders; producers stop, archivers finish what is in hand")
	if err := stopOrders(); err != nil {
		return err
	}
	s.memory = map[string]int64{}
	if err := s.stop(ctx, producers()...); err != nil {
		return err
	}
	err := s.await(ctx, closing, "the archive to hold all of both topics", func(ctx context.Context) (string, error) {
		_, behind, err := s.archive(ctx)
		if err != nil || behind == 0 {
			return "", err
		}
		return count(behind, "record is", "records are") + " not in the archive yet", nil
	})
	if err != nil {
		return err
	}
	return s.stop(ctx, append(archivers(), "compactor")...)
}

// stop ends processes in good order, all at once, and notes their memory.
func (s *story) stop(ctx context.Context, names ...string) error {
	errs := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		p := s.stack.Process(name)
		if peak, err := p.PeakRSS(); err == nil {
			program := programOf(name)
			s.memory[program] = max(s.memory[program], peak)
		}
		group.Go(func() { errs[i] = p.Stop(ctx) })
	}
	group.Wait()
	return errors.Join(errs...)
}
