package producer_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cosmos-almanac/almanac/producer"
)

// TestSilentRange: a range of which nothing new comes is drained for as long as somebody reads it and could publish, and
// silent when nobody does or brokers take nothing.
func TestSilentRange(t *testing.T) {
	c := orders()
	w := newWorld(t, c)
	w.fill(c, 5, 1)
	const enough, long = time.Minute, 2 * time.Second
	state := func(now time.Time) (string, time.Time) {
		t.Helper()
		status, err := producer.ReadStatus(t.Context(), w.root, w.config, now)
		if err != nil {
			t.Fatal(err)
		}
		if len(status.Containers[0].Ranges) != 1 {
			return "", time.Time{}
		}
		one := status.Containers[0].Ranges[0]
		return one.State, one.WrittenAt
	}
	// written waits for a checkpoint that is newer than all that may be on its way now.
	written := func() time.Time {
		t.Helper()
		from := time.Now().Add(w.config.Producer.IdleCheckpointInterval)
		var at time.Time
		w.eventually("a newer checkpoint of a quiet range", func() bool {
			_, at = state(from)
			return at.After(from)
		})
		return at
	}
	expect := func(what string, now time.Time, want string) {
		t.Helper()
		if got, at := state(now); got != want {
			t.Errorf("%s: got %s at %s of a checkpoint of %s, want %s", what, got, now, at, want)
		}
	}
	r := w.run()
	w.waitComplete(c)
	at := written()
	expect("just written", at, "drained")
	w.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		return nil, kerr.NotEnoughReplicas, true
	})
	w.eventually("silence where brokers take nothing", func() bool {
		got, _ := state(time.Now().Add(enough - long)) // silent, for so long by now
		return got == "silent"
	})
	_ = r.stop() // it could not publish its last marks
	_, at = state(time.Now())
	expect("nearly too old", at.Add(enough), "drained")
	expect("too old", at.Add(enough+time.Millisecond), "silent")
}
