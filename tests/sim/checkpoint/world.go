package checkpoint

import (
	"math/rand/v2"
	"slices"
)

// write is one version of a document; stamp tells apart two versions that took the same LSN before and after a failover.
type write struct{ doc, lsn, stamp int }

// service is one physical range. eras holds the log of every configuration number as it was when it ended.
type service struct {
	random *rand.Rand
	config int
	newest int
	log    []write
	eras   map[int][]write
	stamps int
}

// response is what a replica answered.
type response struct {
	config, newest int
	etag           int
	items          []write
}

const documents = 3

func (s *service) write() {
	s.newest++
	s.stamps++
	s.log = append(s.log, write{s.random.IntN(documents), s.newest, s.stamps})
}

func (s *service) failover() {
	s.eras[s.config] = slices.Clone(s.log)
	s.config++
	s.newest -= s.random.IntN(min(s.newest, 4) + 1)
	s.log = slices.DeleteFunc(slices.Clone(s.log), func(w write) bool { return w.lsn > s.newest })
}

// state is every document's version at an LSN of a configuration.
func (s *service) state(config, lsn int) map[int]write {
	log := s.log
	if config != s.config {
		log = s.eras[config]
	}
	docs := map[int]write{}
	for _, w := range log {
		if w.lsn <= lsn {
			docs[w.doc] = w
		}
	}
	return docs
}

// fromNow as the position means `*`.
const fromNow = -1

func (s *service) read(after int) response {
	r := response{config: s.config, newest: s.newest}
	switch s.random.IntN(4) {
	case 0: // lags
		r.newest -= s.random.IntN(min(s.newest, 3) + 1)
	case 1: // has not heard of the failover
		if old, ok := s.eras[s.config-1]; ok {
			r.config--
			r.newest = 0
			if len(old) > 0 {
				r.newest = old[len(old)-1].lsn
			}
		}
	}
	if after == fromNow {
		r.etag = r.newest
		return r
	}
	for _, w := range s.state(r.config, r.newest) {
		if w.lsn > after {
			r.items = append(r.items, w)
		}
	}
	slices.SortFunc(r.items, func(a, b write) int { return a.lsn - b.lsn })
	if r.items = r.items[:min(len(r.items), 2)]; len(r.items) == 0 {
		r.etag = max(r.newest, after)
	} else {
		r.etag = r.items[len(r.items)-1].lsn
	}
	return r
}

// state is what a checkpoint holds.
type state struct {
	generation, config, position, newest int
	basis                                string
	offset                               int // highest acknowledged, -1 for none
	start                                int // position from which on this generation was read
}

// store holds the one object. Its version is the id of the write that made it.
type store struct {
	object  state
	id      int
	ids     int
	delayed []put
	seen    map[int]bool // generations that ever stood in it
}

type put struct {
	next     state
	id, base int
}

type answer int

const (
	ok answer = iota
	conflict
	lost
)

// event is one record of the topic.
type event struct {
	mark                          bool
	generation, doc, order, stamp int
	claim                         state // of a mark
	drained                       bool
}

// record is an event on its way.
type record struct {
	event  event
	done   bool
	failed bool
	offset int
}
