package cosmosfake_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestRestoreWindow: what was deleted can be brought back for as long as the account keeps versions, after a restart too,
// and comes without scripts.
func TestRestoreWindow(t *testing.T) {
	for _, test := range []struct {
		name    string
		after   time.Duration
		restart bool
		want    int
	}{
		{"within it", 59 * time.Minute, false, 200},
		{"within it, restarted", 59 * time.Minute, true, 200},
		{"later", 61 * time.Minute, false, 404},
		{"later, restarted", 61 * time.Minute, true, 404},
	} {
		clock := newClock()
		o := cosmosfake.Options{Clock: clock.now, Dir: t.TempDir(), Retention: time.Hour}
		s, err := cosmosfake.New(o)
		if err != nil {
			t.Fatal(err)
		}
		c := rest{t, s}
		c.makeOrders(1)
		c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
		c.must(201, "POST", coll+"/sprocs", `{"id":"one","body":"function () {}"}`)
		c.must(204, "DELETE", coll, "")
		clock.move(test.after)
		c.must(201, "POST", "/dbs", `{"id":"later"}`)
		if test.restart {
			// Twice: of the journal, and of the snapshot that the first start makes of it.
			s = restarted(t, s, o)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = cosmosfake.New(o); err != nil {
				t.Fatal(err)
			}
			c.s = s
		}
		err = s.RestoreContainer("shop", "orders")
		if got := c.do("GET", coll, "").status; got != test.want || (err == nil) != (test.want == 200) {
			t.Errorf("%s: got %v and then %d, want %d", test.name, err, got, test.want)
		}
		if test.want == 200 {
			c.must(200, "GET", docs+"/1", "", pkH, `["a"]`)
			if got := c.must(200, "GET", coll+"/sprocs", ""); strings.Contains(string(got.body), `"one"`) {
				t.Errorf("%s: got %s, want no scripts", test.name, got.body)
			}
		}
		_ = s.Close()
	}
}
