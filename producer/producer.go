package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/internal/topicid"
)

// Options of a Producer. Config, Archive, Root and Log are required.
type Options struct {
	Config  *config.Config
	Archive blob.Store // archive.root: topic.json
	Root    blob.Store // producer.root: seeds, checkpoints, large documents
	Log     *slog.Logger

	Registry prometheus.Registerer        // default: metrics are kept and shown to nobody
	Report   func(part string, err error) // told when a part becomes ready or not, from any goroutine; default: nobody
	Now      func() time.Time             // default: time.Now; it times cadences and names halts, and no event depends on it
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
	clients      *kafka.Lifetime // of the topics
	tasks        []*task
	spare        bool            // the groups gave none of them to this process
	standing     sync.Mutex      // of the tasks' standing, and of what is reported of it
	publishing   context.Context // of all records, see work
	refuse       func(error)     // ends Run with the error
	wake         chan struct{}   // buffered: some assignment changed
	pages        chan struct{}   // a slot for every page that the readers may hold together
}

// pagesMost bounds the pages that all readers hold together, read or on their way to the brokers (INV-9): ranges grow with
// the container, memory must not. The service ends a page at 4 MB.
const pagesMost = 16

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
		wake: make(chan struct{}, 1), pages: make(chan struct{}, pagesMost), clients: kafka.NewLifetime(leaveMost),
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
// with exit code 3 says that nothing is left to do before an operator acts; one with exit code 2, that the configuration
// is wrong, or that brokers or account do not take it.
func (p *Producer) Run(ctx context.Context) error {
	ctx, p.refuse = context.WithCancelCause(ctx)
	defer p.refuse(nil)
	defer p.account.Close()
	defer func() {
		var members []*kgo.Client
		for _, t := range p.topics {
			members = append(members, t.client)
		}
		p.clients.Close(members...)
	}()
	err := service.Refused(p.open(ctx))
	if err == nil {
		err = p.work(ctx)
	}
	var refused *kafka.ConfigError
	switch {
	case errors.As(context.Cause(ctx), &refused):
		return refused
	case ctx.Err() != nil:
		return nil
	}
	return err
}

// startMost is how long the account may take to answer at start-up.
const startMost = 10 * time.Second

var errJoining = errors.New("the consumer group has not assigned partitions yet")

// open checks account, topics and containers before anything is published.
func (p *Producer) open(ctx context.Context) error {
	start, cancel := context.WithTimeout(ctx, startMost)
	defer cancel()
	if _, err := p.account.ReadAccount(start); err != nil {
		return fmt.Errorf("cosmos.endpoint %s: %w", p.config.Cosmos.Endpoint, err)
	}
	p.report("cosmos", nil)
	p.report("kafka", errJoining)
	for _, one := range p.config.Topics() {
		t, err := p.join(one.Name)
		if err != nil {
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
	if t.partitions, err = kafka.OpenTopic(ctx, t.client, p.config.Kafka, t.name, kafka.Past{
		MayMake: func(ctx context.Context) error { return topicid.CheckNew(ctx, p.archive, t.name) },
		MayTake: func(ctx context.Context) error { return topicid.CheckKnown(ctx, p.archive, t.name) },
	}); err != nil {
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
			k := &task{topic: t, container: c, span: span, owner: ownerOf(span, seed.Partitions)}
			p.tasks = append(p.tasks, k)
			p.metrics.halted(k, 0)
		}
	}
	return nil
}
