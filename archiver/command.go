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
			{Line: "almanac-archiver clear --topic cosmos.shop.orders --partition 3", About: "let a halted topic partition go on after its cause was mended"},
			{Line: "almanac-archiver clear --topic cosmos.shop.orders --partition 3 --accept-gap", About: "give up offsets that are lost; a gap row keeps their numbers"},
		},
	}
}

type commands struct {
	Run   runCommand   `cmd:"" help:"Archive until stopped. Two or more may run side by side."`
	Clear clearCommand `cmd:"" help:"Remove the halt of a topic partition. Exit code 0 too when it is not halted."`
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
	Partition int32  `required:"" help:"Number of the partition."`
	AcceptGap bool   `help:"Give up the offsets that are missing: a gap row stands for them, and restore points after it are tainted."`
}

// Run removes one halt.
func (c *clearCommand) Run(ctx context.Context, env *service.Env) error {
	options, err := optionsOf(env)
	if err != nil {
		return err
	}
	answer := Mended
	if c.AcceptGap {
		answer = AcceptGap
	}
	cleared, err := Clear(ctx, options, c.Topic, c.Partition, answer)
	if err != nil {
		return err
	}
	return env.Print(cleared, func(w io.Writer) error {
		if cleared.Halt == nil {
			_, err := fmt.Fprintf(w, "nothing is halted: topic partition %s/%d\n", cleared.Topic, cleared.Partition)
			return err
		}
		_, err := fmt.Fprintf(w, "cleared topic partition %s/%d: %s (%s)\n", cleared.Topic, cleared.Partition, cleared.Halt.Reason, cleared.Halt.Evidence)
		if err == nil && cleared.Gap != nil {
			_, err = fmt.Fprintf(w, "gave up offsets %d to %d\n", cleared.Gap.From, cleared.Gap.To)
		}
		return err
	})
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
