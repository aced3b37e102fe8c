package harness

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// established is the state of a connection in /proc/net/tcp.
const established = "01"

// Graveyard knows since when members of consumer groups are dead. Its zero value is empty.
type Graveyard struct {
	since map[string]time.Time // by member
}

// Bury removes members from consumer groups whose connection ended longer ago than their session may last, and returns
// how many. A broker does that by itself; the in-process one forgets to for a member that was killed while it waited for
// a rebalance: such a ghost would keep its partitions for ever. It is to be called again and again.
func (g *Graveyard) Bury(ctx context.Context, s *Stack, session time.Duration) (int, error) {
	groups, err := s.admin.DescribeGroups(ctx)
	if err != nil {
		return 0, fmt.Errorf("bury dead members: %w", err)
	}
	ports, err := livePorts()
	if err != nil {
		return 0, fmt.Errorf("bury dead members: %w", err)
	}
	dead := map[string]time.Time{}
	buried := 0
	for _, group := range groups.Sorted() {
		for _, m := range group.Members {
			_, port, _ := strings.Cut(m.ClientHost, ":")
			if n, err := strconv.Atoi(port); err != nil || ports[n] {
				continue
			}
			since, known := g.since[m.MemberID]
			if !known {
				since = time.Now()
			}
			if time.Since(since) < 2*session {
				dead[m.MemberID] = since
				continue
			}
			if err := s.leave(ctx, group.Group, m.MemberID); err != nil {
				return buried, err
			}
			buried++
		}
	}
	g.since = dead
	return buried, nil
}

// leave lets a member leave its group.
func (s *Stack) leave(ctx context.Context, group, id string) error {
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = group
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = id
	leave.Members = append(leave.Members, member)
	if _, err := leave.RequestWith(ctx, s.client); err != nil {
		return fmt.Errorf("bury dead member of %s: %w", group, err)
	}
	return nil
}

// livePorts are the local ports of this machine's connections.
func livePorts() (map[int]bool, error) {
	ports := map[int]bool{}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != established {
				continue
			}
			_, port, _ := strings.Cut(fields[1], ":")
			if n, err := strconv.ParseInt(port, 16, 32); err == nil {
				ports[int(n)] = true
			}
		}
	}
	return ports, nil
}
