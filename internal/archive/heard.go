package archive

import (
	"fmt"
	"math"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// heard is the time up to which every part of a range was heard of: marks of it, or of ranges that it became or was,
// reach so far.
type heard struct {
	span   schemas.FeedRange
	latest int64
}

// hear is the latest time of the marks that count, for each piece of the key space between two bounds. A piece that no
// mark speaks of was never heard of.
func (f *fold) hear() []int64 {
	times := make([]int64, len(f.bounds)-1)
	for i := range times {
		times[i] = math.MinInt64
	}
	for _, s := range f.spans {
		if s.last < 0 {
			continue
		}
		for i := s.from; i < s.to; i++ {
			times[i] = max(times[i], f.control.Marks[s.last].Latest)
		}
	}
	return times
}

func (f *fold) quiet(times []int64) (quiet []heard) {
	for _, s := range f.narrow() {
		h := heard{s.text, math.MaxInt64}
		for _, latest := range times[s.from:s.to] {
			h.latest = min(h.latest, latest)
		}
		quiet = append(quiet, h)
	}
	return quiet
}

// Settled tells whether the point's name lasts. Until every range has a later mark, one that belongs to the point may be
// archived yet: the point of that time is then another one.
func (t *Timeline) Settled(p *Point) bool { return p.Latest.UnixNano() < t.settled[p.Incarnation] }

// Quiet says which ranges no mark is archived of since longer than patience before now.
func (t *Timeline) Quiet(now time.Time, patience time.Duration) []string {
	var why []string
	newest := int64(math.MinInt64)
	for _, h := range t.quiet {
		newest = max(newest, h.latest)
		if h.latest < now.Add(-patience).UnixNano() {
			why = append(why, fmt.Sprintf("no mark of range %s since %s: is a producer running, and the archiver?", h.span, formatNano(h.latest)))
		}
	}
	if len(why) > 1 && len(why) == len(t.quiet) {
		return []string{fmt.Sprintf("no mark of any range since %s: is a producer running, and the archiver?", formatNano(newest))}
	}
	return why
}
