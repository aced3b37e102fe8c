package commit

import "fmt"

// The protocol: what an archiver does, step by step, and the log as everybody sees it.

type fate int8

const (
	answered fate = iota
	dropped       // nothing arrived
	lost          // it arrived, the answer did not
	delayed       // it arrives later, or never
	repeated      // it arrived twice, and the answer is the second's
)

// flush begins with one record of every partition that the archiver believes to own, upon the base that it has, however
// old.
func (w *World) flush(i int) {
	a := &w.archivers[i]
	if a.base < 0 || w.on(Reload) && w.cleaned(a) {
		w.load(a)
	}
	a.flush = entry{}
	for p := range w.b.Partitions {
		if a.believes[p] && int(a.next[p]) < w.b.Records {
			a.flush.spans = append(a.flush.spans, span{int8(p), a.next[p], a.next[p] + 1})
		}
	}
	w.upload(a)
	w.prepare(a)
}

func (w *World) upload(a *archiver) {
	w.clock++
	w.files = append(w.files, file{exists: true, modified: w.clock})
	a.flush.file, a.tried = int8(len(w.files)-1), false
}

// drop removes the flush's file, unless a put named it: that may have been in the log, whatever stands there now.
func (w *World) drop(a *archiver) {
	if !a.tried || !w.on(KeepFile) {
		w.files[a.flush.file].exists = false
	}
}

// prepare takes out of the flush what no longer begins where its partition stands, and aims at the version above base.
func (w *World) prepare(a *archiver) {
	var kept []span
	for _, s := range a.flush.spans {
		if w.on(CAS) && a.known[s.partition] != s.first {
			a.next[s.partition] = a.known[s.partition] // resumed from the table
			continue
		}
		kept = append(kept, s)
	}
	if len(kept) == 0 {
		w.drop(a)
		a.phase, a.flush = idle, entry{}
		return
	}
	if len(kept) < len(a.flush.spans) {
		w.drop(a)
		w.upload(a)
	}
	if w.on(Barrier) && w.files[a.flush.file].modified <= a.horizon {
		w.upload(a)
	}
	a.flush.spans, a.flush.id = kept, w.newID()
	a.version, a.phase = a.base+1, putting
}

// put sends the flush to its version.
func (w *World) put(i int, how fate) {
	a := &w.archivers[i]
	if how != answered {
		w.faults++
	}
	arrived := false
	a.tried = true
	switch how {
	case dropped:
	case delayed:
		w.flights = append(append([]flight(nil), w.flights...), flight{a.version, a.flush})
	default:
		arrived = w.land(a.version, a.flush)
	}
	switch {
	case how == answered && arrived:
		a.phase = landed
	case how == answered || how == repeated:
		a.phase = checking
	default:
		a.phase = unclear
	}
}

// land puts an entry where nothing stands.
func (w *World) land(version int8, e entry) bool {
	log := append([]slot(nil), w.log...)
	for len(log) <= int(version) {
		log = append(log, slot{})
	}
	s := &log[version]
	switch s.state {
	case present, hole:
		return false
	case removed:
		s.state, s.intruder = hole, e
	default:
		*s = slot{state: present, entry: e}
	}
	w.stamps++
	s.stamp = w.stamps
	w.log = log
	return true
}

func (w *World) resolve(i int) {
	a := &w.archivers[i]
	switch {
	case !w.on(SameSlot):
		a.version++
	case !w.on(KeepFile):
		w.drop(a)
		w.restart(i)
		return
	}
	a.phase = putting
}

// restart forgets all and resumes from the table. It removes no file.
func (w *World) restart(i int) {
	a := &w.archivers[i]
	w.load(a)
	a.phase, a.flush = idle, entry{}
	for p := range w.b.Partitions {
		a.believes[p] = int(w.owner[p]) == i
		a.next[p] = a.known[p]
	}
}

// check reads what stands at the version that was refused.
func (w *World) check(i int) {
	a := &w.archivers[i]
	s := w.log[a.version]
	mine := s.read().id == a.flush.id
	switch {
	case s.state == removed:
		a.phase = unclear
	case mine && w.on(IsMine), !mine && !w.on(IsNotMine):
		a.phase = landed
	case w.on(Void) && w.isVoid(a):
		w.restart(i) // a cleaned part of the log: ours may have been there before
	default:
		if s.entry.id == a.flush.id {
			w.broken = fmt.Sprintf("told: %c was told that its commit %d is lost, and it stands at version %d", 'A'+i, a.flush.id, a.version)
		}
		a.phase = behind
	}
}

