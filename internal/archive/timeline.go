package archive

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Timeline is all restore points of a container, oldest first, folded from what the archive holds: nobody remembers
// points. Points of equal latest time are of different incarnations.
type Timeline struct {
	control  *Control
	rules    Rules
	points   []vector
	pending  []string
	begins   []int32          // of Control.Marks, those that begin a generation
	expiries []expiry         // of all definitions
	quiet    []heard          // of the newest incarnation
	settled  map[string]int64 // by incarnation: points of earlier times do not move
}

// LoadTimeline folds the points of a container from its topic's table at one version. Memory grows with the number of
// marks, some 150 bytes each, and with nothing else.
func LoadTimeline(ctx context.Context, changes *Changes, container string, rules Rules) (*Timeline, error) {
	control, err := LoadControl(ctx, changes, container)
	if err != nil {
		return nil, fmt.Errorf("load timeline of %s: %w", container, err)
	}
	return Fold(control, rules), nil
}

// LoadControl reads the control rows of a topic as they concern one container.
func LoadControl(ctx context.Context, changes *Changes, container string) (*Control, error) {
	want, err := NewColumns("partition_key", "id", "op", "ts", "generation", "lsn", "incarnation", "document", "topic_partition", "offset")
	if err != nil {
		return nil, err
	}
	if err := CheckUUID(changes.Snapshot, changes.UUID); err != nil {
		return nil, &schemas.Halt{
			Unit: "topic " + changes.Topic, Since: time.Now().UTC(), Evidence: err.Error(),
			Reason: "topic.json and the table are of different topics: put back the topic.json that the table was begun with",
		}
	}
	control := NewControl(container, changes.Offsets())
	for _, file := range changes.Files(schemas.ControlContainer) {
		if err := control.addFile(ctx, changes, file, want); err != nil {
			return nil, err
		}
	}
	return control, nil
}

func (c *Control) addFile(ctx context.Context, changes *Changes, file delta.Add, want Columns) error {
	reader, err := changes.Open(ctx, file, want)
	if err != nil {
		return err
	}
	defer reader.Close()
	var row Row
	for {
		more, err := reader.Next(&row)
		if err != nil {
			return fmt.Errorf("read file %s: %w", file.Path, err)
		}
		if !more {
			return nil
		}
		if err := c.Add(&row); err != nil {
			return fmt.Errorf("read file %s: %w", file.Path, err)
		}
	}
}

// Len is the number of points.
func (t *Timeline) Len() int { return len(t.points) }

// Points are all points, oldest first.
func (t *Timeline) Points() []Point { return slices.Collect(t.All()) }

// All are all points, oldest first, made one by one.
func (t *Timeline) All() iter.Seq[Point] {
	return func(yield func(Point) bool) {
		for i := range t.points {
			if !yield(t.point(i)) {
				return
			}
		}
	}
}

// Newest is the newest point; false when there is none.
func (t *Timeline) Newest() (Point, bool) {
	if len(t.points) == 0 {
		return Point{}, false
	}
	return t.point(len(t.points) - 1), true
}

// NewestExact is the newest point whose claim is exact; false when there is none.
func (t *Timeline) NewestExact() (Point, bool) {
	for i := len(t.points) - 1; i >= 0; i-- {
		if p := t.point(i); p.Claim.Exact() {
			return p, true
		}
	}
	return Point{}, false
}

// Pending says why the newest marks make no point yet, or why there is none at all. Empty: they do.
func (t *Timeline) Pending() []string { return t.pending }

// ByName is the point of that name. A name that does not fold from the archive is refused, never resolved to another
// vector. That of a point that was not Settled may cease to; the refusal names the point that took its place.
func (t *Timeline) ByName(name string) (Point, error) {
	latest, err := ParsePointName(name)
	if err != nil {
		return Point{}, &RefusedError{Reason: err.Error(), Nearest: t.around(time.Unix(1<<40, 0))}
	}
	var now []string // the points of its time
	for i := t.after(latest.Add(-1)); i < len(t.points) && t.points[i].time().Before(latest.Add(time.Millisecond)); i++ {
		p := t.point(i)
		if p.Name == name {
			return p, nil
		}
		now = append(now, fmt.Sprintf("%s (%s)", p.Name, p.Claim))
	}
	reason := fmt.Sprintf("point %s does not fold from the archive of %s", name, t.control.Container)
	if len(now) > 0 {
		reason += fmt.Sprintf("; if it was listed as one that may still move, a mark that belongs to it was archived since, and the point of its time is now %s",
			strings.Join(now, " or "))
	}
	return Point{}, t.Refuse(latest, reason)
}

