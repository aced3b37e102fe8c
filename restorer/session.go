package restorer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	blobopen "github.com/cosmos-almanac/almanac/internal/blob/open"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
)

// session is one container's archive, opened at its newest version.
type session struct {
	env       *service.Env
	container config.Container
	rules     archive.Rules
	store     blob.Store
	changes   *archive.Changes
	line      *archive.Timeline // of changes; nil: not loaded yet
}

// open reads the archive of the container that was named, or of the only one.
func open(ctx context.Context, env *service.Env, name string) (*session, error) {
	if err := env.Config.Require("archive.root", "containers"); err != nil {
		return nil, err
	}
	container, err := choose(env.Config.Containers, name)
	if err != nil {
		return nil, err
	}
	s := &session{env: env, container: container}
	if s.rules, err = rulesOf(container); err != nil {
		return nil, err
	}
	root := env.Config.Archive.Root
	store, err := blobopen.Root(root, env.Config.Archive)
	if err != nil {
		return nil, fmt.Errorf("archive.root: %w", err)
	}
	s.store = store
	s.changes, err = archive.OpenChanges(ctx, store, container.Topic)
	if errors.Is(err, topicid.ErrNoTopic) {
		return nil, usage("archive.root %s holds nothing of topic %s: producer and archiver have not run with it, or containers[].topic is another: %w", root, container.Topic, err)
	}
	return s, err
}

func choose(containers []config.Container, name string) (config.Container, error) {
	if name == "" && len(containers) == 1 {
		return containers[0], nil
	}
	var names []string
	for _, c := range containers {
		if c.Name() == name {
			return c, nil
		}
		names = append(names, c.Name())
	}
	if name == "" {
		return config.Container{}, usage("several containers are configured: name one by --container, of %s", strings.Join(names, ", "))
	}
	return config.Container{}, usage("--container %q is not configured; known: %s", name, strings.Join(names, ", "))
}

func rulesOf(c config.Container) (archive.Rules, error) {
	path := ""
	var value []byte
	if c.SoftDelete != nil {
		path, value = c.SoftDelete.Path, c.SoftDelete.Value
	}
	rules, err := archive.NewRules(archive.Deletes(c.Deletes), path, value)
	if err != nil {
		return rules, usage("container %s: %w", c.Name(), err)
	}
	return rules, nil
}

func (s *session) name() Name {
	return Name{Database: s.container.Database, Container: s.container.Container}
}

// timeline is folded once: changes is one version of the table.
func (s *session) timeline(ctx context.Context) (*archive.Timeline, error) {
	if s.line == nil {
		line, err := archive.LoadTimeline(ctx, s.changes, s.container.Name(), s.rules)
		if err != nil {
			return nil, err
		}
		s.line = line
	}
	return s.line, nil
}

// pending says why there is no later point yet: what the marks wait for, silence, and what is halted.
func (s *session) pending(ctx context.Context, t *archive.Timeline, now time.Time) ([]string, error) {
	const slack = time.Minute // of clocks, and of a commit
	why := append([]string{}, t.Pending()...)
	why = append(why, t.Quiet(now, s.env.Config.Producer.IdleMarkInterval+s.env.Config.Archiver.ControlCommitInterval+slack)...)
	topic, err := archive.ReadTopicHalt(ctx, s.store, s.container.Topic)
	if err != nil {
		return why, err
	}
	if topic != nil {
		why = append(why, "the topic is halted: "+topic.Reason)
	}
	halts, err := archive.ListHalts(ctx, s.store, s.container.Topic)
	for _, halt := range halts {
		why = append(why, fmt.Sprintf("partition %d is halted: %s", halt.Partition, halt.Reason))
	}
	return why, err
}

func (s *session) point(ctx context.Context, m moment) (archive.Point, error) {
	timeline, err := s.timeline(ctx)
	if err != nil {
		return archive.Point{}, err
	}
	return m.resolve(timeline)
}

// reader connects to the account that is restored into.
func (s *session) reader() (*cosmos.Client, error) {
	c := s.env.Config
	if err := c.Require("cosmos.endpoint", "cosmos.key"); err != nil {
		return nil, err
	}
	return cosmos.New(cosmos.Options{Endpoint: c.Cosmos.Endpoint, Key: c.Cosmos.Key, CAFile: c.Cosmos.CAFile})
}

func (s *session) writer() (*cosmos.Writer, error) {
	c := s.env.Config
	return cosmos.NewWriter(cosmos.WriterOptions{
		Endpoint: c.Cosmos.Endpoint, Key: c.Cosmos.Key, CAFile: c.Cosmos.CAFile, Connections: c.Restorer.Concurrency,
	})
}

// target is the container that --to names; without it, the one that a restore of the point makes.
func (s *session) target(to string, point *archive.Point) (Name, error) {
	if to == "" {
		return defaultTarget(s.name(), point.Latest), nil
	}
	return parseTarget(to, s.container.Database)
}

// plan makes the plan and finds the snapshot that it starts from.
func (s *session) plan(ctx context.Context, client *cosmos.Client, m moment, to string) (*Plan, *archive.Point, *archive.Manifest, error) {
	point, err := s.point(ctx, m)
	if err != nil {
		return nil, nil, nil, err
	}
	target, err := s.target(to, &point)
	if err != nil {
		return nil, nil, nil, err
	}
	base, source, err := s.findSource(ctx, &point)
	if err != nil {
		return nil, nil, nil, err
	}
	plan := &Plan{Container: s.container.Name(), Declared: s.rules.String(), Point: viewPoint(&point), Source: source}
	timeline, err := s.timeline(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if plan.Between, err = between(timeline, &point, m); err != nil {
		return nil, nil, nil, err
	}
	plan.Target, err = planTarget(ctx, client, &point, s.name(), target)
	plan.Target.Account = client.Host()
	return plan, &point, base, err
}
