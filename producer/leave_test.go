package producer

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/kafka"
	"github.com/cosmos-almanac/almanac/schemas"
)

// unanswered makes a reader that holds slots and whose batch waits for n results.
func unanswered(t *testing.T, slots, n int) *reader {
	t.Helper()
	r := silentReader(t)
	for range slots {
		if err := r.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b := r.batch
	b.records, b.results, b.left, b.flying = make([]kgo.Record, n), make(chan result, n), n, true
	return r
}

// TestSlotsOfAReaderThatLeft: a page that the brokers have not answered keeps its slot, and the next reader of its range
// waits for them.
func TestSlotsOfAReaderThatLeft(t *testing.T) {
	tests := []struct {
		name              string
		slots, left, kept int
	}{
		{"nothing is on its way", 1, 0, 0},
		{"one page on its way", 1, 2, 1},
		{"one on its way, one read", 2, 2, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := unanswered(t, test.slots, test.left)
				k := &task{answered: r.end()}
				for i := range test.left {
					synctest.Wait()
					if got := len(r.p.pages); got != test.kept {
						t.Errorf("got %d slots taken with %d of %d results, want %d", got, i, test.left, test.kept)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					if err := r.p.await(ctx, k); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v, want the next reader to wait", err)
					}
					cancel()
					r.batch.results <- result{err: context.Canceled}
				}
				if err := r.p.await(t.Context(), k); err != nil || len(r.p.pages) != 0 {
					t.Errorf("got %v and %d slots taken after the last result, want none", err, len(r.p.pages))
				}
			})
		})
	}
}

// TestControlEventsTakeSlots: a mark's record holds the buffers of its batch as a page's do.
func TestControlEventsTakeSlots(t *testing.T) {
	r := silentReader(t)
	r.p.pages = make(chan struct{}, 1)
	r.p.pages <- struct{}{} // a page of another reader
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.control(ctx, schemas.OpMark, time.Unix(1_760_000_000, 0), []byte(`{}`)); !errors.Is(err, context.Canceled) || len(r.batch.records) != 0 {
		t.Errorf("got %v with %d records, want no record without a slot", err, len(r.batch.records))
	}
}

// TestLeaveSavesBehindSlowBrokers: however long the brokers take, what was acknowledged is checkpointed.
func TestLeaveSavesBehindSlowBrokers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New()
		putCheckpoint(t, store, firstCheckpoint())
		r := unanswered(t, 1, 1)
		var err error
		if r.line, err = openLine(t.Context(), store, lineName, "leaver"); err != nil {
			t.Fatal(err)
		}
		r.moved = true
		r.leave()
		if got := standing(t, store); got.Position != 42 || r.moved {
			t.Errorf("got a checkpoint at %d, want what was acknowledged: 42", got.Position)
		}
	})
}

// TestSendNeverWaits: a reader hands all its records to the client however many wait there already, so that it ends when it
// is told to.
func TestSendNeverWaits(t *testing.T) {
	r := silentReader(t)
	p := r.p
	p.config.Kafka = config.Kafka{Brokers: []string{"127.0.0.1:1"}, SessionTimeout: time.Second, MaxMessageBytes: 1 << 20}
	p.config.Producer.Group, p.log, p.clients = "producers", slog.New(slog.DiscardHandler), kafka.NewLifetime(0)
	p.refuse, p.wake = func(error) {}, make(chan struct{}, 1)
	p.publishing = t.Context()
	joined, err := p.join("topic")
	if err != nil {
		t.Fatal(err)
	}
	defer p.clients.Close(joined.client)
	r.batch.topic = joined
	document := make([]byte, 1<<20-headroom)
	for range pagesMost * 4 { // pages of 4 MB
		r.batch.records = append(r.batch.records, kgo.Record{Topic: "topic", Value: document})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.batch.send()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Errorf("send waits with %d bytes in the client", joined.client.BufferedProduceBytes())
	}
}
