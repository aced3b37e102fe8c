package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Lifetime closes clients in bounded time. A client's own Close waits for the answer to a JoinGroup that is under way, and
// a broker may owe that for a whole rebalance; a program that was asked to stop has no such time. A member that could not
// leave is missed when its session expires.
type Lifetime struct {
	cancel context.CancelFunc
	within time.Duration
	option kgo.Opt
}

// NewLifetime makes one whose clients get so much time to close.
func NewLifetime(within time.Duration) *Lifetime {
	ctx, cancel := context.WithCancel(context.Background())
	return &Lifetime{cancel: cancel, within: within, option: kgo.WithContext(ctx)}
}

// Option binds a client to the lifetime.
func (l *Lifetime) Option() kgo.Opt { return l.option }

// Close lets the clients leave their groups and closes them; nil ones are passed over. When the time has come all requests
// that are still under way fail.
func (l *Lifetime) Close(clients ...*kgo.Client) {
	timer := time.AfterFunc(l.within, l.cancel)
	defer timer.Stop()
	for _, client := range clients {
		if client != nil {
			client.Close()
		}
	}
	l.cancel()
}
