package cosmosfake_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestFeedForms are the answers that clients are to bear with.
func TestFeedForms(t *testing.T) {
	const wire = "x-ms-cosmos-changefeed-wire-format-version"
	s := startServer(t, cosmosfake.Options{Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`) // 2
	c.upsert(`["a"]`, `{"id":"2","pk":"a"}`) // 3
	all := func() response { return c.versions("0", `"2"`) }
	for _, test := range []struct {
		name   string
		form   cosmosfake.FeedForm
		ask    func() response
		status int
		etag   string
		lsn    string
		want   string // in the body
	}{
		{"plain", cosmosfake.FeedForm{}, func() response { return c.feed("0", `"2"`) }, 200, `"3"`, "3", `"_count":1`},
		{"empty", cosmosfake.FeedForm{Empty: true}, func() response { return c.feed("0", `"2"`) }, 200, `"2"`, "3", `"Documents":[],"_count":0`},
		{"empty at the beginning", cosmosfake.FeedForm{Empty: true}, func() response { return c.feed("0", "") }, 200, `"0"`, "3", `"_count":0`},
		{"empty from now", cosmosfake.FeedForm{Empty: true}, func() response { return c.feed("0", "*") }, 200, `"3"`, "3", `"_count":0`},
		{"empty, all versions", cosmosfake.FeedForm{Empty: true}, all, 200, `"2"`, "3", `"_count":0`},
		{"304 without etag", cosmosfake.FeedForm{NoETag: true}, func() response { return c.feed("0", `"3"`) }, 304, "", "3", ""},
		{"304 without LSN", cosmosfake.FeedForm{NoLSN: true}, func() response { return c.feed("0", `"3"`) }, 304, `"3"`, "", ""},
		{"times with a fraction", cosmosfake.FeedForm{FloatTimes: true}, all, 200, `"3"`, "3", `.0,"operationType":"create"`},
		{"wrapped times with a fraction", cosmosfake.FeedForm{FloatTimes: true}, func() response { return c.feed("0", `"2"`, wire, "2021-09-15") }, 200, `"3"`, "3", `.0}}`},
		{"an operation of the future", cosmosfake.FeedForm{Operation: "moved"}, all, 200, `"3"`, "3", `"operationType":"moved"`},
	} {
		s.SetHook(func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Feed: test.form} })
		got := test.ask()
		lsn := got.header.Get("lsn")
		if got.status != test.status || got.header.Get("etag") != test.etag || lsn != test.lsn || got.header.Get("x-ms-cosmos-llsn") != lsn ||
			!strings.Contains(string(got.body), test.want) {
			t.Errorf("%s: got %d etag %s lsn %q %s, want %+v", test.name, got.status, got.header.Get("etag"), lsn, got.body, test)
		}
	}
}

// TestSessionForms: the account's session tokens are of one form everywhere, unless a fault has another.
func TestSessionForms(t *testing.T) {
	for form, want := range map[cosmosfake.SessionForm]string{
		cosmosfake.SessionVector: "0:1#2#1=2", cosmosfake.SessionSimple: "0:2", cosmosfake.SessionUnnumbered: "0:-1#2",
	} {
		s := startServer(t, cosmosfake.Options{Session: form})
		c := rest{t, s}
		c.makeOrders(1)
		written := c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
		for what, got := range map[string]response{
			"a write": written, "a page": c.feed("0", ""), "304": c.feed("0", `"2"`),
			"a read": c.must(200, "GET", docs+"/1", "", pkH, `["a"]`, "x-ms-session-token", want),
		} {
			if token := got.header.Get("x-ms-session-token"); token != want {
				t.Errorf("%s: got %s, want %s", what, token, want)
			}
		}
		later := strings.Replace(want, "2", "9", 1)
		if got := c.do("GET", docs+"/1", "", pkH, `["a"]`, "x-ms-session-token", later); got.status != 404 || got.substatus() != "1002" {
			t.Errorf("a session %s: got %d/%s, want 404/1002", later, got.status, got.substatus())
		}
		s.SetHook(func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Session: cosmosfake.SessionSimple} })
		if got := c.feed("0", "").header.Get("x-ms-session-token"); got != "0:2" {
			t.Errorf("a fault: got %s, want 0:2", got)
		}
	}
}
