package producer

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/schemas"
)

// topic is one topic and its group.
type topic struct {
	name       string
	uuid       schemas.UUID
	partitions int32
	client     *kgo.Client // member of the producers' group of this topic, and publisher

	mu    sync.Mutex
	owned map[int32]bool // nil until the group has assigned for the first time
}

// noLimit of the client's own: it holds no bytes but those of pages, which have slots (INV-9), and a reader that waited in
// it for room could not be told to end.
const noLimit = 0

// join makes the topic's client, which becomes a member of the group. What the group takes away is only noted: that a
// reader may run a little longer is what the checkpoint's compare-and-set is for.
func (p *Producer) join(name string) (*topic, error) {
	t := &topic{name: name}
	give := func(_ context.Context, _ *kgo.Client, got map[string][]int32) { p.assign(t, got[name], mine) }
	take := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { p.assign(t, lost[name], notMine) }
	options, err := kafka.ClientOptions(p.config.Kafka, p.log)
	if err != nil {
		return nil, err
	}
	options = append(options, kafka.ProduceOptions(p.config.Kafka, noLimit)...)
	group := p.config.Producer.Group + "." + name
	options = append(options, kafka.GroupOptions(p.config.Kafka, group, name)...)
	options = append(options, kgo.OnPartitionsAssigned(give), kgo.OnPartitionsRevoked(take), kgo.OnPartitionsLost(take),
		kafka.OnRefused(p.config.Kafka, group, func(err *kafka.ConfigError) { p.refuse(err) }), p.clients.Option())
	if t.client, err = kgo.NewClient(append(options, p.kafka...)...); err != nil {
		return nil, fmt.Errorf("make kafka client: %w", err)
	}
	t.client.PauseFetchTopics(name) // membership spreads the work; nothing is fetched
	return t, nil
}

type ownership bool

const (
	mine    ownership = true
	notMine ownership = false
)

func (p *Producer) assign(t *topic, partitions []int32, to ownership) {
	t.mu.Lock()
	if t.owned == nil {
		t.owned = map[int32]bool{}
	}
	for _, number := range partitions {
		t.owned[number] = bool(to)
	}
	t.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (t *topic) owns(partition int32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owned[partition]
}

func (t *topic) joined() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owned != nil
}
