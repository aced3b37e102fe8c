package cosmosfake_test

import (
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func TestBadOptions(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		options cosmosfake.Options
		want    string // of the refusal
	}{
		{cosmosfake.Options{Key: "%"}, "Key is not base64"},
		{cosmosfake.Options{Ranges: -1}, "Ranges is -1, want 1 to 1024"},
		{cosmosfake.Options{Ranges: 2000}, "Ranges is 2000"},
		{cosmosfake.Options{Addr: "nowhere"}, "Addr"},
		{cosmosfake.Options{Addr: taken.Addr().String()}, "is in use"},
		{cosmosfake.Options{ComputeAddr: taken.Addr().String()}, "ComputeAddr"},
		{cosmosfake.Options{SecondRegion: "West US", SecondAddr: taken.Addr().String()}, "SecondAddr"},
		{cosmosfake.Options{SecondAddr: "127.0.0.1:0"}, "there is no second region"},
		{cosmosfake.Options{Retention: -time.Second}, "Retention is -1s"},
		{cosmosfake.Options{PurgeEvery: -time.Second}, "PurgeEvery is -1s"},
		{cosmosfake.Options{SplitBytes: -1}, "SplitBytes is -1"},
		{cosmosfake.Options{Throughput: -1}, "Throughput is -1"},
		{cosmosfake.Options{Throughput: math.NaN()}, "Throughput is NaN"},
		{cosmosfake.Options{Throughput: math.Inf(1)}, "Throughput is +Inf"},
		{cosmosfake.Options{Consistency: "Weak"}, "want one of Strong, BoundedStaleness, Session, ConsistentPrefix, Eventual"},
		{cosmosfake.Options{Region: "West US", SecondRegion: "West US"}, "SecondRegion is \"West US\""},
		{cosmosfake.Options{Deletion: 7}, "Deletion is 7"},
		{cosmosfake.Options{Session: 7}, "Session is 7"},
		{cosmosfake.Options{Scan: 7}, "Scan is 7"},
	} {
		s, err := cosmosfake.New(test.options)
		if err == nil {
			t.Errorf("%+v: got no error", test.options)
			_ = s.Close()
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %q, want it to say %q", test.options, err, test.want)
		}
	}
}

// TestControlsRefuseNonsense: what cannot be is refused, and changes nothing.
func TestControlsRefuseNonsense(t *testing.T) {
	s := startServer(t, cosmosfake.Options{SecondRegion: "West US"})
	c := rest{t, s}
	c.makeOrders(2)
	before, err := s.Ranges("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"bump beyond":          func() error { _, err := s.Bump(orders0, 1<<62); return err },
		"bump back":            func() error { _, err := s.Bump(orders0, -1); return err },
		"replication":          func() error { return s.SetReplication(-4) },
		"throughput":           func() error { return s.SetThroughput("shop", "orders", -1) },
		"throughput NaN":       func() error { return s.SetThroughput("shop", "orders", math.NaN()) },
		"throughput elsewhere": func() error { return s.SetThroughput("shop", "none", 1) },
		"fail over region":     func() error { return s.FailOverRegion(-1) },
		"lag":                  func() error { _, err := s.Lag(orders0, -1, 0); return err },
		"lag requests":         func() error { _, err := s.Lag(orders0, 0, -1); return err },
		"split":                func() error { _, err := s.Split(orders0, cosmosfake.SplitOptions{Completing: -1}); return err },
	} {
		if err := do(); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	after, err := s.Ranges("shop", "orders")
	if err != nil || len(after) != 2 || after[0] != before[0] || after[1] != before[1] {
		t.Errorf("got %+v, %v, want %+v", after, err, before)
	}
	// A bump to the very limit is one; the next is refused.
	if _, err := s.Bump(orders0, 1<<53-1); err != nil {
		t.Error(err)
	}
	if _, err := s.Bump(orders0, 1); err == nil {
		t.Error("got no error beyond 2^53")
	}
}

// TestRangeThatIsGone: the refusal names those that there are.
func TestRangeThatIsGone(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	rest{t, s}.makeOrders(1)
	if _, err := s.Split(orders0, cosmosfake.SplitOptions{}); err != nil {
		t.Fatal(err)
	}
	_, bump := s.Bump(orders0, 1)
	_, split := s.Split(orders0, cosmosfake.SplitOptions{})
	for name, err := range map[string]error{"bump": bump, "split": split} {
		if err == nil || !strings.Contains(err.Error(), "There are 1, 2.") {
			t.Errorf("%s: got %v, want it to name 1 and 2", name, err)
		}
	}
}

func TestReplicationWithoutSecondRegion(t *testing.T) {
	if err := startServer(t, cosmosfake.Options{}).SetReplication(1); err == nil {
		t.Error("got no error")
	}
}
