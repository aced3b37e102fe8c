package cosmosfake_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestTimes: a range's clock can differ from the account's, and that of whoever answers from both.
func TestTimes(t *testing.T) {
	clock := newClock()
	now := clock.now()
	var ledger memoryLedger
	options := cosmosfake.Options{Clock: clock.now, Ledger: &ledger, Dir: t.TempDir(), Retention: time.Hour}
	s, err := cosmosfake.New(options)
	if err != nil {
		t.Fatal(err)
	}
	c := rest{t, s}
	c.makeOrders(1)
	for _, by := range []time.Duration{0, -30 * time.Second, 20 * time.Second} {
		if _, err := s.Skew(orders0, by); err != nil {
			t.Fatal(err)
		}
		c.upsert(`["a"]`, `{"id":"`+by.String()+`","pk":"a"}`)
	}
	check := func(when string) {
		t.Helper()
		got := c.feed("0", "")
		events := versionsOf(t, c.versions("0", `"1"`))
		for i, want := range []time.Duration{0, -30 * time.Second, 20 * time.Second} {
			d := systemOf(t, got.page(t).Documents[i])
			if d.TS != now.Add(want).Unix() || d.LSN != int64(i+2) || events[i].Metadata.CRTS != d.TS {
				t.Errorf("%s: got _ts %d at %d, crts %d, want %d at %d", when, d.TS, d.LSN, events[i].Metadata.CRTS, now.Add(want).Unix(), i+2)
			}
		}
		if date := got.header.Get("Date"); date != now.Format(http.TimeFormat) {
			t.Errorf("%s: got Date %s, want the account's", when, date)
		}
	}
	check("at first")
	for _, e := range ledger.entries(t)[1:] {
		want := map[int64]int64{2: 0, 3: now.Unix() - 30, 4: now.Unix() + 20}[e.LSN]
		if !e.Time.Equal(now) || e.TS != want {
			t.Errorf("ledger: got %v and ts %d at %d, want %v and %d", e.Time, e.TS, e.LSN, now, want)
		}
	}
	s.SetHook(func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Date: -5 * time.Second} })
	if got := c.feed("0", "").header.Get("Date"); got != now.Add(-5*time.Second).Format(http.TimeFormat) {
		t.Errorf("got Date %s, want one 5 s behind", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.s = startServer(t, options)
	check("after a restart")
	parts, err := c.s.Split(orders0, cosmosfake.SplitOptions{At: []string{"3FFFFFFF"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.s.Skew(cosmosfake.Range{Database: "shop", Container: "orders", ID: parts[0].ID}, -time.Minute); err != nil {
		t.Fatal(err)
	}
	written := c.upsert(`["a"]`, `{"id":"later","pk":"a"}`)
	if got := systemOf(t, written.body).TS; got != now.Unix()-60 {
		t.Errorf("in a part: got %d, want a minute earlier", got)
	}
}
