package archiver

import (
	"context"
	"fmt"
	"io"

	"github.com/cosmos-almanac/almanac/internal/blob/open"
	"github.com/cosmos-almanac/almanac/internal/service"
)

// Program is almanac-
func Program() service.Program {
	return service.Program{
		Name:     "almanac-archiver",
		About:    "Archives topics: every record becomes one row of a Delta table on the archive's storage.",
		Commands: func() any { return new(commands) },
		Examples: []service.Example{
			{Line: "almanac-archiver run --config almanac.yaml", About: "archive all topics of the configuration until stopped"},
			{Line: "almanac-archiver run --archiver-flush-interval 5s --service-listen :9102", About: "commit more often, and show metrics"},
			{Line: "almanac-archiver check", About: "try everything that run needs, before anything runs"},
			{Line: "almanac-archiver check -o json", About: "the same, for a program"},
			{Line: "almanac-archiver status", About: "show how far the topic partitions are archived"},
			{Line: "almanac-archiver status -o json", About: "the same, for a program"},
			{Line: "almanac-archiver clear --topic cosmos.shop.orders --partition 3", About: "let a halted topic partition go on after its cause was mended"},
			{Line: "almanac-archiver clear --topic cosmos.shop.orders", About: "the same for a topic that is halted as a whole"},
			{Line: "almanac-archiver clear --topic cosmos.shop.orders --partition 3 --accept-gap", About: "give up offsets that are lost; a gap row keeps their numbers"},
		},
	}
}

type commands struct {
	Run   runCommand   `cmd:"" help:"Archive until stopped. Two or more may run side by side."`
	Clear clearCommand `cmd:"" help:"Remove the halt of a topic partition, or of a topic. Exit code 0 too when it is not halted."`

	Check  checkCommand  `cmd:"" help:"Try everything that run needs: brokers, topics and their settings, permissions, storage, tables. Exit code 2: something must be mended; 1: something did not answer."`
	Status statusCommand `cmd:"" help:"Show how far the topic partitions are archived, and what is halted."`
}

type runCommand struct{}

// Run archives until ctx is done.
func (c *runCommand) Run(ctx context.Context, env *service.Env) error {
	return env.Serve(ctx, func(ctx context.Context) error {
		options, err := optionsOf(env)
		if err != nil {
			return err
		}
		a, err := New(options)
		if err != nil {
			return err
		}
		return a.Run(ctx)
	})
}

type clearCommand struct {
	Topic     string `required:"" help:"Name of the topic."`
	Partition *int32 `help:"Number of the partition. Without it, the halt of the topic as a whole is removed."`
	AcceptGap bool   `help:"Give up the offsets that are missing: a gap row stands for them, and restore points after it are tainted."`
}

// Run removes one halt.
func (c *clearCommand) Run(ctx context.Context, env *service.Env) error {
	options, err := optionsOf(env)
	if err != nil {
		return err
	}
	cleared, err := c.clear(ctx, options)
	if err != nil {
		return err
	}
	unit := "topic " + cleared.Topic
	if cleared.Partition != nil {
		unit = unitOf(cleared.Topic, *cleared.Partition)
	}
	return env.Print(cleared, func(w io.Writer) error {
		if cleared.Halt == nil {
			_, err := fmt.Fprintf(w, "nothing is halted: %s\n", unit)
			return err
		}
		_, err := fmt.Fprintf(w, "cleared %s: %s (%s)\n", unit, cleared.Halt.Reason, cleared.Halt.Evidence)
		if err == nil && cleared.Gap != nil {
			_, err = fmt.Fprintf(w, "gave up offsets %d to %d\n", cleared.Gap.From, cleared.Gap.To)
		}
		return err
	})
}

func (c *clearCommand) clear(ctx context.Context, options Options) (Cleared, error) {
	switch {
	case c.Partition != nil && c.AcceptGap:
		return Clear(ctx, options, c.Topic, *c.Partition, AcceptGap)
	case c.Partition != nil:
		return Clear(ctx, options, c.Topic, *c.Partition, Mended)
	case c.AcceptGap:
		return Cleared{}, &UsageError{"--accept-gap needs --partition: a gap is that of a partition"}
	}
	return ClearTopic(ctx, options, c.Topic)
}

func optionsOf(env *service.Env) (Options, error) {
	if err := env.Config.Require("archive.root", "kafka.brokers", "containers"); err != nil {
		return Options{}, err
	}
	root, err := open.Writable(env.Config.Archive.Root, env.Config.Archive)
	if err != nil {
		return Options{}, fmt.Errorf("archive.root: %w", err)
	}
	large := root
	if env.Config.Producer.Root != env.Config.Archive.Root {
		if large, err = open.Root(env.Config.Producer.Root, env.Config.Archive); err != nil {
			return Options{}, fmt.Errorf("producer.root: %w", err)
		}
	}
	return Options{
		Config: env.Config, Archive: root, Producer: large, Log: env.Log, Registry: env.Registry, Report: env.Health.Report,
	}, nil
}
