package commit

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Found is a schedule that breaks a promise.
type Found struct {
	Broken   string
	Schedule []string
}

// clone copies what steps write to in place. Spans, log and flights are replaced, never written to.
func (w *World) clone() *World {
	next := *w
	next.log = slices.Clone(w.log)
	next.files = slices.Clone(w.files)
	return &next
}

// Start is the world after the steps of these names.
func Start(b Bounds, names ...string) (*World, error) {
	w := New(b)
	for _, name := range names {
		steps := w.Steps()
		i := slices.IndexFunc(steps, func(s Step) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("start world: step %q is not possible there", name)
		}
		steps[i].Do(w)
	}
	return w, nil
}

// Exhaust tries every schedule from a world on, shortest first, until one breaks a promise. It tells the number of
// states, and gives up with complete false beyond limit.
func Exhaust(first *World, limit int) (found *Found, states int, complete bool) {
	type node struct {
		world  *World
		parent int
		step   string
	}
	nodes := []node{{first, -1, ""}}
	seen := map[string]struct{}{first.key(): {}}
	for i := 0; i < len(nodes); i++ {
		world := nodes[i].world
		for _, step := range world.Steps() {
			next := world.clone()
			step.Do(next)
			key := next.key()
			if _, again := seen[key]; again {
				continue
			}
			seen[key] = struct{}{}
			nodes = append(nodes, node{next, i, step.Name})
			if broken := next.Broken(); broken != "" {
				found = &Found{Broken: broken}
				for n := len(nodes) - 1; n > 0; n = nodes[n].parent {
					found.Schedule = append(found.Schedule, nodes[n].step)
				}
				slices.Reverse(found.Schedule)
				return found, len(nodes), false
			}
			if len(nodes) >= limit {
				return nil, len(nodes), false
			}
		}
		nodes[i].world = nil
	}
	return nil, len(nodes), true
}

// Walk follows one random schedule to its end.
func Walk(b Bounds, seed uint64) *Found {
	random := rand.New(rand.NewPCG(seed, 1))
	w := New(b)
	var schedule []string
	for range 400 {
		steps := w.Steps()
		if len(steps) == 0 {
			break
		}
		step := steps[random.IntN(len(steps))]
		step.Do(w)
		schedule = append(schedule, step.Name)
		if broken := w.Broken(); broken != "" {
			return &Found{Broken: broken, Schedule: schedule}
		}
	}
	return nil
}

// key is equal for worlds with the same future. Ids, files and times are named by the order in which the world mentions
// them, so that worlds that differ in the numbers alone are one.
func (w *World) key() string {
	k := keyer{ids: map[int8]byte{}, files: map[int8]byte{}, stamps: map[int8]byte{}, world: w}
	k.num(w.moves, w.faults, w.cleanings, w.sweeps, w.sweep.phase)
	for _, s := range w.log {
		k.num(int8(s.state))
		k.entry(s.entry)
		k.entry(s.intruder)
		k.stamp(s.stamp)
	}
	k.num(-1)
	for _, a := range w.archivers[:w.b.Archivers] {
		k.num(int8(a.phase), a.base, a.version)
		k.positions(a.next)
		k.positions(a.known)
		for p := range w.b.Partitions {
			k.bool(a.believes[p])
		}
		k.bool(a.tried)
		k.stamp(a.seen)
		k.time(a.horizon)
		k.entry(a.flush)
	}
	for _, f := range w.flights {
		k.num(f.version)
		k.entry(f.entry)
	}
	k.num(-1)
	for p := range w.b.Partitions {
		k.num(w.owner[p])
	}
	k.time(w.sweep.horizon)
	if w.sweep.phase == 2 {
		for _, f := range w.sweep.doomed {
			k.file(f)
		}
	}
	return string(k.out) + w.broken
}

type keyer struct {
	world  *World
	out    []byte
	ids    map[int8]byte
	files  map[int8]byte
	stamps map[int8]byte
}

func (k *keyer) num(ns ...int8) {
	for _, n := range ns {
		k.out = append(k.out, byte(n))
	}
}

func (k *keyer) bool(b bool) {
	if b {
		k.num(1)
	} else {
		k.num(0)
	}
}

func (k *keyer) positions(p positions) { k.num(p[:k.world.b.Partitions]...) }

func (k *keyer) id(id int8)       { k.named(k.ids, id) }
func (k *keyer) stamp(stamp int8) { k.named(k.stamps, stamp) }

func (k *keyer) named(names map[int8]byte, n int8) {
	if n == 0 {
		k.num(0)
		return
	}
	name, ok := names[n]
	if !ok {
		name = byte(len(names) + 1)
		names[n] = name
	}
	k.out = append(k.out, name)
}

// time matters only beside the sweep's horizon.
func (k *keyer) time(t int8) {
	if k.world.b.Sweeps > 0 {
		k.num(t)
	}
}

func (k *keyer) file(f int8) {
	if f < 0 {
		k.num(-1)
		return
	}
	k.named(k.files, f+1)
	k.bool(k.world.files[f].exists)
	k.time(k.world.files[f].modified)
}

func (k *keyer) entry(e entry) {
	k.id(e.id)
	k.num(int8(len(e.spans)))
	for _, s := range e.spans {
		k.num(s.partition, s.first, s.next)
	}
	if len(e.spans) > 0 {
		k.file(e.file)
	}
	k.time(e.horizon)
}
