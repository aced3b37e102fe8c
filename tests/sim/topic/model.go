// Package topic is a model of how archivers notice that a topic was deleted and made again (ARCHITECTURE.md, "A topic made anew"),
// small enough to try every schedule of it.
//
// Two archivers own a partition each; of the first one a record is archived, the witness, of the second none. Records
// are published, the topic is made anew once, archivers start, fetch, and commit, in any order and with any pause between
// a comparison and a put. Once the topic is halted, records age away, and with them what shows that it is another one.
//
// It promises that no record of the topic made anew is ever archived, and nothing at all once the topic is halted and the
// commits that were under way have ended. Each Guard is one rule; with all of them no schedule breaks the promise.
package topic

// Guard is one rule that can be left out.
type Guard string

// The guards.
const (
	None   Guard = ""
	Whole  Guard = "an archiver compares partitions that it does not own"
	Before Guard = "what no proven id vouches for is compared before it is committed"
	Proved Guard = "a comparison vouches for an id, and for no records without one"
	Obey   Guard = "the topic's halt is read before a start and before a commit"
)

// Brokers say how records are fetched.
type Brokers string

// The brokers.
const (
	WithIDs    Brokers = "with topic ids"
	WithoutIDs Brokers = "without topic ids"
)

const (
	partitions = 2
	most       = 3 // records of a partition
)

type phase int8

const (
	stopped phase = iota
	reading
	judged // it may commit, and has not yet
)

type archiver struct {
	phase  phase
	next   int8
	from   [most]int8 // which topic the buffered records came from, 0: not buffered
	bound  int8       // the topic by whose id it fetches
	proved int8
	doubt  bool
}

// World is a state of everything. Topics are numbered: 1 was archived, 2 was made anew.
type World struct {
	topic     int8
	ends      [partitions]int8
	starts    [partitions]int8
	table     [partitions][most]int8 // the topic that each archived offset came from
	archived  [partitions]int8
	halted    bool
	archivers [partitions]archiver
	broken    string
}

// New is the world before anything happened.
func New() World {
	w := World{topic: 1}
	w.ends[0], w.archived[0], w.table[0][0] = 1, 1, 1
	return w
}

// Steps are the worlds that can come next, by what happens.
func (w World) Steps(brokers Brokers, without Guard) map[string]World {
	next := map[string]World{}
	if w.topic == 1 {
		made := w
		made.topic, made.ends, made.starts = 2, [partitions]int8{}, [partitions]int8{}
		next["the topic is made anew"] = made
	}
	for p := range int8(partitions) {
		name := string('A' + rune(p))
		if w.ends[p] < most {
			published := w
			published.ends[p]++
			next["a record for "+name] = published
		}
		if w.halted && w.starts[p] < w.ends[p] {
			aged := w
			aged.starts[p] = w.ends[p]
			next["records of "+name+" age away"] = aged
		}
		stopped := w
		stopped.archivers[p] = archiver{}
		next[name+" is stopped"] = stopped
		acted := w
		acted.act(p, brokers, without)
		next[name+" goes on"] = acted
		if w.archivers[p].phase == reading {
			judged := w
			judged.judge(p, without)
			next[name+" asks whether it may commit"] = judged
		}
	}
	return next
}

// act starts what is stopped, fetches a record, or puts a commit that may be put.
func (w *World) act(p int8, brokers Brokers, without Guard) {
	a := &w.archivers[p]
	switch a.phase {
	case stopped:
		if (w.halted && without != Obey) || !w.compare(p, without) || w.starts[p] > w.archived[p] {
			return
		}
		*a = archiver{phase: reading, next: w.archived[p]}
	case reading:
		if brokers == WithIDs && a.bound != 0 && a.bound != w.topic || a.next > w.ends[p] || a.next < w.starts[p] {
			*a = archiver{} // the brokers say so
			return
		}
		if a.next == w.ends[p] {
			return
		}
		id := int8(0)
		if brokers == WithIDs {
			id, a.bound = w.topic, w.topic
		}
		if id == 0 && without != Proved || id != a.proved {
			a.doubt = true
		}
		a.from[a.next] = w.topic
		a.next++
	case judged:
		for at := w.archived[p]; at < a.next; at++ {
			if a.from[at] == 2 {
				w.broken = "a record of the topic made anew is archived"
			}
			w.table[p][at] = a.from[at]
		}
		w.archived[p] = a.next
		a.phase, a.from = reading, [most]int8{}
	}
}

// judge asks whether what is buffered may be committed.
func (w *World) judge(p int8, without Guard) {
	a := &w.archivers[p]
	if w.halted && without != Obey {
		*a = archiver{}
		return
	}
	if a.doubt && without != Before {
		if !w.compare(p, without) {
			return
		}
		if a.bound != 0 {
			a.proved, a.doubt = a.bound, false
		}
	}
	if w.halted {
		w.broken = "a commit begins although the topic is halted"
	}
	a.phase = judged
}

// compare holds the topic against the table, and halts it when it is another one.
func (w *World) compare(by int8, without Guard) bool {
	for p := range int8(partitions) {
		at := w.archived[p] - 1
		if at < 0 || p != by && without == Whole {
			continue
		}
		if w.ends[p] <= at || w.starts[p] <= at && w.table[p][at] != w.topic {
			w.halted = true
			w.archivers[by] = archiver{}
			return false
		}
	}
	return true
}
