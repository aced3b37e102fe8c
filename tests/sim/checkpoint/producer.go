package checkpoint

// producer runs the protocol as straight code; pause hands the turn back to the schedule, and unwinds when this
// incarnation of the producer is killed.
type producer struct {
	m     *model
	pause func()
	queue *[]*record // outlives the producer

	base  int   // the id of the checkpoint that it goes on from
	acked state // what may be checkpointed and stated
	read  state // where the last response left it
	// sent are the records of the page in flight; when they are acknowledged, acked becomes then.
	sent []*record
	then state
}

func (p *producer) run() {
	for {
		p.pause()
		p.acked, p.base = p.m.store.object, p.m.store.id
		p.read, p.then, p.sent = p.acked, p.acked, nil
		if !p.save(p.acked) { // taking over writes at once
			continue
		}
		for p.round() {
		}
	}
}

// round polls once. It is false when the reader has to begin anew from the checkpoint.
func (p *producer) round() bool {
	p.pause()
	r := p.m.service.read(p.read.position)
	switch {
	case r.config < p.read.config && p.m.has(DropLowerConfig):
		return true
	case r.config > p.read.config && (p.read.generation == 0 || p.m.has(Rebase)):
		return p.settle() && p.begin(r)
	}
	p.read.config = max(p.read.config, r.config)
	if p.m.has(GreatestNewest) {
		p.read.newest = max(p.read.newest, r.newest)
	} else {
		p.read.newest = r.newest
	}
	if !p.settle() {
		return false
	}
	for _, w := range r.items {
		p.sent = append(p.sent, p.publish(event{generation: p.read.generation, doc: w.doc, order: w.lsn, stamp: w.stamp}))
	}
	p.read.position = r.etag
	p.then = p.read
	if p.m.random.IntN(2) == 0 && !p.mark() {
		return false
	}
	return p.m.random.IntN(3) > 0 || p.checkpoint()
}

// settle waits for the page in flight.
func (p *producer) settle() bool {
	for _, r := range p.sent {
		for !r.done {
			p.pause()
		}
		if r.failed {
			return false
		}
		p.then.offset = max(p.then.offset, r.offset)
	}
	p.acked, p.sent = p.then, nil
	p.read.offset = p.acked.offset
	return true
}

// begin starts a generation: in the checkpoint first, then on the topic.
func (p *producer) begin(r response) bool {
	next := p.acked
	first := next.generation == 0
	next.generation, next.config, next.newest = p.m.tick(), r.config, r.newest
	next.position, next.start = 0, 0
	switch {
	case p.m.fromNow && first:
		next.position, next.start = r.etag, r.etag
		if !p.m.has(PinFirst) { // goes on from the pin without having it in the checkpoint
			next.position = fromNow
		}
		next.basis = "none"
		if !p.m.has(NowIsNone) {
			next.basis = "loading"
		}
	case p.m.fromNow && p.m.has(NowIsNone):
		next.basis = "none"
	default:
		next.basis = "loading"
	}
	if !p.m.has(GenerationFirst) {
		p.publish(event{mark: true, generation: next.generation, claim: next})
	}
	if !p.save(next) {
		return false
	}
	if next.position == fromNow {
		next.position = next.start
	}
	p.acked, p.read, p.then = next, next, next
	p.sent = append(p.sent, p.publish(event{mark: true, generation: next.generation, claim: next}))
	return p.settle()
}

// mark states where the reader stands, and makes the basis complete when it first drains.
func (p *producer) mark() bool {
	claim := p.then
	if p.m.has(AckBeforeMark) {
		if !p.settle() {
			return false
		}
		claim = p.acked
	}
	drained := claim.generation > 0 && claim.position >= claim.newest
	if drained && claim.basis == "loading" {
		claim.basis = "complete"
		p.acked.basis, p.read.basis, p.then.basis = "complete", "complete", "complete"
	}
	if claim.generation == 0 {
		return true
	}
	if p.m.has(AckBeforeMark) {
		p.sent = append(p.sent, p.publish(event{mark: true, generation: claim.generation, claim: claim, drained: drained}))
		return p.settle()
	}
	p.publish(event{mark: true, generation: claim.generation, claim: claim, drained: drained})
	return true
}

func (p *producer) checkpoint() bool {
	if p.m.has(AckBeforeCheckpoint) {
		return p.settle() && p.save(p.acked)
	}
	return p.save(p.then)
}

// save writes by compare-and-set and settles every answer but success by reading back. It is false when somebody else's
// write stands there.
func (p *producer) save(next state) bool {
	if !p.m.has(KeepNewest) {
		next.newest = 0
	}
	p.m.store.ids++
	mine := put{next: next, id: p.m.store.ids, base: p.base}
	for {
		p.pause()
		a := p.m.put(mine)
		if a == ok || !p.m.has(ReadBack) {
			p.base = mine.id
			return true
		}
		p.pause()
		switch stands := p.m.store.id; {
		case stands == mine.id && p.m.has(KnowOwnWrite):
			p.base = mine.id
			return true
		case stands == mine.id:
			p.m.violate("a writer that holds the line dropped it")
			return false
		case stands != p.base:
			return false
		}
	}
}

func (p *producer) publish(e event) *record {
	r := &record{event: e}
	*p.queue = append(*p.queue, r)
	return r
}
