package harness

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const testGroup = "g"

// hand is a member of a group that says what the test wants it to say.
type hand struct {
	*testing.T
	client    *kgo.Client
	id        string
	session   time.Duration
	rebalance time.Duration
}

func newTended(t *testing.T) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	groups, err := TendGroups(cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(groups.Close)
	return cluster
}

// newHand makes one that has an id, but is no member yet.
func newHand(t *testing.T, cluster *kfake.Cluster, session, rebalance time.Duration) *hand {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	h := &hand{T: t, client: client, session: session, rebalance: rebalance}
	answer, err := h.join(within(t, 5*time.Second), "")
	if err != nil || answer.ErrorCode != kerr.MemberIDRequired.Code {
		t.Fatalf("first join: got %+v, %v want an id", answer, err)
	}
	h.id = answer.MemberID
	return h
}

func (h *hand) join(ctx context.Context, metadata string) (*kmsg.JoinGroupResponse, error) {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Group, r.MemberID, r.ProtocolType = testGroup, h.id, "test"
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = int32(h.session.Milliseconds()), int32(h.rebalance.Milliseconds())
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = "p", []byte(metadata)
	r.Protocols = append(r.Protocols, protocol)
	return r.RequestWith(ctx, h.client)
}

// joins expects that the group takes it, and returns the generation.
func (h *hand) joins(metadata string) int32 {
	h.Helper()
	answer, err := h.join(within(h.T, 10*time.Second), metadata)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil {
		h.Fatalf("join of %s: %v", h.id, err)
	}
	return answer.Generation
}

func (h *hand) syncs(generation int32) {
	h.Helper()
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.Generation = testGroup, h.id, generation
	answer, err := r.RequestWith(within(h.T, 5*time.Second), h.client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil {
		h.Fatalf("sync of %s: %v", h.id, err)
	}
}

// sees waits until the group has so many members.
func (h *hand) sees(members int) {
	h.Helper()
	err := Until(within(h.T, 10*time.Second), "members", func() (string, error) {
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups = []string{testGroup}
		answer, err := r.RequestWith(h.Context(), h.client)
		if err != nil || len(answer.Groups[0].Members) == members {
			return "", err
		}
		return fmt.Sprintf("there are %d, want %d", len(answer.Groups[0].Members), members), nil
	})
	if err != nil {
		h.Fatal(err)
	}
}

// TestMemberWaitsLongerThanItsSession: of two members one falls silent, and the other waits for it in a rebalance.
func TestMemberWaitsLongerThanItsSession(t *testing.T) {
	cluster := newTended(t)
	living := newHand(t, cluster, time.Second, 3*time.Second)
	living.syncs(living.joins("1"))
	silent := newHand(t, cluster, time.Minute, 3*time.Second)
	go func() { _, _ = silent.join(t.Context(), "1") }() // and says nothing afterwards
	living.sees(2)
	before := living.joins("2")
	living.syncs(before)
	if after := living.joins("3"); after != before+1 {
		t.Errorf("got generation %d want the one after %d", after, before)
	}
	living.sees(1)
}

// TestDeadMemberIsRemoved: a member is gone before it is told that it is one.
func TestDeadMemberIsRemoved(t *testing.T) {
	cluster := newTended(t)
	living := newHand(t, cluster, 20*time.Second, 10*time.Second)
	living.syncs(living.joins("1"))
	dead := newHand(t, cluster, 500*time.Millisecond, 10*time.Second)
	joining, die := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = dead.join(joining, "1")
	}()
	living.sees(2)
	die()
	dead.client.Close()
	<-gone
	living.syncs(living.joins("2"))
	living.sees(1)
}
