package producer

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// told is what /readyz was told last, and how often.
type told struct {
	mu    sync.Mutex
	part  string
	err   error
	times int
}

func (d *told) report(part string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.part, d.err = part, err
	d.times++
}

func (d *told) want(t *testing.T, times int, text string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.times != times || (d.err != nil) != (text != "") || d.err != nil && !strings.Contains(d.err.Error(), text) {
		t.Errorf("got %d reports, the last %v want %d and %q", d.times, d.err, times, text)
	}
}

// TestSilenceOfBrokersIsTold: the client tries in silence for as long as brokers neither take nor refuse a record, as with too few
// replicas in sync.
func TestSilenceOfBrokersIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, ready := unanswered(t, 1, 1), &told{}
		r.p.report = ready.report
		done := make(chan error, 1)
		go func() { done <- r.settle(t.Context()) }()
		<-time.After(silenceMost - time.Second)
		synctest.Wait()
		ready.want(t, 0, "")
		<-time.After(2 * time.Second)
		synctest.Wait()
		ready.want(t, 1, "have not acknowledged 1 records for 10s")
		<-time.After(silenceAgain)
		synctest.Wait()
		ready.want(t, 2, "for 1m10s")
		r.batch.results <- result{offset: 100}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ready.want(t, 3, "")
		if ready.part != "range shop.orders "+schemas.WholeRange().String() {
			t.Errorf("got part %q want the range", ready.part)
		}
	})
}

// TestRefusalsAreTold: a range whose readers end one after the other without having published anything makes the program not
// ready, until one has.
func TestRefusalsAreTold(t *testing.T) {
	r, ready := silentReader(t), &told{}
	now := time.Unix(1_760_000_000, 0)
	r.p.report, r.p.now = ready.report, func() time.Time { return now }
	k := &task{topic: r.topic, container: r.named, span: r.acked.Range}
	fail := func() {
		k.began, k.cancel, k.last = now, func() {}, errors.New("refused")
		r.p.finished(k)
	}
	fail()
	now = now.Add(silenceMost)
	fail()
	ready.want(t, 0, "")
	now = now.Add(time.Second)
	fail()
	ready.want(t, 1, "refused")
	k.published.Store(true)
	r.p.still(k, nil)
	ready.want(t, 2, "")
	now = now.Add(time.Second)
	fail()
	ready.want(t, 2, "")
	now = now.Add(silenceMost + time.Second)
	fail()
	ready.want(t, 3, "refused")
	if _, started := r.p.schedule(t.Context(), k, nil); started != 0 { // another process' now
		t.Error("got a reader of a range that is not ours")
	}
	ready.want(t, 4, "")
}
