package checkpoint

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
)

// Guard is one rule of the protocol.
type Guard string

// The guards.
const (
	AckBeforeCheckpoint Guard = "a checkpoint moves past acknowledged events only"
	CompareAndSet       Guard = "a checkpoint is written over the one that its writer went on from"
	ReadBack            Guard = "an answer that is no success is settled by reading back"
	KnowOwnWrite        Guard = "my write id in the object means that the write was mine"
	KeepNewest          Guard = "newest stands in the checkpoint"
	GreatestNewest      Guard = "newest is the greatest that any response reported"
	DropLowerConfig     Guard = "a response with a lower configuration number is dropped unread"
	Rebase              Guard = "a risen configuration number begins a generation, from the beginning"
	GenerationFirst     Guard = "a generation is checkpointed before its first event"
	AckBeforeMark       Guard = "a mark states acknowledged events only"
	NowIsNone           Guard = "a start from now has no basis"
	PinFirst            Guard = "the pin of a start from now is checkpointed before anything is read with it"
)

// Guards are all of them.
func Guards() []Guard {
	return []Guard{
		AckBeforeCheckpoint, CompareAndSet, ReadBack, KnowOwnWrite, KeepNewest, GreatestNewest,
		DropLowerConfig, Rebase, GenerationFirst, AckBeforeMark, NowIsNone, PinFirst,
	}
}

// Result is what a schedule came to.
type Result struct {
	Violation          string // empty: none
	Drained, Rebases   int    // so that nobody takes a schedule in which nothing happened for a proof
	Conflicts, Crashes int
}

type model struct {
	random  *rand.Rand
	without Guard
	fromNow bool
	service service
	store   store
	topic   []event
	queues  []*[]*record
	clock   int
	result  Result
}

// steps is the length of a schedule.
const steps = 600

// Run plays the schedule of a seed, without one guard (or with all, when without is empty).
func Run(seed uint64, without Guard) Result {
	random := rand.New(rand.NewPCG(seed, 3))
	m := &model{random: random, without: without, fromNow: random.IntN(4) == 0}
	m.service = service{random: random, config: 1, eras: map[int][]write{}}
	m.store = store{object: state{config: 0, basis: "loading", offset: -1}, seen: map[int]bool{}}
	if m.fromNow {
		m.store.object.position = fromNow
	}
	for range 3 {
		m.service.write()
	}
	var next [2]func() (struct{}, bool)
	var stop [2]func()
	for i := range next {
		next[i], stop[i] = m.start()
	}
	defer func() {
		for i := range stop {
			stop[i]()
		}
	}()
	for range steps {
		if m.result.Violation != "" {
			break
		}
		switch action := random.IntN(200); {
		case action < 115:
			next[random.IntN(2)]()
		case action < 175:
			m.deliver()
		case action < 194:
			m.service.write()
		case action < 196:
			m.service.newest++ // an LSN without a record
		case action < 197:
			m.service.failover()
		case action < 198:
			m.land()
		default:
			i := random.IntN(2)
			stop[i]()
			m.result.Crashes++
			next[i], stop[i] = m.start()
		}
	}
	return m.result
}

type killed struct{}

// start runs a new incarnation of a producer as a coroutine.
func (m *model) start() (func() (struct{}, bool), func()) {
	queue := new([]*record)
	m.queues = append(m.queues, queue)
	return iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != any(killed{}) {
				panic(r)
			}
		}()
		p := &producer{m: m, queue: queue, pause: func() {
			if !yield(struct{}{}) {
				panic(killed{})
			}
		}}
		p.run()
	})
}

func (m *model) has(g Guard) bool { return m.without != g }

func (m *model) tick() int {
	m.clock++
	return m.clock
}

func (m *model) violate(format string, args ...any) {
	if m.result.Violation == "" {
		m.result.Violation = fmt.Sprintf(format, args...)
	}
}

// put answers a write as a store may.
func (m *model) put(p put) answer {
	if p.base != m.store.id && m.has(CompareAndSet) {
		m.result.Conflicts++
		return conflict
	}
	switch m.random.IntN(8) {
	case 0:
		return lost
	case 1:
		m.store.delayed = append(m.store.delayed, p)
		return lost
	case 2:
		m.apply(p)
		return lost
	case 3:
		m.apply(p)
		return conflict
	}
	m.apply(p)
	return ok
}

// land lets a delayed write arrive.
func (m *model) land() {
	for _, p := range m.store.delayed {
		if p.base == m.store.id || !m.has(CompareAndSet) {
			m.apply(p)
		}
	}
	m.store.delayed = nil
}

func (m *model) apply(p put) {
	if p.base != m.store.id {
		m.violate("checkpoint %d was written over %d, its writer went on from %d", p.id, m.store.id, p.base)
	}
	m.store.object, m.store.id = p.next, p.id
	m.store.seen[p.next.generation] = true
	// INV-1. A document whose last version is at or below the position was in a page that the line read.
	for _, w := range m.service.state(p.next.config, 1<<30) {
		if p.next.generation > 0 && w.lsn > p.next.start && w.lsn <= p.next.position && !m.published(p.next.generation, w) {
			m.violate("checkpoint at %d of generation %d stands past document %d at %d, which is not in the topic",
				p.next.position, p.next.generation, w.doc, w.lsn)
		}
	}
}

func (m *model) published(generation int, w write) bool {
	return slices.ContainsFunc(m.topic, func(e event) bool {
		return !e.mark && e.generation == generation && e.stamp == w.stamp
	})
}

// deliver lets the oldest record of some producer's queue arrive, or fail.
func (m *model) deliver() {
	queue := m.queues[m.random.IntN(len(m.queues))]
	if len(*queue) == 0 {
		return
	}
	r := (*queue)[0]
	*queue = (*queue)[1:]
	r.done = true
	switch m.random.IntN(20) {
	case 0:
		r.failed = true
		return
	case 1:
		r.failed = true // published, the acknowledgement lost
	}
	r.offset = len(m.topic)
	m.topic = append(m.topic, r.event)
	m.check(r.event)
}

func (m *model) check(e event) {
	if !m.store.seen[e.generation] {
		m.violate("an event of generation %d is in the topic, which no checkpoint knows", e.generation)
	}
	if e.mark && !e.drained && e.claim.generation > 1 {
		m.result.Rebases++
	}
	if !e.mark || !e.drained || e.claim.basis != "complete" {
		return
	}
	m.result.Drained++
	winners := map[int]event{}
	for _, row := range m.topic[:e.claim.offset+1] {
		if row.mark || row.generation != e.generation || row.order > e.claim.position {
			continue
		}
		if have, ok := winners[row.doc]; !ok || have.order < row.order {
			winners[row.doc] = row
		}
	}
	for doc, w := range m.service.state(e.claim.config, e.claim.position) {
		if got := winners[doc]; got.stamp != w.stamp {
			m.violate("mark of generation %d at %d: document %d is at %d (stamp %d) in the topic, was at %d (stamp %d)",
				e.generation, e.claim.position, doc, got.order, got.stamp, w.lsn, w.stamp)
		}
	}
}
