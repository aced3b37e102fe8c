package producer

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/open"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Program is almanac-producer.
func Program() service.Program {
	return service.Program{
		Name:     "almanac-producer",
		About:    "Reads the change feed of Cosmos DB containers and publishes every change to Kafka.",
		Commands: func() any { return new(commands) },
		Examples: []service.Example{
			{Line: "almanac-producer run --config almanac.yaml", About: "publish all containers of the configuration until stopped"},
			{Line: "almanac-producer run --producer-mark-interval 5s --service-listen :9101", About: "state restore points more often, and show metrics"},
			{Line: "almanac-producer clear --container shop.orders --range 0F-1F", About: "let a halted range go on after its cause was mended"},
			{Line: "almanac-producer clear --container shop.orders --range all", About: "the same for all halted ranges of a container"},
		},
	}
}

type commands struct {
	Run   runCommand   `cmd:"" help:"Publish until stopped. Two or more may run side by side: they share the feed ranges."`
	Clear clearCommand `cmd:"" help:"Remove the halt of a feed range. Exit code 0 too when nothing is halted."`
}

type runCommand struct{}

// Run publishes until ctx is done.
func (c *runCommand) Run(ctx context.Context, env *service.Env) error {
	return env.Serve(ctx, func(ctx context.Context) error {
		if err := env.Config.Require("cosmos.endpoint", "cosmos.key", "kafka.brokers", "archive.root", "containers"); err != nil {
			return err
		}
		archive, root, err := openStores(env.Config)
		if err != nil {
			return err
		}
		p, err := New(Options{Config: env.Config, Archive: archive, Root: root, Log: env.Log, Registry: env.Registry, Report: env.Health.Report})
		if err != nil {
			return err
		}
		return p.Run(ctx)
	})
}

type clearCommand struct {
	Container string `required:"" placeholder:"DATABASE.CONTAINER" help:"The container."`
	Range     string `required:"" placeholder:"MIN-MAX" help:"The feed range as logs and halts name it, or all."`
}

// Run removes halts.
func (c *clearCommand) Run(ctx context.Context, env *service.Env) error {
	if err := env.Config.Require("archive.root", "containers"); err != nil {
		return err
	}
	container, err := find(env.Config, c.Container)
	if err != nil {
		return err
	}
	var span *schemas.FeedRange
	if c.Range != "all" {
		r, err := schemas.ParseFeedRange(c.Range)
		if err != nil {
			return usagef("--range: %v; or say all", err)
		}
		span = &r
	}
	_, root, err := openStores(env.Config)
	if err != nil {
		return err
	}
	cleared, err := Clear(ctx, root, container, span, time.Now())
	if err != nil {
		return err
	}
	return env.Print(cleared, func(w io.Writer) error {
		if len(cleared) == 0 {
			_, err := fmt.Fprintf(w, "nothing is halted: container %s, range %s\n", c.Container, c.Range)
			return err
		}
		for _, halt := range cleared {
			if _, err := fmt.Fprintf(w, "cleared %s: %s (%s)\n", halt.Unit, halt.Reason, halt.Evidence); err != nil {
				return err
			}
		}
		return nil
	})
}

func find(cfg *config.Config, name string) (config.Container, error) {
	var known []string
	for _, c := range cfg.Containers {
		if c.Name() == name {
			return c, nil
		}
		known = append(known, c.Name())
	}
	return config.Container{}, usagef("--container %q does not stand in %s; known: %s", name, cfg.Path(), strings.Join(known, ", "))
}

func openStores(cfg *config.Config) (archive, root blob.Store, err error) {
	a, err := open.Writable(cfg.Archive.Root, cfg.Archive)
	if err != nil {
		return nil, nil, fmt.Errorf("archive.root: %w", err)
	}
	if cfg.Producer.Root == cfg.Archive.Root {
		return a, a, nil
	}
	r, err := open.Writable(cfg.Producer.Root, cfg.Archive)
	if err != nil {
		return nil, nil, fmt.Errorf("producer.root: %w", err)
	}
	return a, r, nil
}
