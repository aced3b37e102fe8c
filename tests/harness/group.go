package harness

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Groups does for the consumer groups of the in-process broker what a real broker does by itself, until it is closed:
//
//   - A member that waits for a rebalance stays a member. The in-process broker lets its session go on meanwhile, begins
//     the wait anew whenever a dead member's session expires, and forgets whom it was to answer: a living member would
//     wait for as long as its client waits for any broker.
//   - A member that was killed while it waited for a rebalance is removed. The in-process broker forgets it, and it would
//     keep its partitions for ever.
type Groups struct {
	client *kgo.Client
	admin  *kadm.Client
	cancel context.CancelFunc
	ended  chan struct{}

	mu          sync.Mutex
	members     map[string]*member
	generations map[string]int32 // by group
}

// member is what is known of one.
type member struct {
	session time.Duration
	heard   time.Time
	waits   bool // for the answer to a JoinGroup; the client says nothing meanwhile
}

// tendInterval is the time between two looks at the groups: a fraction of any session.
const tendInterval = 100 * time.Millisecond

// TendGroups begins. It is to be closed before the broker.
func TendGroups(kafka *kfake.Cluster) (*Groups, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...))
	if err != nil {
		return nil, fmt.Errorf("tend consumer groups: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Groups{
		client: client, admin: kadm.NewClient(client), cancel: cancel, ended: make(chan struct{}),
		members: map[string]*member{}, generations: map[string]int32{},
	}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		kafka.ControlKey(key.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
			kafka.KeepControl()
			g.hear(request)
			return nil, nil, false
		})
	}
	go g.run(ctx)
	return g, nil
}

// Close ends it.
func (g *Groups) Close() {
	g.cancel()
	<-g.ended
	g.client.Close()
}

func (g *Groups) run(ctx context.Context) {
	defer close(g.ended)
	ticker := time.NewTicker(tendInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		g.tend(ctx)
	}
}

// hear notes what a member says. A heartbeat of one that waits is ours.
func (g *Groups) hear(request kmsg.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch r := request.(type) {
	case *kmsg.JoinGroupRequest:
		g.members[r.MemberID] = &member{
			session: time.Duration(r.SessionTimeoutMillis) * time.Millisecond, heard: time.Now(), waits: true,
		}
	case *kmsg.SyncGroupRequest:
		g.generations[r.Group] = max(g.generations[r.Group], r.Generation)
		if m := g.members[r.MemberID]; m != nil {
			m.heard, m.waits = time.Now(), false
		}
	case *kmsg.HeartbeatRequest:
		if m := g.members[r.MemberID]; m != nil && !m.waits {
			m.heard = time.Now()
		}
	}
}

// tend looks at all groups once. What fails is done at the next look.
func (g *Groups) tend(ctx context.Context) {
	groups, err := g.admin.DescribeGroups(ctx)
	if err != nil {
		return
	}
	for _, group := range groups {
		for _, described := range group.Members {
			m, generation := g.look(described.MemberID, group.Group)
			switch {
			case group.State != "Stable" && m.waits:
				beat := kmsg.NewPtrHeartbeatRequest()
				beat.Group, beat.MemberID, beat.Generation = group.Group, described.MemberID, generation
				_, _ = beat.RequestWith(ctx, g.client)
			case group.State == "Stable" && time.Since(m.heard) >= 2*m.session: // after one a real broker has given up
				leave := kmsg.NewPtrLeaveGroupRequest()
				leave.Group = group.Group
				leaving := kmsg.NewLeaveGroupRequestMember()
				leaving.MemberID = described.MemberID
				leave.Members = append(leave.Members, leaving)
				_, _ = leave.RequestWith(ctx, g.client)
			}
		}
	}
}

func (g *Groups) look(id, group string) (member, int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.members[id]; m != nil {
		return *m, g.generations[group]
	}
	return member{heard: time.Now(), session: time.Minute}, 0 // it joined before we listened
}
