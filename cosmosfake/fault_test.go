package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestTornBody: a client gets the first bytes of what it asked for, and an error instead of an end.
func TestTornBody(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"1","pk":"a","text":"`+strings.Repeat("x", 300<<10)+`"}`)
	transport := s.Client().Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = true
	defer transport.CloseIdleConnections()
	for protocol, client := range map[string]*http.Client{"HTTP/1.1": s.Client(), "HTTP/2.0": {Transport: transport}} {
		for name, request := range map[string]func() *http.Request{
			"of known length": func() *http.Request { return c.request("GET", docs+"/1", "", pkH, `["a"]`) },
			"streamed":        func() *http.Request { return c.request("GET", docs, "", "A-IM", "Incremental Feed", rangH, "0") },
			"refusal":         func() *http.Request { return c.request("GET", docs+"/2", "", pkH, `["a"]`) },
		} {
			whole := c.send(request())
			for _, tear := range []int64{-1, 1, 40, 100 << 10} {
				if tear >= int64(len(whole.body)) {
					continue
				}
				s.SetHook(once("GET", cosmosfake.Fault{Tear: tear}))
				res, err := client.Do(request())
				if err != nil {
					t.Fatalf("%s, %s, torn after %d: %v, want headers", protocol, name, tear, err)
				}
				got, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if want := whole.body[:max(tear, 0)]; err == nil || string(got) != string(want) && name != "refusal" || len(got) != len(want) || res.Proto != protocol {
					t.Errorf("%s, %s, torn after %d: got %d bytes by %s, %v, want %d and an error", protocol, name, tear, len(got), res.Proto, err, len(want))
				}
			}
		}
	}
	// What was asked for is done.
	s.SetHook(once("PUT", cosmosfake.Fault{Tear: 5}))
	if res, err := s.Client().Do(c.request("PUT", docs+"/1", `{"id":"1","pk":"a","n":2}`, pkH, `["a"]`)); err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil {
			t.Error("got a whole answer, want a torn one")
		}
	}
	if got := c.must(200, "GET", docs+"/1", "", pkH, `["a"]`); !strings.Contains(string(got.body), `"n":2`) {
		t.Errorf("got %s, want it replaced", got.body)
	}
}

// TestHookThatFails: whoever wrote it is told, in the answer.
func TestHookThatFails(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	for name, test := range map[string]struct {
		hook cosmosfake.Hook
		want string
	}{
		"panics":       {func(*http.Request) *cosmosfake.Fault { panic("no such map") }, "the hook panicked: no such map"},
		"nonsense":     {func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Status: 9999} }, "status is 9999, want 400 to 599"},
		"no failure":   {func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Status: 200} }, "status is 200"},
		"message only": {func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Message: "oops"} }, "go with a status"},
		"late":         {func(*http.Request) *cosmosfake.Fault { return &cosmosfake.Fault{Delay: -1} }, "delay is -1ns"},
		"between panics": {func(*http.Request) *cosmosfake.Fault {
			return &cosmosfake.Fault{Newest: cosmosfake.NewestAfter, Between: func() { panic("between") }}
		}, "a handler panicked: between"},
	} {
		s.SetHook(test.hook)
		got := c.feed("0", "")
		if got.status != 500 || !strings.Contains(string(got.body), test.want) {
			t.Errorf("%s: got %d %s, want 500 with %q", name, got.status, got.body, test.want)
		}
		s.SetHook(nil)
		if got := c.feed("0", ""); got.status != 200 {
			t.Errorf("%s: got %d %s afterwards, want 200", name, got.status, got.body)
		}
	}
}

// TestHookThatAborts ends the connection as any handler of net/http does.
func TestHookThatAborts(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Hook: func(*http.Request) *cosmosfake.Fault { panic(http.ErrAbortHandler) }})
	if res, err := s.Client().Do(rest{t, s}.request("GET", "/dbs", "")); err == nil {
		_ = res.Body.Close()
		t.Errorf("got %s, want a broken connection", res.Status)
	}
}

func TestBadFaultRules(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	refuse := cosmosfake.Fault{Status: 503}
	for name, r := range map[string]cosmosfake.FaultRule{
		"nothing":     {},
		"status":      {Fault: cosmosfake.Fault{Status: 600}},
		"count":       {Count: -1, Fault: refuse},
		"probability": {Probability: 1.5, Fault: refuse},
		"drop":        {Fault: cosmosfake.Fault{Drop: 3}},
		"session":     {Fault: cosmosfake.Fault{Session: 3}},
		"newest":      {Fault: cosmosfake.Fault{Newest: -1}},
		"behind":      {Fault: cosmosfake.Fault{Behind: -1}},
		"operation":   {Fault: cosmosfake.Fault{Operations: map[int]int{0: 200}}},
		"retry after": {Fault: cosmosfake.Fault{Status: 429, RetryAfter: -1}},
	} {
		if err := s.AddFault(r); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if got := s.Faults(); len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
}

// TestFaultRules: method, path, count and order say which requests meet which fault.
func TestFaultRules(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	for _, r := range []cosmosfake.FaultRule{
		{Method: "get", Path: "/docs/", Count: 2, Fault: cosmosfake.Fault{Status: 429, Substatus: 3200, Message: "slow down", RetryAfter: 70 * time.Millisecond}},
		{Path: "/dbs/*/docs*", Fault: cosmosfake.Fault{Status: 503}},
	} {
		if err := s.AddFault(r); err != nil {
			t.Fatal(err)
		}
	}
	var got []int
	for _, q := range [][2]string{
		{"GET", docs + "/1"}, {"GET", coll}, {"PUT", docs + "/1"}, {"GET", docs + "/1"}, {"GET", docs + "/1"}, {"GET", coll},
	} {
		res := c.do(q[0], q[1], "", pkH, `["a"]`)
		if res.status == 429 && (res.header.Get("x-ms-retry-after-ms") != "70" || res.substatus() != "3200" || !strings.Contains(string(res.body), `"TooManyRequests"`)) {
			t.Errorf("got %v %s, want the fault's words", res.header, res.body)
		}
		got = append(got, res.status)
	}
	if want := []int{429, 200, 503, 429, 503, 200}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if states := s.Faults(); len(states) != 2 || states[0].Met != 2 || states[1].Met != 2 {
		t.Errorf("got %+v, want both met twice", states)
	}
	s.ClearFaults()
	c.must(200, "GET", docs+"/1", "", pkH, `["a"]`)
	// A hook's answer goes before the rules.
	if err := s.AddFault(cosmosfake.FaultRule{Fault: cosmosfake.Fault{Status: 503}}); err != nil {
		t.Fatal(err)
	}
	s.SetHook(once("GET", cosmosfake.Fault{Status: 410}))
	c.must(410, "GET", docs+"/1", "", pkH, `["a"]`)
	c.must(503, "GET", docs+"/1", "", pkH, `["a"]`)
}

// TestFaultSeed: the same seed lets the same requests meet the fault, another seed others.
func TestFaultSeed(t *testing.T) {
	draw := func(seed uint64) string {
		s := startServer(t, cosmosfake.Options{})
		c := rest{t, s}
		c.makeOrders(1)
		if err := s.AddFault(cosmosfake.FaultRule{Path: "/colls/orders", Probability: 0.5, Seed: seed, Fault: cosmosfake.Fault{Status: 503}}); err != nil {
			t.Fatal(err)
		}
		var met strings.Builder
		for range 64 {
			fmt.Fprint(&met, c.do("GET", coll, "").status/100)
		}
		return met.String()
	}
	one, again, other := draw(1), draw(1), draw(2)
	if one != again || one == other || strings.Count(one, "5") < 16 || strings.Count(one, "5") > 48 {
		t.Errorf("got %s, %s, and %s of another seed", one, again, other)
	}
}

// post sends an admin request.
func (c rest) post(verb, body string) response {
	c.t.Helper()
	return c.do("POST", "/_admin/"+verb, body, "x-ms-cosmosfake-key", c.s.Key())
}

func TestAdminFaults(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	const rule = `{"method":"GET","path":"/docs/","count":1,"status":429,"substatus":3200,"message":"slow","retryAfter":"50ms","seed":7,"probability":1,"delay":"1ms"}`
	got := c.post("fault", rule)
	var list struct {
		Faults []map[string]any `json:"faults"`
	}
	if err := json.Unmarshal(got.body, &list); err != nil || got.status != 200 || len(list.Faults) != 1 || list.Faults[0]["met"] != 0.0 || list.Faults[0]["retryAfter"] != "50ms" {
		t.Fatalf("got %d %s, want the rule", got.status, got.body)
	}
	if got := c.do("GET", docs+"/1", "", pkH, `["a"]`); got.status != 429 || got.header.Get("x-ms-retry-after-ms") != "50" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	c.must(200, "GET", docs+"/1", "", pkH, `["a"]`)
	if got := c.post("faults", ""); !strings.Contains(string(got.body), `"met":1`) {
		t.Errorf("got %s, want it met once", got.body)
	}
	c.post("clear-faults", "")
	for _, torn := range []string{`{"tear":5}`, `{"tear":-1}`, `{"drop":"before"}`, `{"drop":"after"}`} {
		if got := c.post("fault", torn); got.status != 200 {
			t.Fatalf("%s: got %d %s", torn, got.status, got.body)
		}
		res, err := s.Client().Do(c.request("GET", docs+"/1", "", pkH, `["a"]`))
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: got a whole answer", torn)
		}
		if got := c.post("clear-faults", "{}"); string(got.body) != `{"faults":[]}` {
			t.Errorf("got %s, want none left", got.body)
		}
	}
	c.post("fault", `{"method":"GET","path":"/docs","session":"simple","behind":1,"newest":"before","configBehind":1}`)
	if got := c.feed("0", ""); got.header.Get("x-ms-session-token") != "0:1" {
		t.Errorf("got session token %q, want the older form, one LSN behind", got.header.Get("x-ms-session-token"))
	}
	c.post("clear-faults", "")
	c.post("fault", `{"path":"/docs","session":"unnumbered","empty":true,"date":"-1h"}`)
	if got := c.feed("0", ""); got.status != 200 || got.header.Get("x-ms-session-token") != "0:-1#2" || len(got.page(t).Documents) != 0 {
		t.Errorf("got %d %v %s, want an empty page without a configuration number", got.status, got.header, got.body)
	}
	c.post("clear-faults", "")
	for body, want := range map[string]string{
		`{}`:                             "it does nothing",
		`{"status":9999}`:                "status is 9999, want 400 to 599",
		`{"drop":"during","status":503}`: `drop is \"during\", want one of [\"before\" \"after\"]`,
		`{"delay":5}`:                    "5 is no duration",
		`{"delay":"soon"}`:               "is no duration",
		`{"statuss":503}`:                `it has \"statuss\", and may have method, path, count, probability, seed, delay, drop, status`,
		`{"status":"503"}`:               "status is of the type string, want a number",
		`[1]`:                            "the value is of the type array, want an object",
		`{"status":503`:                  "unexpected end of JSON input",
	} {
		got := c.post("fault", body)
		if got.status != 400 || !strings.Contains(string(got.body), want) || strings.Contains(string(got.body), "adminF") || strings.Contains(string(got.body), "Go ") {
			t.Errorf("%s: got %d %s, want 400 with %q", body, got.status, got.body, want)
		}
	}
}

