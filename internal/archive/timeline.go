package archive

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Timeline is all restore points of a container, oldest first, folded from what the archive holds: nobody remembers
// points. Points of equal latest time are of different incarnations.
type Timeline struct {
	control *Control
	rules   Rules
	points  []vector
	pending []string
	begins  []int32 // of Control.Marks, those that begin a generation
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
// vector. (That of one of the newest points may cease to: marks of other ranges and of the same seconds can be archived
// after it was shown, and they belong to the point of that time.)
func (t *Timeline) ByName(name string) (Point, error) {
	latest, err := ParsePointName(name)
	if err != nil {
		return Point{}, &RefusedError{Reason: err.Error(), Nearest: t.around(time.Unix(1<<40, 0))}
	}
	for i := t.after(latest.Add(-1)); i < len(t.points) && t.points[i].time().Before(latest.Add(time.Millisecond)); i++ {
		if p := t.point(i); p.Name == name {
			return p, nil
		}
	}
	return Point{}, t.refuse(latest, fmt.Sprintf("point %s does not fold from the archive of %s", name, t.control.Container))
}

// Before is the newest point in which nothing is later than at. It is refused where that is no statement about at: before
// the first point, and after the newest.
func (t *Timeline) Before(at time.Time) (Point, error) {
	switch n := t.after(at); {
	case len(t.points) == 0:
		return Point{}, t.refuse(at, "")
	case n == 0:
		return Point{}, t.refuse(at, fmt.Sprintf("%s is before the first restore point of %s", schemas.FormatTime(at), t.control.Container))
	case t.points[len(t.points)-1].time().Before(at):
		return Point{}, t.refuse(at, fmt.Sprintf("%s is after the newest restore point of %s", schemas.FormatTime(at), t.control.Container))
	default:
		return t.point(n - 1), nil
	}
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
		return Point{}, t.refuse(at, fmt.Sprintf("no restore point of %s is exactly of %s", t.control.Container, schemas.FormatTime(at)))
	case 1:
		return t.point(first), nil
	default:
		return Point{}, &RefusedError{
			Reason:  fmt.Sprintf("%d restore points of %s are of %s: give the name of one", end-first, t.control.Container, schemas.FormatTime(at)),
			Nearest: []Point{t.point(end - 2), t.point(end - 1)},
		}
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

func (t *Timeline) around(at time.Time) []Point {
	var points []Point
	i := t.after(at)
	if i > 0 {
		points = append(points, t.point(i-1))
	}
	if i < len(t.points) {
		points = append(points, t.point(i))
	}
	return points
}

func (t *Timeline) refuse(at time.Time, reason string) error {
	if len(t.points) == 0 {
		reason = fmt.Sprintf("%s has no restore point", t.control.Container)
		for _, why := range t.pending {
			reason += ": " + why
		}
	}
	return &RefusedError{Reason: reason, Nearest: t.around(at)}
}