// read is what a reader gets where something stands.
func (s slot) read() entry {
	if s.state == hole {
		return s.intruder
	}
	return s.entry
}

// overtaken goes on above what others wrote.
func (w *World) overtaken(i int) {
	a := &w.archivers[i]
	known, horizon := a.known, a.horizon
	w.refresh(a)
	if !w.on(Again) {
		a.known = known
	}
	if !w.on(BarrierNow) {
		a.horizon = horizon
	}
	w.prepare(a)
}

// refresh reads the versions above the base until there is none, and then makes sure that this was the log: in a cleaned
// part of it the base is gone, or another object of its name stands there.
func (w *World) refresh(a *archiver) {
	if a.base < 0 {
		w.load(a)
		return
	}
	base, seen, known := a.base, a.seen, a.known
	for v := base + 1; int(v) < len(w.log) && (w.log[v].state == present || w.log[v].state == hole); v++ {
		e := w.log[v].read()
		if !w.on(Every) {
			a.known = known
		}
		a.horizon = max(a.horizon, e.horizon)
		for _, s := range e.spans {
			a.known[s.partition] = s.next
		}
		a.base, a.seen = v, w.log[v].stamp
	}
	if w.on(SameBase) && (w.log[base].state == removed || w.log[base].stamp != seen) {
		w.load(a)
	}
}

// finish reports a commit done, unless it stands in a cleaned part of the log.
func (w *World) finish(i int) {
	a := &w.archivers[i]
	if w.on(Void) && w.isVoid(a) {
		w.restart(i)
		return
	}
	if s := w.log[a.version]; s.state != present && s.state != removed || s.entry.id != a.flush.id {
		w.broken = fmt.Sprintf("told: %c was told that its commit %d stands at version %d", 'A'+i, a.flush.id, a.version)
	}
	for _, s := range a.flush.spans {
		a.known[s.partition] = s.next
		if a.believes[s.partition] {
			a.next[s.partition] = s.next
		}
	}
	a.base, a.seen = a.version, w.log[a.version].stamp
	a.phase, a.flush = idle, entry{}
}

// isVoid tells what a look at the log shows. Below the first version there is nothing to look at, but nothing is ever
// cleaned without a checkpoint; where one stands, a first version is called void although it may not be, and the restart
// finds its rows.
func (w *World) isVoid(a *archiver) bool {
	if a.version == 0 {
		return w.cleanings > 0
	}
	below := w.log[a.version-1]
	return below.state == removed || w.on(SameBelow) && below.stamp != a.seen
}

func (w *World) load(a *archiver) {
	a.known, a.horizon = w.table()
	a.base, a.seen = int8(w.tip()), 0
	if a.base >= 0 {
		a.seen = w.log[a.base].stamp
	}
}

// cleaned stands for the age of a base: a day is much less than the time that the log is kept.
func (w *World) cleaned(a *archiver) bool {
	for _, s := range w.log[a.base:] {
		if s.state == removed || s.state == hole {
			return true
		}
	}
	return false
}

// tip is the newest version that a reader sees: whatever stands in a hole, a checkpoint stands above it.
func (w *World) tip() int {
	v := 0
	for v < len(w.log) && w.log[v].state != absent {
		v++
	}
	return v - 1
}

// table is what the visible log says.
func (w *World) table() (at positions, horizon int8) {
	for _, s := range w.log[:w.tip()+1] {
		horizon = max(horizon, s.entry.horizon)
		for _, span := range s.entry.spans {
			at[span.partition] = span.next
		}
	}
	return at, horizon
}

func (w *World) references(f int8) bool {
	for _, s := range w.log[:w.tip()+1] {
		if s.entry.file == f && len(s.entry.spans) > 0 {
			return true
		}
	}
	return false
}

// Broken tells which promise the world breaks, if any.
func (w *World) Broken() string {
	if w.broken != "" {
		return w.broken
	}
	var at positions
	for v, s := range w.log[:w.tip()+1] {
		if len(s.entry.spans) > 0 && !w.files[s.entry.file].exists {
			return fmt.Sprintf("INV-8: version %d refers to a file that was removed", v)
		}
		for _, span := range s.entry.spans {
			if span.first != at[span.partition] {
				return fmt.Sprintf("INV-3: version %d has offset %d of partition %d where %d is due", v, span.first, span.partition, at[span.partition])
			}
			at[span.partition] = span.next
		}
	}
	return ""
}
