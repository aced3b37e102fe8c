package archiver

import (
	"context"
	"maps"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// topicPartition names a partition of a topic.
type topicPartition struct {
	topic     string
	partition int32
}

// assignment is what the group has given to this process, as its callbacks tell. Each time that a partition is given it
// gets a new, higher epoch, so that one that was taken away and given back meanwhile is seen as new.
type assignment struct {
	mu    sync.Mutex
	epoch int64
	owned map[topicPartition]int64
	wake  context.CancelFunc // ends the poll that is under way
	told  bool               // something was assigned at least once, be it nothing
}

func newAssignment() *assignment { return &assignment{owned: map[topicPartition]int64{}} }

// options make a client a member that tells the assignment and fetches nothing.
func (a *assignment) options() []kgo.Opt {
	taken := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) { a.take(partitions) }
	return []kgo.Opt{
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) { a.give(partitions) }),
		kgo.OnPartitionsRevoked(taken),
		kgo.OnPartitionsLost(taken),
		// No offset is an offset to fetch from: the member holds partitions and never reads them.
		kgo.AdjustFetchOffsetsFn(func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			return nil, nil
		}),
	}
}

func (a *assignment) give(partitions map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = true
	for topic, list := range partitions {
		for _, p := range list {
			a.epoch++
			a.owned[topicPartition{topic, p}] = a.epoch
		}
	}
	a.interrupt()
}

func (a *assignment) take(partitions map[string][]int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for topic, list := range partitions {
		for _, p := range list {
			delete(a.owned, topicPartition{topic, p})
		}
	}
	a.interrupt()
}

func (a *assignment) interrupt() {
	if a.wake != nil {
		a.wake()
	}
}

// current is the assignment now; told is false until the group has spoken.
func (a *assignment) current() (owned map[topicPartition]int64, told bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.owned), a.told
}

// pollContext is a context that ends as well when the assignment changes.
func (a *assignment) pollContext(ctx context.Context, seen map[topicPartition]int64) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !maps.Equal(a.owned, seen) {
		cancel()
	}
	a.wake = cancel
	return ctx, cancel
}
