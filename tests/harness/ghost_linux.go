package harness

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// established is the state of a connection in /proc/net/tcp.
const established = "01"

// Bury removes members from consumer groups whose connection has ended, and returns how many. A broker does that when
// their session expires; the in-process one forgets to for a member that was killed while it waited for a rebalance:
// such a ghost would keep its partitions for ever.
func (s *Stack) Bury(ctx context.Context) (int, error) {
	groups, err := s.admin.DescribeGroups(ctx)
	if err != nil {
		return 0, fmt.Errorf("bury dead members: %w", err)
	}
	ports, err := livePorts()
	if err != nil {
		return 0, fmt.Errorf("bury dead members: %w", err)
	}
	buried := 0
	for _, g := range groups.Sorted() {
		if g.State != "Stable" {
			continue // whoever died waits there for a timeout that works
		}
		for _, m := range g.Members {
			_, port, _ := strings.Cut(m.ClientHost, ":")
			if n, err := strconv.Atoi(port); err != nil || ports[n] {
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