// TestAdvance: documents die by the service's clock, and requests are dated by everybody else's.
func TestAdvance(t *testing.T) {
	dir := t.TempDir() + "/data"
	s := startServer(t, cosmosfake.Options{Dir: dir})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/pk"]},"defaultTtl":3600}`)
	c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	c.must(200, "GET", docs+"/1", "", pkH, `["a"]`)
	got := c.post("advance-clock", `{"by":"2h"}`)
	var now struct{ Now time.Time }
	if err := json.Unmarshal(got.body, &now); err != nil || got.status != 200 || time.Until(now.Now) < time.Hour {
		t.Fatalf("got %d %s, want a time in two hours", got.status, got.body)
	}
	c.must(404, "GET", docs+"/1", "", pkH, `["a"]`)
	written := systemOf(t, c.upsert(`["a"]`, `{"id":"2","pk":"a"}`).body)
	if written.TS < now.Now.Unix() {
		t.Errorf("got _ts %d, want %d or later", written.TS, now.Now.Unix())
	}
	for _, body := range []string{`{"by":"-1s"}`, `{"by":"1000000h"}`} {
		if got := c.post("advance-clock", body); got.status != 400 {
			t.Errorf("%s: got %d %s, want 400", body, got.status, got.body)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := startServer(t, cosmosfake.Options{Dir: dir}) // goes on two hours ahead
	c = rest{t, again}
	if got := systemOf(t, c.upsert(`["a"]`, `{"id":"3","pk":"a"}`).body); got.TS < written.TS {
		t.Errorf("got _ts %d, want %d or later", got.TS, written.TS)
	}
}

// TestAdminBodies: an empty body is {}, and a property that a verb has not is refused with those that it has.
func TestAdminBodies(t *testing.T) {
	s := startServer(t, cosmosfake.Options{SecondRegion: "West US", Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(2)
	const where = `{"database":"shop","container":"orders"`
	for _, test := range []struct {
		verb, body string
		status     int
		want       string
	}{
		{"faults", "", 200, `{"faults":[]}`},
		{"faults", " ", 200, `{"faults":[]}`},
		{"fail-region", "", 200, "{}"},
		{"replication", `{"lsns":2}`, 200, "{}"},
		{"replication", `{"lsns":-2}`, 400, "-2 LSNs behind"},
		{"ranges", where + `}`, 200, `"range":"1"`},
		{"ranges", "", 404, "list ranges of ."},
		{"bump", where + `,"range":"0","lsn":1}`, 400, `it has \"lsn\", and may have database, container, range, lsns`},
		{"bump", where + `,"range":0}`, 400, "the property range is of the type number, want a string"},
		{"faults", `{"x":1}`, 400, `it has \"x\", and may have no property`},
		{"merge", where + `,"ranges":["0","1"]}`, 200, `"range":"2"`},
		{"split", where + `,"range":"2","at":["10"]}`, 200, `"range":"4"`},
		{"purge", where + `}`, 200, `"range":"3"`},
		{"throughput", where + `,"throughput":-1}`, 400, "throughput is -1"},
		{"explode", "", 400, "knows POST advance-clock, bump, clear-faults"},
	} {
		if got := c.post(test.verb, test.body); got.status != test.status || !strings.Contains(string(got.body), test.want) {
			t.Errorf("%s %s: got %d %s, want %d with %q", test.verb, test.body, got.status, got.body, test.status, test.want)
		}
	}
	c.must(403, "DELETE", coll, "") // the first region takes no writes since fail-region
}
