package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/schemas"
)

type statusCommand struct{}

// Run prints where the ranges stand.
func (c *statusCommand) Run(ctx context.Context, env *service.Env) error {
	if err := env.Config.Require("archive.root", "containers"); err != nil {
		return err
	}
	_, root, err := openStores(env.Config)
	if err != nil {
		return err
	}
	status, err := ReadStatus(ctx, root, env.Config, time.Now())
	if err != nil {
		return err
	}
	return env.Print(status, status.write)
}

// Status is where the feed ranges of all containers stand, as their checkpoints say.
type Status struct {
	Containers []ContainerStatus `json:"containers"`
}

// ContainerStatus is one container.
type ContainerStatus struct {
	Container   string        `json:"container"`
	Topic       string        `json:"topic"`
	Begun       bool          `json:"begun"` // false: no producer has seen it yet
	Incarnation string        `json:"incarnation"`
	Start       schemas.Start `json:"start"`
	Ranges      []RangeStatus `json:"ranges"`
}

// RangeStatus is one feed range. A range is drained when its position is at or past newest, and silent when nobody has
// written its checkpoint for longer than a reader lets pass: nobody reads it, or what was read cannot be published.
type RangeStatus struct {
	Range      string             `json:"range"`
	Partition  int32              `json:"topic_partition"` // whose owner in the producers' group reads the range
	State      string             `json:"state"`           // reading, drained, silent, halted, closed, missing
	Generation schemas.Generation `json:"generation"`
	Basis      schemas.Basis      `json:"basis"`
	Position   schemas.LSN        `json:"position"`
	Newest     schemas.LSN        `json:"newest"`
	WrittenBy  string             `json:"written_by"` // host and process of the last reader
	WrittenAt  time.Time          `json:"written_at"`
	Halt       *schemas.Halt      `json:"halt,omitempty"`
}

// The states of a range.
const (
	stateReading = "reading"
	stateDrained = "drained"
	stateSilent  = "silent"
	stateHalted  = "halted"
	stateClosed  = "closed"
	stateMissing = "missing"
)

// ReadStatus reads seeds and checkpoints. root is producer.root.
func ReadStatus(ctx context.Context, root blob.Store, cfg *config.Config, now time.Time) (*Status, error) {
	status := &Status{Containers: []ContainerStatus{}}
	for _, c := range cfg.Containers {
		one := ContainerStatus{Container: c.Name(), Topic: c.Topic, Ranges: []RangeStatus{}}
		seed, _, err := readSeed(ctx, root, schemas.SeedFile(c.Topic, c.Name()))
		if err != nil && !errors.Is(err, blob.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			one.Begun, one.Incarnation, one.Start = true, seed.Incarnation, seed.Start
			for _, span := range seed.Ranges {
				r, err := readRange(ctx, root, c, span)
				if err != nil {
					return nil, err
				}
				r.Partition = ownerOf(span, seed.Partitions)
				if (r.State == stateReading || r.State == stateDrained) && now.Sub(r.WrittenAt) > silenceOf(cfg.Producer) {
					r.State = stateSilent
				}
				one.Ranges = append(one.Ranges, r)
			}
		}
		status.Containers = append(status.Containers, one)
	}
	return status, nil
}

// silenceOf is how old a checkpoint may be of a range that somebody reads. A busy machine may take its time.
func silenceOf(p config.Producer) time.Duration {
	return max(time.Minute, 2*p.CheckpointInterval, 2*p.IdleCheckpointInterval)
}

func readRange(ctx context.Context, root blob.Store, c config.Container, span schemas.FeedRange) (RangeStatus, error) {
	r := RangeStatus{Range: span.String(), State: stateMissing}
	name := schemas.CheckpointFile(c.Topic, c.Name(), span)
	body, _, err := blob.ReadAll(ctx, root, name, checkpointLimit)
	if errors.Is(err, blob.ErrNotFound) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read checkpoint %s: %w", name, err)
	}
	at, err := schemas.DecodeCheckpoint(body)
	if err != nil {
		return r, fmt.Errorf("read checkpoint %s: %w", name, err)
	}
	r.Generation, r.Basis, r.Position, r.Newest = at.Generation, at.Basis, at.Position, at.Newest
	r.WrittenBy, r.WrittenAt, r.Halt = at.WrittenBy, at.WrittenAt, at.Halt
	switch {
	case at.Halt != nil:
		r.State = stateHalted
	case at.Closed:
		r.State = stateClosed
	case at.Generation != 0 && at.Position >= at.Newest:
		r.State = stateDrained
	default:
		r.State = stateReading
	}
	return r, nil
}

// clearing is the way out of its halt.
func (r *RangeStatus) clearing(container string) string {
	return fmt.Sprintf("once it is mended: almanac-producer clear --container %s --range %s", service.Word(container), r.Range)
}

func (s *Status) write(w io.Writer) error {
	rows := [][]string{{"CONTAINER", "RANGE", "STATE", "GENERATION", "BASIS", "POSITION", "NEWEST", "PARTITION", "WRITTEN BY", "WRITTEN AT"}}
	var notes []string
	for _, c := range s.Containers {
		if !c.Begun {
			notes = append(notes, fmt.Sprintf("%s: no producer has begun it", c.Container))
		}
		for _, r := range c.Ranges {
			rows = append(rows, []string{
				c.Container, r.Range, r.State, r.Generation.String(), string(r.Basis), r.Position.String(), r.Newest.String(),
				strconv.Itoa(int(r.Partition)), r.WrittenBy, schemas.FormatTime(r.WrittenAt),
			})
			switch {
			case r.Halt != nil:
				notes = append(notes, fmt.Sprintf("%v\n  %s", r.Halt, r.clearing(c.Container)))
			case r.State == stateSilent:
				notes = append(notes, fmt.Sprintf("%s range %s: its checkpoint is older than any reader's: no producer reads it, or it cannot read or publish; "+
					"start one, or see the log and /readyz of the one that runs", c.Container, r.Range))
			case r.State == stateMissing:
				notes = append(notes, fmt.Sprintf("%s range %s: its checkpoint is missing; producers make it when they start, or halt the range", c.Container, r.Range))
			}
		}
	}
	if len(rows) > 1 {
		if err := service.Table(w, rows); err != nil {
			return err
		}
	}
	for _, note := range notes {
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	return nil
}
