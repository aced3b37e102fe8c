package harness

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// roll knows when members of consumer groups were heard last.
type roll struct {
	mu    sync.Mutex
	heard map[string]time.Time // by member
}

func (r *roll) hear(member string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard == nil {
		r.heard = map[string]time.Time{}
	}
	r.heard[member] = time.Now()
}

// silent tells how long a member was not heard; one that never was is heard now.
func (r *roll) silent(member string) time.Duration {
	r.mu.Lock()
	last, known := r.heard[member]
	r.mu.Unlock()
	if !known {
		r.hear(member)
		return 0
	}
	return time.Since(last)
}

// call listens to what members of groups say.
func (s *Stack) call() {
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		s.Kafka.ControlKey(key.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
			s.Kafka.KeepControl()
			switch r := request.(type) {
			case *kmsg.JoinGroupRequest:
				s.roll.hear(r.MemberID)
			case *kmsg.SyncGroupRequest:
				s.roll.hear(r.MemberID)
			case *kmsg.HeartbeatRequest:
				s.roll.hear(r.MemberID)
			}
			return nil, nil, false
		})
	}
}

// Members are the ids of a consumer group's members; none while partitions move.
func (s *Stack) Members(ctx context.Context, group string) ([]string, error) {
	groups, err := s.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	var members []string
	if g := groups[group]; g.State == "Stable" {
		for _, m := range g.Members {
			members = append(members, m.MemberID)
		}
	}
	return members, nil
}

// Bury removes members from stable consumer groups that were silent for two sessions, and returns how many. A broker does
// that by itself after one; the in-process one forgets to for a member that was killed while it waited for a rebalance:
// such a ghost would keep its partitions for ever. It is to be called now and then.
func (s *Stack) Bury(ctx context.Context, session time.Duration) (int, error) {
	groups, err := s.admin.DescribeGroups(ctx)
	if err != nil {
		return 0, fmt.Errorf("bury dead members: %w", err)
	}
	buried := 0
	for _, g := range groups.Sorted() {
		if g.State != "Stable" {
			continue // whoever died waits there for a timeout that works
		}
		for _, m := range g.Members {
			if s.roll.silent(m.MemberID) < 2*session {
				continue
			}
			leave := kmsg.NewPtrLeaveGroupRequest()
			leave.Group = g.Group
			member := kmsg.NewLeaveGroupRequestMember()
			member.MemberID = m.MemberID
			leave.Members = append(leave.Members, member)
			if _, err := leave.RequestWith(ctx, s.client); err != nil {
				return buried, fmt.Errorf("bury dead member of %s: %w", g.Group, err)
			}
			buried++
		}
	}
	return buried, nil
}
