package compactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob/open"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
)

// Program is the binary almanac-compactor.
func Program() service.Program {
	return service.Program{
		Name:     "almanac-compactor",
		About:    "Takes snapshots: the content of a container at a restore point, as sorted Parquet files that restores begin from and anybody can query.",
		Commands: func() any { return new(commands) },
		Examples: []service.Example{
			{Line: "almanac-compactor run", About: "take a snapshot of the newest exact point of every container each hour, until stopped"},
			{Line: "almanac-compactor run --compactor-snapshot-interval 15m --service-listen :9103", About: "more often, and show metrics"},
			{Line: "almanac-compactor snapshot --container shop.orders", About: "take one now, of the newest exact point"},
			{Line: "almanac-compactor snapshot --container shop.orders --at 20261120T101500.999Z-1a2b3c4d --dry-run", About: "show what taking that point would do"},
			{Line: "almanac-compactor clear --container shop.orders", About: "let a halted container go on after its cause was mended"},
			{Line: "almanac-compactor clear --container shop.orders -o json", About: "the same, and print the halts as JSON"},
		},
	}
}

type commands struct {
	Run      runCommand      `cmd:"" help:"Take snapshots of all containers until stopped. Two or more may run side by side."`
	Snapshot snapshotCommand `cmd:"" help:"Take one snapshot of a container now."`
	Clear    clearCommand    `cmd:"" help:"Remove the halt of a container. Exit code 0 too when it is not halted."`
}

type runCommand struct{}

// Run takes snapshots until ctx is done.
func (c *runCommand) Run(ctx context.Context, env *service.Env) error {
	return env.Serve(ctx, func(ctx context.Context) error {
		defer bound(env)()
		compactor, targets, err := build(env)
		if err != nil {
			return err
		}
		return compactor.Run(ctx, targets, env.Config.Compactor.SnapshotInterval)
	})
}

type snapshotCommand struct {
	Container string `placeholder:"DATABASE.CONTAINER" help:"The container; not needed when only one is configured."`
	At        string `placeholder:"POINT" help:"Name of the restore point; default: the newest exact one."`
	DryRun    bool   `help:"Print the plan and do nothing."`
}

// Run takes one snapshot.
func (c *snapshotCommand) Run(ctx context.Context, env *service.Env) error {
	defer bound(env)()
	compactor, targets, err := build(env)
	if err != nil {
		return err
	}
	target, err := pick(targets, c.Container)
	if err != nil {
		return err
	}
	plan, err := compactor.Plan(ctx, target, c.At)
	if err != nil {
		return explain(err, env)
	}
	if c.DryRun {
		return env.Print(plan, plan.Print)
	}
	result, err := compactor.Execute(ctx, plan)
	if err != nil {
		return err
	}
	return env.Print(result, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "snapshot %s of %s: %d documents, %d bytes in %d files, %v\n",
			result.Point, target.Container, result.Rows, result.Bytes, result.Files, result.Took.Round(time.Millisecond))
		return err
	})
}

type clearCommand struct {
	Container string `placeholder:"DATABASE.CONTAINER" help:"The container; not needed when only one is configured."`
}

// Run removes a container's halt.
func (c *clearCommand) Run(ctx context.Context, env *service.Env) error {
	compactor, targets, err := build(env)
	if err != nil {
		return err
	}
	target, err := pick(targets, c.Container)
	if err != nil {
		return err
	}
	halts, err := compactor.Clear(ctx, target)
	if err != nil {
		return explain(err, env)
	}
	return env.Print(halts, func(w io.Writer) error {
		if len(halts) == 0 {
			_, err := fmt.Fprintf(w, "nothing is halted: container %s\n", target.Container)
			return err
		}
		for _, halt := range halts {
			if _, err := fmt.Fprintf(w, "cleared %s: %s (%s)\n", halt.Unit, halt.Reason, halt.Evidence); err != nil {
				return err
			}
		}
		return nil
	})
}

// outsideHeap is what a process holds beside what its collector knows of.
const outsideHeap = 24 << 20

// bound keeps the process at about twice compactor.memory while the command runs, unless GOMEMLIMIT says something else:
// what is not collected yet is the larger part of what buffers cost.
func bound(env *service.Env) (undo func()) {
	was := debug.SetMemoryLimit(-1)
	if was == math.MaxInt64 {
		debug.SetMemoryLimit(max(2*int64(env.Config.Compactor.Memory)-outsideHeap, 2*outsideHeap))
	}
	return func() { debug.SetMemoryLimit(was) }
}

// build makes the compactor of a configuration.
func build(env *service.Env) (*Compactor, []Target, error) {
	if err := env.Config.Require("archive.root", "containers"); err != nil {
		return nil, nil, err
	}
	root, err := open.Writable(env.Config.Archive.Root, env.Config.Archive)
	if err != nil {
		return nil, nil, fmt.Errorf("archive.root: %w", err)
	}
	var targets []Target
	for _, one := range env.Config.Containers {
		rules, err := rulesOf(one)
		if err != nil {
			return nil, nil, err
		}
		targets = append(targets, Target{Topic: one.Topic, Container: one.Name(), Rules: rules})
	}
	compactor, err := New(Options{
		Root: root, Memory: int64(env.Config.Compactor.Memory), Spill: env.Config.Compactor.Spill,
		Log: env.Log, Registry: env.Registry, Report: env.Health.Report,
	})
	return compactor, targets, err
}

func explain(err error, env *service.Env) error {
	if errors.Is(err, topicid.ErrNoTopic) {
		return service.Usage(fmt.Errorf("%w: producer and archiver have not run with archive.root %s, or containers[].topic is another", err, env.Config.Archive.Root))
	}
	return err
}

func rulesOf(c config.Container) (archive.Rules, error) {
	path, value := "", []byte(nil)
	if c.SoftDelete != nil {
		path, value = c.SoftDelete.Path, c.SoftDelete.Value
	}
	rules, err := archive.NewRules(archive.Deletes(c.Deletes), path, value)
	if err != nil {
		return rules, service.Usage(fmt.Errorf("container %s: %w", c.Name(), err))
	}
	return rules, nil
}

func pick(targets []Target, name string) (Target, error) {
	if name == "" && len(targets) == 1 {
		return targets[0], nil
	}
	var known []string
	for _, t := range targets {
		if t.Container == name {
			return t, nil
		}
		known = append(known, t.Container)
	}
	if name == "" {
		return Target{}, service.Usage(fmt.Errorf("several containers are configured: name one by --container, of %s", strings.Join(known, ", ")))
	}
	return Target{}, service.Usage(fmt.Errorf("--container %q is not configured; known: %s", name, strings.Join(known, ", ")))
}
