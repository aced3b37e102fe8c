package archive

import (
	"fmt"
	"slices"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// offsetsOf is what the marks of a vector have acknowledged together.
func (c *Control) offsetsOf(v vector) schemas.Offsets {
	offsets := schemas.Offsets{}
	for _, i := range v.marks {
		for partition, offset := range c.Marks[i].Offsets {
			if offset >= 0 {
				offsets.Raise(int32(partition), offset)
			}
		}
	}
	return offsets
}

// point makes the i-th point.
func (t *Timeline) point(i int) Point {
	v := t.points[i]
	p := Point{
		Container: t.control.Container, Incarnation: v.incarnation, Latest: v.time(), Offsets: t.control.offsetsOf(v),
	}
	earliest, completeTo := v.latest, int64(0)
	for n, i := range v.marks {
		m := &t.control.Marks[i]
		p.Cuts = append(p.Cuts, schemas.Cut{Range: m.Range, Generation: m.Generation, LSN: m.LSN})
		earliest = min(earliest, m.Latest)
		if n == 0 || m.CompleteTo < completeTo {
			completeTo = m.CompleteTo
		}
	}
	p.Earliest, p.CompleteTo = time.Unix(0, earliest).UTC(), time.Unix(0, completeTo).UTC()
	if d := t.control.definitionOf(&p); d != nil {
		p.Definition = d.Resource
	}
	p.Name = p.nameOf()
	p.Claim = t.claim(&p)
	return p
}

// claim says what a vector is worth by what the archive holds now. It may be less than what was said of it before.
func (t *Timeline) claim(p *Point) Claim {
	return Claim{Declared: t.rules.String(), Taints: t.taints(p)}
}

// definitionOf is the last definition within the point's offsets: the one that was observed last, since a zombie may
// publish an earlier one later.
func (c *Control) definitionOf(p *Point) *DefinitionRow {
	var last *DefinitionRow
	for i := range c.Definitions {
		d := &c.Definitions[i]
		if d.Incarnation == p.Incarnation && d.within(p.Offsets) && (last == nil || laterDefinition(d, last)) {
			last = d
		}
	}
	return last
}

func laterDefinition(d, than *DefinitionRow) bool {
	if !d.Observed.Equal(than.Observed) {
		return d.Observed.After(than.Observed)
	}
	return d.Offset > than.Offset
}

// taints are the reasons why the archive cannot hold the container as it was at the point.
func (t *Timeline) taints(p *Point) []string {
	var taints []string
	taints = append(taints, t.lossTaints(p)...)
	taints = append(taints, t.control.unkeyedTaints(p)...)
	if t.timeToLive(p) {
		taints = append(taints, "the container has a time to live (defaultTtl): documents vanish without a trace in the feed, and this version does not compute which")
	}
	return taints
}

// lossTaints finds the losses at or below the point that may have been changes of a cut's generation: those that end
// after what the range had acknowledged when the generation began. A rebase that begins after a loss has read again
// what was lost.
func (t *Timeline) lossTaints(p *Point) []string {
	var taints []string
	for _, loss := range t.control.Losses {
		if !covers(p.Offsets, loss.Partition, loss.From) {
			continue
		}
		touched := slices.ContainsFunc(p.Cuts, func(cut schemas.Cut) bool {
			return t.before(p, cut, loss.Partition) < loss.To
		})
		if touched {
			taints = append(taints, loss.Reason)
		}
	}
	return taints
}

// before is the last offset of a topic partition that the range of a cut had acknowledged when the cut's generation
// began. Where the mark that says so is missing, -1: nothing is known to be from before.
func (t *Timeline) before(p *Point, cut schemas.Cut, partition int32) int64 {
	offset, found := int64(-1), false
	for _, i := range t.begins {
		m := &t.control.Marks[i]
		if m.Generation != cut.Generation || m.Incarnation != p.Incarnation || !m.Range.Overlaps(cut.Range) {
			continue
		}
		if acknowledged := m.acknowledged(partition); !found || acknowledged < offset {
			offset, found = acknowledged, true
		}
	}
	return offset
}

func (c *Control) unkeyedTaints(p *Point) []string {
	n := 0
	var first *UnkeyedRow
	for i := range c.Unkeyed {
		u := &c.Unkeyed[i]
		hit := u.Incarnation == p.Incarnation && u.within(p.Offsets) && slices.ContainsFunc(p.Cuts, func(cut schemas.Cut) bool {
			return cut.Includes(u.Generation, u.LSN) && cut.Range.Overlaps(u.Range)
		})
		if hit {
			if n++; first == nil {
				first = u
			}
		}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d changes could not be keyed and are not in the archive's containers, the first at LSN %d of range %s", n, first.LSN, first.Range)}
}

// expiry is a time in which documents may have vanished without a trace: a definition with a time to live was in force.
type expiry struct {
	Place
	incarnation string
	from, until time.Time // as early and as late as it may have been; until is zero when it still is
}

// expiries are those of all definitions in the archive. A definition is in force from its own `_ts` on, not from when the
// producer read it, until the next one's; within one second nobody knows which was first.
func (c *Control) expiries() []expiry {
	var all []expiry
	for i := range c.Definitions {
		d := &c.Definitions[i]
		if !d.TimeToLive {
			continue
		}
		from, by := d.begins()
		e := expiry{Place: d.Place, incarnation: d.Incarnation, from: from}
		for j := range c.Definitions {
			_, next := c.Definitions[j].begins()
			later := c.Definitions[j].Incarnation == d.Incarnation && next.After(by)
			if later && (e.until.IsZero() || next.Before(e.until)) {
				e.until = next
			}
		}
		all = append(all, e)
	}
	return all
}

// timeToLive tells whether a definition with a time to live was in force at any moment from the oldest beginning of the
// cuts' generations to the point: documents that expired then may still stand in the rows. The definition may be archived
// long after the point, since the producer reads definitions every few minutes only.
func (t *Timeline) timeToLive(p *Point) bool {
	if len(t.expiries) == 0 {
		return false
	}
	begin := p.Cuts[0].Generation
	for _, cut := range p.Cuts {
		begin = min(begin, cut.Generation)
	}
	return slices.ContainsFunc(t.expiries, func(e expiry) bool {
		begun := !e.from.After(p.Latest) || e.within(p.Offsets) // the service's clocks differ: what is within is believed
		return e.incarnation == p.Incarnation && begun && (e.until.IsZero() || e.until.UnixMilli() >= int64(begin))
	})
}
