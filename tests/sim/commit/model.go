// Package commit is a model of the archive's commit protocol (docs/format.md, the table changes), small enough to try every schedule of it.
//
// Archivers flush records of topic partitions as versions of a log, in a store that loses answers, delays puts, and
// answers an own landed put with a conflict. Partitions move while their former owner does not know it yet; whoever is
// not scheduled is paused, for as long as the schedule likes. A cleaner removes old versions, a remover sweeps files.
//
// It promises two things in every state:
//
//	INV-3  the visible rows of every topic partition are its offsets 0 … n, each once, in files that exist (INV-8)
//	told   a commit that was reported done stands in the visible log, one that was reported lost does not
//
// Each Guard is one rule of the protocol. With all of them no schedule breaks a promise; without any one, some does.
package commit

import "fmt"

// Guard is one rule that can be left out.
type Guard string

// The guards.
const (
	None       Guard = ""
	CAS        Guard = "a span begins where its partition stands in the version just below"
	Again      Guard = "positions are read again after a lost race"
	Every      Guard = "every version since the base is read, not the newest alone"
	SameSlot   Guard = "an unclear answer is cleared at the same version"
	IsMine     Guard = "what stands is compared before it is called another's"
	IsNotMine  Guard = "what stands is compared before it is called one's own"
	KeepFile   Guard = "no file is removed after an unclear answer"
	Void       Guard = "the version below must still be there after a commit"
	SameBelow  Guard = "the version below must be the very object that was seen, not another of its name"
	SameBase   Guard = "the base must still be there after the versions since were read"
	Reload     Guard = "a base that may have been cleaned away is loaded anew"
	Barrier    Guard = "no file at or before the sweep horizon is committed"
	BarrierNow Guard = "the sweep horizon is that of the version just below"
)

// Bounds say how large a world is, and how much may go wrong in it.
type Bounds struct {
	Archivers, Partitions, Records   int
	Moves, Faults, Cleanings, Sweeps int
	AnyOrder                         bool // the cleaner removes in any order, and nobody pauses inside a commit
	Without                          Guard
}

const (
	maxArchivers  = 3
	maxPartitions = 3
)

type positions [maxPartitions]int8

type span struct{ partition, first, next int8 }

type slotState int8

const (
	absent slotState = iota
	present
	removed // it was part of the log, and is in a checkpoint
	hole    // it was written where the log had been cleaned
)

// slot is one version.
type slot struct {
	state    slotState
	entry    entry // of the log
	intruder entry // what stands in a hole
	stamp    int8  // of the object that stands here: when it was written
}

type entry struct {
	id      int8
	file    int8 // -1: none
	spans   []span
	horizon int8 // of a sweep, 0: none
}

type file struct {
	exists   bool
	modified int8
}

type phase int8

const (
	idle phase = iota
	putting
	unclear
	checking // something stands at the version
	landed   // ours stands at the version
	behind   // another's stands at the version
)

type archiver struct {
	phase    phase
	believes [maxPartitions]bool
	next     positions // first offset that it has not flushed
	known    positions // as of base
	base     int8
	seen     int8 // stamp of what stood at base
	horizon  int8 // as of base
	flush    entry
	version  int8
	tried    bool // a put named the flush's file
}

type flight struct {
	version int8
	entry   entry
}

// World is a state of everything.
type World struct {
	b                                Bounds
	clock                            int8
	ids                              int8
	stamps                           int8
	moves, faults, cleanings, sweeps int8
	log                              []slot
	files                            []file
	flights                          []flight
	owner                            [maxPartitions]int8
	archivers                        [maxArchivers]archiver
	sweep                            struct {
		phase   int8 // 0 none, 1 listed, 2 committed
		horizon int8
		doomed  []int8
	}
	broken string // a promise that was broken in a step, not in a state
}

// New is the world before anything happened: the first archiver owns everything.
func New(b Bounds) *World {
	w := &World{b: b}
	for a := range b.Archivers {
		w.archivers[a].base = -1
	}
	for p := range b.Partitions {
		w.archivers[0].believes[p] = true
	}
	return w
}

func (w *World) on(g Guard) bool { return w.b.Without != g }

// Step is one thing that can happen.
type Step struct {
	Name string
	Do   func(w *World)
}

