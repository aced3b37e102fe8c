package cosmosfake

import (
	"fmt"
	"time"
)

// outside is the time of everybody else: dates and tokens of requests are made by it.
func (c *clock) outside() time.Time { return c.now().Add(-time.Duration(c.ahead.Load())) }

// maxAdvance is how far the clock can be put forward: more is a mistake, and ends in an overflow.
const maxAdvance = 100 * 365 * 24 * time.Hour

// Advance puts the service's clock forward for good, and says what it is then. Times to live run down by it, and
// retention; requests go on to be dated by the time of everybody else. A data directory keeps it with the next write.
func (s *Server) Advance(by time.Duration) (time.Time, error) {
	for {
		ahead := s.clock.ahead.Load()
		if by < 0 || by > maxAdvance-time.Duration(ahead) {
			return time.Time{}, fmt.Errorf("advance the clock by %s: want 0 or more, and at most %s in all", by, maxAdvance)
		}
		if s.clock.ahead.CompareAndSwap(ahead, ahead+int64(by)) {
			return s.clock.now(), nil
		}
	}
}

// catchUp goes on with the time that was reached when the data directory was written.
func (c *clock) catchUp() {
	if c.source != nil {
		return
	}
	if ahead := c.last.Load() - time.Now().UnixNano(); ahead > 0 {
		c.ahead.Store(ahead)
	}
}
