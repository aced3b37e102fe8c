package compactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/sleep"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Target is a container whose snapshots are taken.
type Target struct {
	Topic     string
	Container string // database.container
	Rules     archive.Rules
}

// Options of a Compactor. Root is required; the zero value of everything else is the documented default.
type Options struct {
	Root     blob.Store // the archive's
	Memory   int64      // limit of the buffers in bytes; default replay.MemoryDefault
	Spill    string     // folder of spilled runs; default the system's for temporary files
	Split    int64      // size at which a file of `state` ends; default archive.StateSplit
	Log      *slog.Logger
	Registry prometheus.Registerer                      // nil: no metrics
	Report   func(part string, err error)               // health of a container; nil: nobody asks
	Clock    func() time.Time                           // default time.Now
	Sleep    func(context.Context, time.Duration) error // default a timer
}

// Compactor takes snapshots. It holds nothing between them, so any number may work on one archive.
type Compactor struct {
	opts    Options
	metrics *metrics
}

// New makes a compactor.
func New(opts Options) (*Compactor, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if opts.Report == nil {
		opts.Report = func(string, error) {}
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Sleep == nil {
		opts.Sleep = sleep.For
	}
	m, err := newMetrics(opts.Registry)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return &Compactor{opts: opts, metrics: m}, nil
}

// firstRetry is how soon a container is looked at again that has no exact point yet.
const firstRetry = time.Minute

// Run takes a snapshot of the newest exact point of every target, now and every interval, until ctx is done. Errors of
// one target are logged and tried again with the next round; when every target is halted it answers the first halt. A store
// that refuses the very first look until somebody mends it is answered with exit code 2.
func (c *Compactor) Run(ctx context.Context, targets []Target, interval time.Duration) error {
	for _, t := range targets {
		c.metrics.begin(t.Container)
	}
	for begun := false; ; begun = true {
		pause := interval
		var halts []error
		for i, t := range targets {
			err := c.round(ctx, t)
			if ctx.Err() != nil {
				return nil
			}
			if !begun && i == 0 && service.IsLasting(err) {
				return service.Refused(err)
			}
			c.note(t, err)
			var halt *schemas.Halt
			if errors.As(err, &halt) {
				halts = append(halts, halt)
			}
			if err != nil {
				pause = min(pause, firstRetry)
			}
		}
		if len(halts) > 0 && len(halts) == len(targets) {
			return halts[0]
		}
		if err := c.opts.Sleep(ctx, pause); err != nil {
			return nil // ctx is done
		}
	}
}

// round is one look at one target.
func (c *Compactor) round(ctx context.Context, t Target) error {
	plan, err := c.Plan(ctx, t, "")
	if err == nil && plan.Unchanged {
		c.opts.Log.Debug("nothing changed since the newest snapshot", "container", t.Container, "point", plan.Point.Name)
		return nil
	}
	if err == nil {
		_, err = c.Execute(ctx, plan)
	}
	return err
}

// note tells what a round came to.
func (c *Compactor) note(t Target, err error) {
	switch {
	case err == nil:
	case noPoint(err):
		c.opts.Log.Info("no point to take a snapshot of yet", "container", t.Container, "reason", err.Error())
		err = nil // nothing is wrong with this program
	default:
		c.opts.Log.Error("snapshot not taken; tried again with the next round", "container", t.Container, "error", err.Error())
		c.metrics.failed(t.Container)
	}
	c.opts.Report(t.Container, err)
}

// noPoint tells whether an error says only that there is nothing to take a snapshot of.
func noPoint(err error) bool {
	return errors.As(err, new(*archive.RefusedError)) || errors.Is(err, topicid.ErrNoTopic)
}

// Clear removes the halt of a container, of every incarnation that the archive knows, and answers those that stood.
func (c *Compactor) Clear(ctx context.Context, t Target) ([]*schemas.Halt, error) {
	changes, err := archive.OpenChanges(ctx, c.opts.Root, t.Topic)
	if err != nil {
		return nil, fmt.Errorf("clear %s: %w", t.Container, err)
	}
	control, err := archive.LoadControl(ctx, changes, t.Container)
	if err != nil {
		return nil, fmt.Errorf("clear %s: %w", t.Container, err)
	}
	var cleared []*schemas.Halt
	for _, incarnation := range control.Incarnations() {
		halt, err := archive.ReadFoldHalt(ctx, c.opts.Root, t.Topic, t.Container, incarnation)
		if err != nil {
			return cleared, fmt.Errorf("clear %s: %w", t.Container, err)
		}
		if halt == nil {
			continue
		}
		if err := archive.RemoveFoldHalt(ctx, c.opts.Root, t.Topic, t.Container, incarnation); err != nil {
			return cleared, fmt.Errorf("clear %s: %w", t.Container, err)
		}
		cleared = append(cleared, halt)
	}
	return cleared, nil
}
