package producer

import (
	"context"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/cosmos"
	"github.com/cosmos-almanac/almanac/schemas"
)

// silentReader stands at LSN 42 of newest 50 under configuration 3. It makes no mark and no checkpoint by itself.
func silentReader(t *testing.T) *reader {
	t.Helper()
	r := offlineReader(t, mem.New(), schemas.WholeRange(), "/pk")
	for _, c := range []*schemas.Checkpoint{&r.acked, &r.read} {
		c.Config, c.Position, c.Newest, c.Token, c.Basis = 3, 42, 50, "at 42", schemas.BasisComplete
	}
	p := &r.p.config.Producer
	p.MarkInterval, p.IdleMarkInterval, p.CheckpointInterval, p.IdleCheckpointInterval = time.Hour, time.Hour, time.Hour, time.Hour
	p.RewindGrace = time.Minute
	r.saved, r.marked = r.p.now(), r.p.now()
	return r
}

func page(config int64, newest, position schemas.LSN) *cosmos.Page {
	return &cosmos.Page{
		Session: cosmos.Session{Config: config, Newest: newest}, Position: position, Positioned: true, Token: "at " + position.String(),
		Date: time.Unix(1_760_000_000, 0), NotModified: true,
	}
}

func TestAnswersThatDoNotCount(t *testing.T) {
	tests := []struct {
		name     string
		page     *cosmos.Page
		position schemas.LSN
		newest   schemas.LSN
	}{
		{"an older configuration", page(2, 99, 99), 42, 50},
		{"no configuration number", page(cosmos.NoConfig, 99, 99), 42, 50},
		{"a replica that lags and goes back", page(3, 30, 30), 42, 50},
		{"a replica that lags", page(3, 45, 42), 42, 50},
		{"the newest replica", page(3, 60, 60), 60, 60},
		{"newest never falls", page(3, 44, 44), 44, 50},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := silentReader(t)
			if err := r.receive(t.Context(), test.page); err != nil {
				t.Fatal(err)
			}
			if r.read.Position != test.position || r.read.Newest != test.newest || r.read.Token != "at "+test.position.String() {
				t.Errorf("got lsn %d newest %d token %s, want %d and %d", r.read.Position, r.read.Newest, r.read.Token, test.position, test.newest)
			}
			if r.read.Config != 3 || r.read.Generation != firstGeneration {
				t.Errorf("got configuration %d generation %d, want 3 and %d", r.read.Config, r.read.Generation, firstGeneration)
			}
			if drained := !r.drainedAt.IsZero(); drained != (test.newest == 60) {
				t.Errorf("got drained %t", drained)
			}
		})
	}
}

// TestRewind: a newest LSN that stays below the position is a lag for a while, and then a rewind; one good answer between
// ends the suspicion.
func TestRewind(t *testing.T) {
	r := silentReader(t)
	now := time.Now()
	r.p.now = func() time.Time { return now }
	for i, step := range []struct {
		after  time.Duration
		newest schemas.LSN
		want   bool
	}{
		{0, 41, false},
		{59 * time.Second, 41, false},
		{30 * time.Second, 42, false},
		{time.Second, 41, false},
		{59 * time.Second, 40, false},
		{time.Second, 40, true},
	} {
		now = now.Add(step.after)
		if got := r.rewinds(page(3, step.newest, 42)); got != step.want {
			t.Errorf("step %d: got %t, want %t", i, got, step.want)
		}
	}
}

// TestPagesAreBounded: a reader that holds the last slot gives its page up before it waits for another.
func TestPagesAreBounded(t *testing.T) {
	r := silentReader(t)
	r.p.pages = make(chan struct{}, 1)
	if err := r.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.reading = false // it is on its way to the brokers, and acknowledged at once
	r.batch.flying = true
	if err := r.acquire(t.Context()); err != nil || r.slots != 1 {
		t.Errorf("got %v with %d slots, want one", err, r.slots)
	}
	other := *r
	other.slots, other.reading = 0, false
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := other.acquire(ctx); err == nil {
		t.Error("got a slot above the bound")
	}
	r.release(0)
	if err := other.acquire(t.Context()); err != nil {
		t.Error(err)
	}
}
