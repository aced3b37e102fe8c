package restorer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/sleep"
)

// Plan is what a run will do. Making one writes nothing (INV-7).
type Plan struct {
	Container string     `json:"container"`
	Declared  string     `json:"declared"`
	Point     PointView  `json:"point"`
	Between   *Between   `json:"between,omitempty"` // absent: no time was asked for
	Source    Source     `json:"source"`
	Target    TargetPlan `json:"target"`
}

// Between is what is known of the time between the point and the one that was asked for.
type Between struct {
	Before  time.Time `json:"before"`
	Written Written   `json:"written"`
	Point   string    `json:"point,omitempty"` // the first that is complete past Before
}

// Written tells whether anything was written.
type Written string

// What can be said of it.
const (
	WrittenNothing Written = "nothing"
	WrittenMaybe   Written = "maybe"   // the next point has more, which may be of before or after
	WrittenUnknown Written = "unknown" // no exact point is complete past that time yet
)

// between compares the point with the first that is complete past the time that was asked for: where both stand at the
// same LSNs, no write came between.
func between(timeline *archive.Timeline, point *archive.Point, m moment) (*Between, error) {
	if m.Before == "" {
		return nil, nil
	}
	at, err := parseTime("--before", m.Before)
	if err != nil {
		return nil, err
	}
	next, ok := timeline.CompletePast(at)
	switch {
	case !ok:
		return &Between{at, WrittenUnknown, ""}, nil
	case next.Incarnation == point.Incarnation && slices.Equal(next.Cuts, point.Cuts):
		return &Between{at, WrittenNothing, next.Name}, nil
	}
	return &Between{at, WrittenMaybe, next.Name}, nil
}

// String is it in a line.
func (b *Between) String() string {
	switch {
	case b.Written == WrittenNothing:
		return "nothing was written: point " + b.Point + ", which is complete past it, stands where this one does"
	case b.Written == WrittenMaybe:
		return "perhaps something was written, which is left out: point " + b.Point + ", the first that is complete past it, has more"
	}
	return "not known yet: no exact point is complete past it"
}

// Source is where the documents come from.
type Source struct {
	Snapshot  string `json:"snapshot,omitempty"` // of that point; empty: from rows alone
	Documents int64  `json:"documents"`          // of the snapshot
	Bytes     int64  `json:"bytes"`              // of the snapshot's files
	Files     int    `json:"files"`              // of changes, at most
	Rows      int64  `json:"rows"`               // in those files, of all times, as far as their statistics tell
}

// TargetState is what stands under the target's name.
type TargetState string

// The states of a target.
const (
	TargetAbsent   TargetState = "absent"
	TargetEmpty    TargetState = "empty"
	TargetNotEmpty TargetState = "not empty"
)

// TargetPlan is the container that is filled.
type TargetPlan struct {
	Account       string          `json:"account"`
	Name          Name            `json:"name"`
	State         TargetState     `json:"state"`
	Definition    json.RawMessage `json:"definition"` // what it is created with
	Stripped      []Stripped      `json:"stripped"`   // of the definition of then
	OtherSettings []string        `json:"other_settings,omitempty"`
}

// findSource looks for the newest snapshot at or below the point.
func (s *session) findSource(ctx context.Context, point *archive.Point) (*archive.Manifest, Source, error) {
	var source Source
	timeline, err := s.timeline(ctx)
	if err != nil {
		return nil, source, err
	}
	base, err := archive.FindBase(ctx, s.changes, timeline, point)
	if err != nil {
		return nil, source, fmt.Errorf("find snapshot below point %s: %w", point.Name, err)
	}
	if base != nil {
		source.Snapshot, source.Documents, source.Bytes = base.Point.Name, base.Rows, base.Bytes
	}
	for _, file := range s.changes.Files(point.Container) {
		source.Files++
		if len(file.Stats) == 0 { // it was rewritten by a program that keeps none
			continue
		}
		var stats struct {
			NumRecords int64 `json:"numRecords"`
		}
		if err := json.Unmarshal(file.Stats, &stats); err != nil {
			return nil, source, fmt.Errorf("read statistics of %s: %w", file.Path, err)
		}
		source.Rows += stats.NumRecords
	}
	return base, source, nil
}