// Before is the newest point in which nothing is later than at. It is refused where that is no statement about at: before
// the first point, and after the newest.
func (t *Timeline) Before(at time.Time) (Point, error) {
	switch n := t.after(at); {
	case len(t.points) == 0:
		return Point{}, t.Refuse(at, "")
	case n == 0:
		refused := t.Refuse(at, fmt.Sprintf("%s is before the first restore point of %s", schemas.FormatTime(at), t.control.Container))
		refused.Remedy = "the archive reaches no further back; take a point by --at NAME"
		return Point{}, refused
	case t.points[len(t.points)-1].time().Before(at):
		refused := t.Refuse(at, fmt.Sprintf("%s is after the newest restore point of %s", schemas.FormatTime(at), t.control.Container))
		refused.Remedy = "take a point by --at NAME, or wait for a later one; `points` shows what it waits for"
		return Point{}, refused
	default:
		return t.point(n - 1), nil
	}
}

// CompletePast is the first exact point in which everything is that was acknowledged up to at; false: there is none yet.
func (t *Timeline) CompletePast(at time.Time) (Point, bool) {
	for i := t.after(at); i < len(t.points); i++ {
		if p := t.point(i); p.CompleteTo.After(at) && p.Claim.Exact() {
			return p, true
		}
	}
	return Point{}, false
}

// At is the point whose latest time is exactly at. It is refused where there is none, or more than one.
func (t *Timeline) At(at time.Time) (Point, error) {
	end := t.after(at)
	first := end
	for first > 0 && t.points[first-1].time().Equal(at) {
		first--
	}
	switch end - first {
	case 0:
		return Point{}, t.Refuse(at, fmt.Sprintf("no restore point of %s is exactly of %s", t.control.Container, schemas.FormatTime(at)))
	case 1:
		return t.point(first), nil
	default:
		names := make([]string, 0, end-first)
		for i := first; i < end; i++ {
			p := t.point(i)
			names = append(names, fmt.Sprintf("%s (%s)", p.Name, p.Claim))
		}
		return Point{}, t.Refuse(at, fmt.Sprintf("%d restore points of %s are of %s: give the name of one: %s",
			end-first, t.control.Container, schemas.FormatTime(at), strings.Join(names, ", ")))
	}
}

// after is the index of the first point later than at.
func (t *Timeline) after(at time.Time) int {
	i, _ := slices.BinarySearchFunc(t.points, at, func(v vector, at time.Time) int {
		if v.time().After(at) {
			return 1
		}
		return -1
	})
	return i
}

// around are the newest exact point at or before at, and the oldest exact one after it: what is offered can be taken
// (INV-5).
func (t *Timeline) around(at time.Time) []Point {
	var points []Point
	after := t.after(at)
	for i := after - 1; i >= 0; i-- {
		if p := t.point(i); p.Claim.Exact() {
			points = append(points, p)
			break
		}
	}
	for i := after; i < len(t.points); i++ {
		if p := t.point(i); p.Claim.Exact() {
			return append(points, p)
		}
	}
	return points
}

// Refuse makes the refusal of what was asked of a time, with the exact points around it, or the word that there is none.
func (t *Timeline) Refuse(at time.Time, reason string) *RefusedError {
	if len(t.points) == 0 {
		reason = fmt.Sprintf("%s has no restore point", t.control.Container)
		for _, why := range t.pending {
			reason += ": " + why
		}
		return &RefusedError{Reason: reason}
	}
	nearest := t.around(at)
	if len(nearest) == 0 {
		reason += fmt.Sprintf("; no restore point of %s is exact", t.control.Container)
	}
	return &RefusedError{Reason: reason, Nearest: nearest}
}
