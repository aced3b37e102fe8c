package archiver

import "time"

// cadence says when the rows of a topic are due: changes one interval after the first of them, control rows alone as
// well, but no sooner than the control interval after the last commit. Without rows nothing is due.
type cadence struct {
	interval time.Duration
	control  time.Duration

	change    time.Time // when the first change since the last flush came, or zero
	other     time.Time // when the first control row came
	committed time.Time
}

func (c *cadence) sawChange(now time.Time) {
	if c.change.IsZero() {
		c.change = now
	}
}

func (c *cadence) sawControl(now time.Time) {
	if c.other.IsZero() {
		c.other = now
	}
}

// due is when to flush; ok is false when there is nothing.
func (c *cadence) due() (at time.Time, ok bool) {
	switch {
	case !c.change.IsZero():
		return c.change.Add(c.interval), true
	case !c.other.IsZero():
		return later(c.other.Add(c.interval), c.committed.Add(c.control)), true
	}
	return time.Time{}, false
}

// flushed forgets the rows; commit notes that they were committed.
func (c *cadence) flushed() { c.change, c.other = time.Time{}, time.Time{} }

func (c *cadence) commit(now time.Time) { c.committed = now }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