// planTarget looks what stands under the target's name and what would be made there.
func planTarget(ctx context.Context, reader Reader, point *archive.Point, source, target Name) (TargetPlan, error) {
	plan := TargetPlan{Name: target, State: TargetAbsent}
	if target == source {
		return plan, usage("%s is the source itself; a restore makes a new container: give another name by --to", target)
	}
	definition, stripped, err := targetDefinition(point.Definition, target.Container)
	if err != nil {
		return plan, err
	}
	plan.Definition, plan.Stripped = definition, stripped
	there, err := findTarget(ctx, reader, target)
	if err != nil || there == nil {
		return plan, err
	}
	if plan.OtherSettings, err = checkDefinition(definition, there); err != nil {
		return plan, err
	}
	empty, err := (&surveyor{reader: reader, wait: sleep.For}).isEmpty(ctx, there)
	plan.State = TargetNotEmpty
	if empty {
		plan.State = TargetEmpty
	}
	return plan, err
}

func (p *Plan) write(w io.Writer) error {
	cuts := make([]string, len(p.Point.Cuts))
	for i, c := range p.Point.Cuts {
		cuts[i] = c.String()
	}
	lines := [][2]string{
		{"container", p.Container},
		{"point", p.Point.Name},
		{"  nothing later than", timeText(p.Point.Latest)},
		{"  everything before", timeText(p.Point.CompleteTo)},
		{"  claim", p.Point.Claim + ", given that " + p.Declared},
		{"  cuts", strings.Join(cuts, "\n")},
		{"  offsets", offsetsText(p.Point.Offsets)},
		{"source", p.Source.String()},
		{"target", p.Target.Name.String() + " at " + p.Target.Account},
		{"  now", p.Target.stateText()},
		{"  created with", string(p.Target.Definition)},
		{"  left out of it", strippedText(p.Target.Stripped)},
	}
	if p.Between != nil {
		lines = slices.Insert(lines, 4, [2]string{"  from then to the time asked for", p.Between.String()})
	}
	return facts(w, lines...)
}

// strippedText names what is left out by why it is, in the order of the reasons.
func strippedText(all []Stripped) string {
	var reasons []string
	names := map[string][]string{}
	for _, one := range all {
		if names[one.Why] == nil {
			reasons = append(reasons, one.Why)
		}
		names[one.Why] = append(names[one.Why], one.Name)
	}
	lines := make([]string, len(reasons))
	for i, why := range reasons {
		lines[i] = strings.Join(names[why], ", ") + ": " + why
	}
	return strings.Join(lines, "\n")
}

// String is the source in a line.
func (s Source) String() string {
	rows := fmt.Sprintf("in %s of %s", plural(int64(s.Files), "file", "files"), plural(s.Rows, "row", "rows"))
	if s.Snapshot == "" {
		return "rows alone: the changes until then, " + rows
	}
	return fmt.Sprintf("snapshot %s, %s in %s\nand the changes from it until then, %s", s.Snapshot,
		plural(s.Documents, "document", "documents"), sized(s.Bytes), rows)
}

func (t *TargetPlan) stateText() string {
	var text string
	switch t.State {
	case TargetAbsent:
		return "absent: run creates it"
	case TargetEmpty:
		text = "there and empty: run fills it"
	case TargetNotEmpty:
		text = "there and not empty: run refuses it unless every document in it is, byte for byte, one that it would write"
	}
	if len(t.OtherSettings) > 0 {
		text += "\nits settings are not those of then: " + strings.Join(t.OtherSettings, ", ")
	}
	return text
}