// Steps are all things that can happen now.
func (w *World) Steps() []Step {
	var steps []Step
	add := func(do func(*World), format string, args ...any) {
		steps = append(steps, Step{fmt.Sprintf(format, args...), do})
	}
	for a := range w.b.Archivers {
		w.archiverSteps(a, add)
	}
	if int(w.moves) < w.b.Moves {
		for p := range w.b.Partitions {
			for to := range w.b.Archivers {
				if int(w.owner[p]) != to {
					add(func(w *World) { w.move(p, to) }, "partition %d moves to %c", p, 'A'+to)
				}
			}
		}
	}
	for i, f := range w.flights {
		add(func(w *World) {
			w.flights = append(append([]flight(nil), w.flights[:i]...), w.flights[i+1:]...)
			w.land(f.version, f.entry)
		}, "a delayed put arrives at version %d", f.version)
	}
	w.cleanerSteps(add)
	w.removerSteps(add)
	return steps
}

func (w *World) archiverSteps(i int, add func(func(*World), string, ...any)) {
	name := 'A' + i
	a := &w.archivers[i]
	for p := range w.b.Partitions {
		if a.believes[p] && int(w.owner[p]) != i {
			add(func(w *World) { w.archivers[i].believes[p] = false }, "%c learns that partition %d is gone", name, p)
		}
	}
	faulty := int(w.faults) < w.b.Faults
	switch a.phase {
	case idle:
		if w.hasRecords(a) {
			add(func(w *World) { w.flush(i) }, "%c begins a flush", name)
		}
	case putting:
		add(func(w *World) { w.put(i, answered) }, "%c puts version %d", name, a.version)
		if faulty {
			add(func(w *World) { w.put(i, dropped) }, "%c puts version %d: nothing arrives, no answer", name, a.version)
			add(func(w *World) { w.put(i, lost) }, "%c puts version %d: the answer is lost", name, a.version)
			add(func(w *World) { w.put(i, delayed) }, "%c puts version %d: it hangs in the network, no answer", name, a.version)
			add(func(w *World) { w.put(i, repeated) }, "%c puts version %d: it arrives twice, the second is answered", name, a.version)
		}
	case unclear:
		add(func(w *World) { w.resolve(i) }, "%c goes on after the unclear answer", name)
		if faulty {
			add(func(w *World) { w.faults++; w.restart(i) }, "%c is killed and starts again", name)
		}
	case checking:
		add(func(w *World) { w.check(i) }, "%c reads version %d", name, a.version)
	case behind:
		add(func(w *World) { w.overtaken(i) }, "%c reads the versions since %d", name, a.base)
	case landed:
		add(func(w *World) { w.finish(i) }, "%c looks at the version below %d", name, a.version)
	}
}

func (w *World) hasRecords(a *archiver) bool {
	for p := range w.b.Partitions {
		if a.believes[p] && int(a.next[p]) < w.b.Records {
			return true
		}
	}
	return false
}

// move gives a partition to another archiver, which resumes it from the table. The former owner learns it later.
func (w *World) move(p, to int) {
	w.moves++
	w.owner[p] = int8(to)
	table, _ := w.table()
	w.archivers[to].believes[p] = true
	w.archivers[to].next[p] = table[p]
}

func (w *World) cleanerSteps(add func(func(*World), string, ...any)) {
	if int(w.cleanings) == w.b.Cleanings || w.b.AnyOrder && w.committing() {
		return
	}
	for v := 0; v < w.tip(); v++ {
		if w.log[v].state != present {
			continue
		}
		add(func(w *World) { w.cleanings++; w.log[v].state = removed }, "version %d is cleaned", v)
		if !w.b.AnyOrder {
			return
		}
	}
}

func (w *World) committing() bool {
	for _, a := range w.archivers {
		if a.phase != idle {
			return true
		}
	}
	return false
}

func (w *World) removerSteps(add func(func(*World), string, ...any)) {
	switch {
	case w.sweep.phase == 0 && int(w.sweeps) < w.b.Sweeps:
		add(func(w *World) {
			w.sweeps++
			w.clock++
			w.sweep.phase, w.sweep.horizon = 1, w.clock
		}, "the remover lists files")
	case w.sweep.phase == 1:
		add(func(w *World) {
			w.sweep.phase = 2
			w.land(int8(w.tip()+1), entry{id: w.newID(), file: -1, horizon: w.sweep.horizon})
			w.sweep.doomed = nil
			for f := range w.files {
				if w.files[f].modified <= w.sweep.horizon && !w.references(int8(f)) {
					w.sweep.doomed = append(w.sweep.doomed, int8(f))
				}
			}
		}, "the remover commits its horizon")
	case w.sweep.phase == 2:
		add(func(w *World) {
			w.sweep.phase = 0
			for _, f := range w.sweep.doomed {
				w.files[f].exists = false
			}
		}, "the remover removes what nothing refers to")
	}
}

func (w *World) newID() int8 { w.ids++; return w.ids }
