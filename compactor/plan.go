package compactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Plan is what taking a snapshot will do. It is fixed to one version of `changes` and one of `state`.
type Plan struct {
	Topic     string        `json:"topic"`
	Point     archive.Point `json:"point"`
	Rules     archive.Rules `json:"rules"`
	Base      string        `json:"base,omitempty"` // the snapshot that rows are merged with; empty: rows alone
	Changes   int64         `json:"changes_version"`
	State     int64         `json:"state_version"` // -1: the table begins with this snapshot
	Replaces  []string      `json:"replaces"`      // files of `state` that go out of the table; they are not removed
	Exists    bool          `json:"exists"`        // the snapshot of this point is there: nothing to do
	Unchanged bool          `json:"unchanged"`     // the newest snapshot holds the same documents
	Resume    bool          `json:"resume"`        // a manifest of an earlier run is there: its files are committed

	changes *archive.Changes
	state   *delta.Snapshot
	base    *archive.Manifest
	resume  *archive.Manifest
	known   []string // snapshots that exist
}

// Print writes the plan for people.
func (p *Plan) Print(w io.Writer) error {
	lines := []string{
		fmt.Sprintf("snapshot of %s at %s", p.Point.Container, p.Point.Name),
		fmt.Sprintf("  times      %s to %s, complete to %s", schemas.FormatTime(p.Point.Earliest), schemas.FormatTime(p.Point.Latest), schemas.FormatTime(p.Point.CompleteTo)),
		fmt.Sprintf("  claim      %s, as declared: %s", p.Point.Claim, p.Point.Claim.Declared),
	}
	switch {
	case p.Exists:
		lines = append(lines, "  nothing to do: the snapshot exists")
	case p.Resume:
		lines = append(lines, "  commits the files of an earlier run that was interrupted")
	case p.Base != "":
		lines = append(lines, "  merges the snapshot "+p.Base+" with the rows after it")
	default:
		lines = append(lines, "  merges rows alone")
	}
	if p.Unchanged && !p.Exists {
		lines = append(lines, "  the newest snapshot holds the same documents")
	}
	lines = append(lines, fmt.Sprintf("  replaces   %d files of state; they stay in the store", len(p.Replaces)))
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// Plan plans the snapshot of the point of that name, or of the newest exact one. It writes nothing. A container without
// such a point is an *archive.RefusedError, a halted one a *schemas.Halt.
func (c *Compactor) Plan(ctx context.Context, t Target, name string) (*Plan, error) {
	plan, err := c.plan(ctx, t, name)
	if err != nil {
		return nil, fmt.Errorf("plan snapshot of %s: %w", t.Container, err)
	}
	return plan, nil
}

func (c *Compactor) plan(ctx context.Context, t Target, name string) (*Plan, error) {
	changes, err := archive.OpenChanges(ctx, c.opts.Root, t.Topic)
	if err != nil {
		return nil, err
	}
	timeline, err := archive.LoadTimeline(ctx, changes, t.Container, t.Rules)
	if err != nil {
		return nil, err
	}
	point, err := choose(timeline, t.Container, name)
	if err != nil {
		return nil, err
	}
	halt, err := archive.ReadFoldHalt(ctx, c.opts.Root, t.Topic, t.Container, point.Incarnation)
	if err != nil {
		return nil, err
	}
	if halt != nil {
		return nil, halt
	}
	p := &Plan{Topic: t.Topic, Point: point, Rules: t.Rules, Changes: changes.Snapshot.Version, Replaces: []string{}, changes: changes}
	if p.state, err = delta.Load(ctx, c.stateStore(p), c.deltaOptions()); err != nil {
		return nil, err
	}
	p.State = p.state.Version
	for _, file := range p.state.Files {
		p.Replaces = append(p.Replaces, file.Path)
	}
	p.known = archive.SnapshotNames(p.state)
	if p.Exists = slices.Contains(p.known, point.Name); p.Exists {
		p.Replaces = []string{}
		return p, nil
	}
	if err := p.notBackwards(); err != nil {
		return nil, err
	}
	return p, p.findManifests(ctx, c.opts.Root, timeline)
}

func choose(timeline *archive.Timeline, container, name string) (archive.Point, error) {
	if name == "" {
		point, ok := timeline.NewestExact()
		if ok {
			return point, nil
		}
		reason := container + " has no exact restore point"
		if newest, ok := timeline.Newest(); ok {
			reason += ": the newest is " + newest.Claim.String()
		}
		for _, why := range timeline.Pending() {
			reason += ": " + why
		}
		return archive.Point{}, &archive.RefusedError{Reason: reason}
	}
	point, err := timeline.ByName(name)
	if err != nil {
		return archive.Point{}, err
	}
	if !point.Claim.Exact() {
		return archive.Point{}, &archive.RefusedError{Reason: fmt.Sprintf("point %s is %s; only exact points become snapshots", name, point.Claim)}
	}
	return point, nil
}

// notBackwards refuses a point older than the newest snapshot: `state` is the content at the newest one, and files that
// were never in its log would be orphans to every other program.
func (p *Plan) notBackwards() error {
	if len(p.known) == 0 {
		return nil
	}
	newest := p.known[len(p.known)-1]
	latest, err := archive.ParsePointName(newest)
	if err != nil {
		return fmt.Errorf("state names a snapshot that is none: %w", err)
	}
	if p.Point.Latest.Before(latest) {
		return &archive.RefusedError{Reason: fmt.Sprintf("state is at snapshot %s already, which is newer than point %s; restore the point from rows", newest, p.Point.Name)}
	}
	return nil
}

// findManifests finds what an earlier run left of this snapshot, and the base.
func (p *Plan) findManifests(ctx context.Context, root blob.Store, timeline *archive.Timeline) error {
	left, err := archive.ReadManifest(ctx, root, p.Topic, &p.Point)
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	if err == nil {
		if !left.Rules.Equal(&p.Rules) {
			return &archive.RefusedError{Reason: fmt.Sprintf("a manifest of point %s was made under other rules (%s), and never committed; take a newer point", p.Point.Name, left.Rules.String())}
		}
		p.resume, p.Resume = left, true
	}
	if p.base, err = archive.FindBaseAmong(ctx, p.changes, p.known, timeline, &p.Point); err != nil || p.base == nil {
		return err
	}
	p.Base = p.base.Point.Name
	p.Unchanged = slices.Equal(p.base.Point.Cuts, p.Point.Cuts) && p.Base == p.known[len(p.known)-1]
	return nil
}

func (c *Compactor) stateStore(p *Plan) blob.Store {
	return blob.Prefixed(c.opts.Root, schemas.StatePrefix(p.Topic, p.Point.Container, p.Point.Incarnation))
}

func (c *Compactor) deltaOptions() delta.Options {
	return delta.Options{Engine: "almanac-compactor", Logger: c.opts.Log, Clock: c.opts.Clock, Wait: c.opts.Sleep}
}
