package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Options of a Producer. Config, Archive, Root and Log are required.
type Options struct {
	Config  *config.Config
	Archive blob.Store // archive.root: topic.json
	Root    blob.Store // producer.root: seeds, checkpoints, large documents
	Log     *slog.Logger

	Registry prometheus.Registerer        // default: metrics are kept and shown to nobody
	Report   func(part string, err error) // told when a part becomes ready or not; default: nobody
	Now      func() time.Time             // default: time.Now; it times cadences, and no event depends on it
	Kafka    []kgo.Opt                    // further options of the clients
}

// Producer publishes the changes of a configuration's containers. It is made by New, and run once by Run.
type Producer struct {
	config  *config.Config
	archive blob.Store
	root    blob.Store
	log     *slog.Logger
	report  func(string, error)
	now     func() time.Time
	kafka   []kgo.Opt
	metrics *metrics

	name         string // in checkpoints, for people
	messageLimit int    // bytes of a record above which its document goes by claim check
	account      *cosmos.Client
	topics       []*topic
}

// headroom is what a record may grow by on the wire.
const headroom = 1024

// New makes a producer; it talks to nobody yet.
func New(o Options) (*Producer, error) {
	m, err := newMetrics(o.Registry)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	p := &Producer{
		config: o.Config, archive: o.Archive, root: o.Root, log: o.Log, report: o.Report, now: o.Now, kafka: o.Kafka, metrics: m,
		name: host + ":" + strconv.Itoa(os.Getpid()), messageLimit: int(o.Config.Kafka.MaxMessageBytes) - headroom,
	}
	if p.report == nil {
		p.report = func(string, error) {}
	}
	if p.now == nil {
		p.now = time.Now
	}
	p.account, err = cosmos.New(cosmos.Options{Endpoint: o.Config.Cosmos.Endpoint, Key: o.Config.Cosmos.Key, CAFile: o.Config.Cosmos.CAFile})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Run publishes until ctx is done; then it checkpoints what is acknowledged, leaves the groups and returns nil. An error
// with exit code 3 says that nothing is left to do before an operator acts.
func (p *Producer) Run(ctx context.Context) (err error) {
	defer p.account.Close()
	defer func() {
		for _, t := range p.topics {
			t.client.Close()
		}
	}()
	if err := p.open(ctx); err != nil {
		return err
	}
	var group errgroup.Group
	for _, t := range p.topics {
		group.Go(func() error {
			if err := p.work(ctx, t); err != nil {
				return fmt.Errorf("every range of topic %s that this process reads is halted: %w", t.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// startMost is how long the account may take to answer at start-up.
const startMost = 10 * time.Second

// open checks account, topics and containers before anything is published.
func (p *Producer) open(ctx context.Context) error {
	start, cancel := context.WithTimeout(ctx, startMost)
	defer cancel()
	if _, err := p.account.ReadAccount(start); err != nil {
		return fmt.Errorf("cosmos.endpoint %s: %w", p.config.Cosmos.Endpoint, err)
	}
	p.report("cosmos", nil)
	for _, one := range p.config.Topics() {
		t := &topic{name: one.Name}
		if err := p.join(t); err != nil {
			return err
		}
		p.topics = append(p.topics, t)
		if err := p.openTopic(ctx, t, one.Containers); err != nil {
			return err
		}
	}
	return nil
}

func (p *Producer) openTopic(ctx context.Context, t *topic, containers []config.Container) (err error) {
	if t.partitions, err = kafka.Topic(ctx, t.client, t.name); err != nil {
		return err
	}
	known, err := topicid.Identify(ctx, p.archive, t.name)
	if err != nil {
		return err
	}
	t.uuid = known.UUID
	for _, c := range containers {
		live, err := p.account.ReadContainer(ctx, c.Database, c.Container)
		if err != nil {
			return err
		}
		seed, err := p.openSeed(ctx, t, c, live)
		if err != nil {
			return err
		}
		for _, span := range seed.Ranges {
			k := &task{container: c, span: span, owner: ownerOf(span, seed.Partitions)}
			t.ranges = append(t.ranges, k)
			p.metrics.halted(k, 0)
		}
	}
	t.nudge()
	return nil
}

// Clear removes the halt of a container's range, or of all of them when span is nil, by compare-and-set. It returns the
// halts that it removed. A reader notices within seconds.
func Clear(ctx context.Context, root blob.Store, c config.Container, span *schemas.FeedRange, now time.Time) ([]*schemas.Halt, error) {
	var names []string
	prefix := schemas.CheckpointPrefix(c.Topic, c.Name())
	err := root.List(ctx, prefix, func(info blob.Info) error {
		if span == nil || info.Name == schemas.CheckpointFile(c.Topic, c.Name(), *span) {
			names = append(names, info.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list checkpoints %s: %w", prefix, err)
	}
	if len(names) == 0 {
		return nil, usagef("container %s has no such checkpoint below %s: name a range as the log does, MIN-MAX, or all", c.Name(), prefix)
	}
	var cleared []*schemas.Halt
	for _, name := range names {
		halt, err := clearOne(ctx, root, name, now)
		if err != nil {
			return cleared, err
		}
		if halt != nil {
			cleared = append(cleared, halt)
		}
	}
	if len(cleared) == 0 {
		return nil, usagef("nothing of container %s that you named is halted", c.Name())
	}
	return cleared, nil
}

func clearOne(ctx context.Context, root blob.Store, name string, now time.Time) (*schemas.Halt, error) {
	for range settleAttempts {
		l, err := openLine(ctx, root, name, "clear")
		if err != nil {
			return nil, err
		}
		halt := l.Checkpoint.Halt
		if halt == nil {
			return nil, nil
		}
		next := clone(l.Checkpoint)
		next.Halt = nil
		if err := l.save(ctx, next, now); !errors.Is(err, errLost) {
			return halt, err
		}
	}
	return nil, fmt.Errorf("clear %s: other writers were always first", name)
}
