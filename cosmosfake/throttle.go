package cosmosfake

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// The cost model, in request units. A point read costs 1 for the first KiB and 1/11 for each other; a write 4.95 at
// 1 KiB, 6.67 at 4, 9.52 at 16, 48 at 128, 625 at 1,024, with straight lines between; a deletion as the write of what
// it deletes; a page of a feed 1, and 1/10 per KiB; what is refused 1, a request refused with 429 nothing.
//
// A physical range has its even share of the container's throughput. It saves up one second's worth, and a request
// is let in while anything is left, whatever it will cost: what it costs too much is waited for by the next.
// Requests of low priority are let in only while more than half of a second's worth is left. The operations of a bulk
// request are let in one by one.

// priority is the header x-ms-cosmos-priority-level.
type priority int

const (
	priorityHigh priority = iota
	priorityLow
)

func priorityOf(r *http.Request) priority {
	if strings.EqualFold(r.Header.Get("x-ms-cosmos-priority-level"), "Low") {
		return priorityLow
	}
	return priorityHigh
}

// throughput of a container in RU/s; 0 is without limit.
type throughput struct{ bits atomic.Uint64 }

func (t *throughput) set(ru float64) { t.bits.Store(math.Float64bits(ru)) }
func (t *throughput) get() float64   { return math.Float64frombits(t.bits.Load()) }

// limit is what a container has by its own offer, or without one; 0 is without limit.
func (s *Server) limit(content *throughputContent) float64 {
	switch {
	case s.options.Throughput == 0 || content == nil:
		return s.options.Throughput
	case content.Autoscale != nil:
		return float64(content.Autoscale.Max)
	}
	return float64(content.Throughput)
}

// meter is what a physical range has left. It is guarded by the range's lock.
type meter struct {
	left float64
	at   time.Time // of the last request; zero before the first
}

// rate is what a physical range gets in a second; 0 is without limit.
func (c *container) rate() float64 { return c.throughput.get() / float64(len(c.partitions())) }

// admit lets a request to a range in or tells when to come again. The caller holds the range's lock.
func (c *container) admit(p *partition, now time.Time, level priority) *Error {
	rate := c.rate()
	if rate <= 0 {
		return nil
	}
	m := &p.meter
	if m.at.IsZero() {
		m.left = rate
	} else {
		m.left = min(rate, m.left+rate*now.Sub(m.at).Seconds())
	}
	m.at = now
	return m.allows(rate, level)
}

// allows refuses while too little is left.
func (m *meter) allows(rate float64, level priority) *Error {
	floor := 0.0
	if level == priorityLow {
		floor = rate / 2
	}
	if rate <= 0 || m.left > floor {
		return nil
	}
	wait := time.Duration((floor - m.left) / rate * float64(time.Second))
	return &Error{
		Status: 429, Substatus: 3200, Code: "TooManyRequests", RetryAfter: wait.Truncate(time.Millisecond) + time.Millisecond,
		Message: `Message: {"Errors":["Request rate is large. More Request Units may be needed, so no changes were made. Please retry this request later. Learn more: http://aka.ms/cosmosdb-error-429"]}`,
	}
}

// spend takes what a request cost. The caller holds the lock.
func (m *meter) spend(charge float64) { m.left -= charge }

func (t *transaction) spend(charge float64) { t.p.meter.spend(charge) }

// refused is what it costs to be refused.
const refused = 1

// SetThroughput changes what a container has, in RU/s; 0 takes the limit away.
func (s *Server) SetThroughput(database, container string, ru float64) error {
	err := checkRate("throughput", ru)
	c, e := s.container(database, container)
	if e != nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("set throughput of %s.%s: %w", database, container, err)
	}
	c.throughput.set(ru)
	return nil
}
