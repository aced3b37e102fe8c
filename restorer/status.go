package restorer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
)

type statusCommand struct{}

// Run prints how far back and how near to now each container can be restored.
func (c *statusCommand) Run(ctx context.Context, env *service.Env) error {
	if err := env.Config.Require("archive.root", "containers"); err != nil {
		return err
	}
	status := &Status{Containers: []ContainerStatus{}}
	for _, one := range env.Config.Containers {
		container, err := statusOf(ctx, env, one)
		if err != nil {
			return err
		}
		status.Containers = append(status.Containers, *container)
	}
	return env.Print(status, status.write)
}

// Status is what can be restored.
type Status struct {
	Containers []ContainerStatus `json:"containers"`
}

// ContainerStatus is one container. Newest is a point that may not be exact; RestorableUntil is of the newest exact one.
type ContainerStatus struct {
	Container       string     `json:"container"`
	Topic           string     `json:"topic"`
	Points          int        `json:"points"`
	First           *time.Time `json:"first"`  // the oldest point's latest time
	Newest          *PointView `json:"newest"` // null: there is no point
	NewestExact     string     `json:"newest_exact"`
	RestorableUntil *time.Time `json:"restorable_until"`
	Pending         []string   `json:"pending"` // why there is no later point yet, or none at all
}

func statusOf(ctx context.Context, env *service.Env, c config.Container) (*ContainerStatus, error) {
	one := &ContainerStatus{Container: c.Name(), Topic: c.Topic, Pending: []string{}}
	s, err := open(ctx, env, c.Name())
	if errors.Is(err, topicid.ErrNoTopic) {
		one.Pending = append(one.Pending, "nothing is archived yet")
		return one, nil
	}
	if err != nil {
		return nil, err
	}
	timeline, err := s.timeline(ctx)
	if err != nil {
		return nil, err
	}
	one.Points = timeline.Len()
	if one.Pending, err = s.pending(ctx, timeline, time.Now()); err != nil {
		return nil, err
	}
	timeline.All()(func(first archive.Point) bool {
		one.First = &first.Latest
		return false
	})
	if newest, ok := timeline.Newest(); ok {
		view := viewPoint(&newest)
		one.Newest = &view
	}
	if exact, ok := timeline.NewestExact(); ok {
		one.NewestExact, one.RestorableUntil = exact.Name, &exact.CompleteTo
	}
	return one, nil
}

func (s *Status) write(w io.Writer) error {
	rows := [][]string{{"CONTAINER", "RESTORABLE UNTIL", "NEWEST EXACT POINT", "NEWEST POINT", "CLAIM", "POINTS", "FIRST"}}
	var notes []string
	for _, c := range s.Containers {
		until, exact, newest, claim, first := "-", "-", "-", "-", "-"
		if c.RestorableUntil != nil {
			until, exact = timeText(*c.RestorableUntil), c.NewestExact
		}
		if c.Newest != nil {
			newest, claim = c.Newest.Name, c.Newest.Claim
		}
		if c.First != nil {
			first = timeText(*c.First)
		}
		rows = append(rows, []string{c.Container, until, exact, newest, claim, grouped(int64(c.Points)), first})
		if len(c.Pending) > 0 {
			notes = append(notes, fmt.Sprintf("%s: %s", c.Container, pendingText(c.Points, c.Pending)))
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
