package compactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

type statusCommand struct{}

// Run prints which snapshots there are.
func (c *statusCommand) Run(ctx context.Context, env *service.Env) error {
	compactor, targets, err := build(env)
	if err != nil {
		return err
	}
	status, err := compactor.Status(ctx, targets)
	if err != nil {
		return err
	}
	return env.Print(status, status.write)
}

// Status is which snapshots there are.
type Status struct {
	Containers []ContainerStatus `json:"containers"`
}

// ContainerStatus is one incarnation of a container; one of which nothing is archived yet has none.
type ContainerStatus struct {
	Container   string          `json:"container"`
	Topic       string          `json:"topic"`
	Incarnation string          `json:"incarnation"`
	NewestExact string          `json:"newest_exact_point"` // of the container; what the next snapshot is of
	Snapshots   int             `json:"snapshots"`
	Newest      *SnapshotStatus `json:"newest_snapshot"` // null: there is none
	Halt        *schemas.Halt   `json:"halt,omitempty"`
}

// SnapshotStatus is one snapshot. Taken is absent when its manifest was removed.
type SnapshotStatus struct {
	Point string     `json:"point"`
	Taken *time.Time `json:"taken,omitempty"`
	Rows  int64      `json:"rows"`
	Bytes int64      `json:"bytes"`
	Files int        `json:"files"`
}

// Status reads the newest snapshot and the halts of every target.
func (c *Compactor) Status(ctx context.Context, targets []Target) (*Status, error) {
	status := &Status{Containers: []ContainerStatus{}}
	for _, t := range targets {
		some, err := c.statusOf(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("status of %s: %w", t.Container, err)
		}
		status.Containers = append(status.Containers, some...)
	}
	return status, nil
}

func (c *Compactor) statusOf(ctx context.Context, t Target) ([]ContainerStatus, error) {
	nothing := []ContainerStatus{{Container: t.Container, Topic: t.Topic}}
	changes, err := archive.OpenChanges(ctx, c.opts.Root, t.Topic)
	if errors.Is(err, topicid.ErrNoTopic) {
		return nothing, nil
	}
	if err != nil {
		return nil, err
	}
	control, err := archive.LoadControl(ctx, changes, t.Container)
	if err != nil {
		return nil, err
	}
	point, _ := archive.Fold(control, t.Rules).NewestExact() // its name is empty when there is none
	var some []ContainerStatus
	for _, incarnation := range control.Incarnations() {
		one := ContainerStatus{Container: t.Container, Topic: t.Topic, Incarnation: incarnation}
		if point.Incarnation == incarnation {
			one.NewestExact = point.Name
		}
		if one.Halt, err = archive.ReadFoldHalt(ctx, c.opts.Root, t.Topic, t.Container, incarnation); err != nil {
			return nil, err
		}
		names, err := archive.Snapshots(ctx, c.opts.Root, t.Topic, t.Container, incarnation)
		if err != nil {
			return nil, err
		}
		one.Snapshots = len(names)
		if len(names) > 0 {
			if one.Newest, err = c.snapshotStatus(ctx, t, incarnation, names[len(names)-1]); err != nil {
				return nil, err
			}
		}
		some = append(some, one)
	}
	if len(some) == 0 {
		return nothing, nil
	}
	return some, nil
}

func (c *Compactor) snapshotStatus(ctx context.Context, t Target, incarnation, point string) (*SnapshotStatus, error) {
	manifest, err := archive.ReadManifestOf(ctx, c.opts.Root, t.Topic, t.Container, incarnation, point)
	if errors.Is(err, blob.ErrNotFound) {
		return &SnapshotStatus{Point: point}, nil
	}
	if err != nil {
		return nil, err
	}
	return &SnapshotStatus{Point: point, Taken: &manifest.Taken, Rows: manifest.Rows, Bytes: manifest.Bytes, Files: len(manifest.Files)}, nil
}

func (s *Status) write(w io.Writer) error {
	rows := [][]string{{"CONTAINER", "INCARNATION", "NEWEST SNAPSHOT", "TAKEN", "DOCUMENTS", "BYTES", "SNAPSHOTS", "NEWEST EXACT POINT"}}
	var notes []string
	for _, c := range s.Containers {
		newest, taken, documents, bytes := "-", "-", "-", "-"
		if n := c.Newest; n != nil {
			newest = n.Point
			if n.Taken != nil {
				taken, documents, bytes = schemas.FormatTime(*n.Taken), strconv.FormatInt(n.Rows, 10), strconv.FormatInt(n.Bytes, 10)
			}
		}
		rows = append(rows, []string{c.Container, orDash(c.Incarnation), newest, taken, documents, bytes, strconv.Itoa(c.Snapshots), orDash(c.NewestExact)})
		if c.Halt != nil {
			notes = append(notes, fmt.Sprintf("%v\n  %s", c.Halt, c.clearing()))
		}
		if c.Incarnation == "" {
			notes = append(notes, c.Container+": nothing is archived yet")
		}
	}
	if err := service.Table(w, rows); err != nil {
		return err
	}
	for _, note := range notes {
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	return nil
}

// clearing is the way out of its halt.
func (s *ContainerStatus) clearing() string {
	return "once it is mended: almanac-compactor clear --container " + service.Word(s.Container)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
