package harness

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/fault"
)

// Stall is the moment from which on a store or a network takes everything and answers nothing.
type Stall struct{ left atomic.Int64 }

// NewStall is silent after so many operations.
func NewStall(after int) *Stall {
	s := &Stall{}
	s.left.Store(int64(after))
	return s
}

// Reached says whether it has come.
func (s *Stall) Reached() bool { return s.left.Load() < 0 }

// step counts an operation, and tells whether it is still answered.
func (s *Stall) step() bool { return s.left.Add(-1) >= 0 }

// Store is a store whose operations are counted. One that is not answered ends with its context.
func (s *Stall) Store(store blob.Store) blob.Store {
	return fault.NewHooked(store, func(ctx context.Context, _ fault.Op) fault.Fault {
		if s.step() {
			return fault.None
		}
		<-ctx.Done()
		return fault.Drop
	})
}

// Kafka lets a client count what it sends.
func (s *Stall) Kafka() kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &stalledConn{conn, s}, nil
	})
}

type stalledConn struct {
	net.Conn

	stall *Stall
}

func (c *stalledConn) Write(p []byte) (int, error) {
	c.stall.step()
	return c.Conn.Write(p)
}

// Read passes over what arrives once the network is silent. It ends with the connection, or at its deadline.
func (c *stalledConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.stall.Reached() {
			return n, err
		}
	}
}

// Account is a hook of an account whose requests are counted.
func (s *Stall) Account() cosmosfake.Hook {
	return func(r *http.Request) *cosmosfake.Fault {
		if !s.step() {
			<-r.Context().Done()
		}
		return nil
	}
}
