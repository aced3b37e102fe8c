package cosmosfake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// once answers the first request of the verb with a fault.
func once(verb string, f cosmosfake.Fault) cosmosfake.Hook {
	done := make(chan struct{}, 1)
	return func(r *http.Request) *cosmosfake.Fault {
		if r.Method != verb {
			return nil
		}
		select {
		case done <- struct{}{}:
			return &f
		default:
			return nil
		}
	}
}

func TestHook(t *testing.T) {
	const body = `{"id":"1","pk":"a"}`
	tests := []struct {
		name  string
		fault cosmosfake.Fault
		want  int // of the first attempt; 0 is a connection that broke
		then  int // of the second
	}{
		{"none", cosmosfake.Fault{}, 201, 409},
		{"delay", cosmosfake.Fault{Delay: time.Millisecond}, 201, 409},
		{"dropped before", cosmosfake.Fault{Drop: cosmosfake.DropBefore}, 0, 201},
		{"dropped after", cosmosfake.Fault{Drop: cosmosfake.DropAfter}, 0, 409},
		{"status", cosmosfake.Fault{Status: 429, Substatus: 3200, Message: "slow down"}, 429, 201},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := startServer(t, cosmosfake.Options{})
			c := rest{t, s}
			c.makeOrders(1)
			s.SetHook(once("POST", test.fault))
			got := 0
			res, err := s.Client().Do(c.request("POST", docs, body, pkH, `["a"]`))
			if err == nil {
				got = res.StatusCode
				if sub := res.Header.Get("x-ms-substatus"); test.fault.Substatus != 0 && sub != "3200" {
					t.Errorf("got substatus %q, want 3200", sub)
				}
				if err := res.Body.Close(); err != nil {
					t.Error(err)
				}
			}
			if got != test.want {
				t.Errorf("got %d (%v), want %d", got, err, test.want)
			}
			if again := c.do("POST", docs, body, pkH, `["a"]`); again.status != test.then {
				t.Errorf("second attempt: got %d, want %d", again.status, test.then)
			}
		})
	}
}

func TestHookBehind(t *testing.T) {
	s, c := newFeed(t)
	s.SetHook(once("GET", cosmosfake.Fault{Behind: 4}))
	if got := c.feed("0", ""); ids(t, got) != "1@2" || got.newest(t) != 2 {
		t.Errorf("got %q newest %d, want the state at 2", ids(t, got), got.newest(t))
	}
	if got := c.feed("0", `"5"`); ids(t, got) != "3@6" {
		t.Errorf("got %q, want the newest replica again", ids(t, got))
	}
}

func TestLedger(t *testing.T) {
	var ledger memoryLedger
	now := time.Date(2026, 11, 20, 10, 15, 0, 123456789, time.UTC)
	s := startServer(t, cosmosfake.Options{Ledger: &ledger, Clock: func() time.Time { return now }})
	c := rest{t, s}
	c.makeOrders(2)
	const document = `{"id":"1","_ts":5,"pk":1.0}`
	etag := c.upsert(`[1]`, document).header.Get("etag")
	c.must(204, "DELETE", docs+"/1", "", pkH, `[1]`)
	entries := ledger.entries(t)
	id := entries[1].Range
	if _, err := s.Failover(cosmosfake.Range{Database: "shop", Container: "orders", ID: id}, 1); err != nil {
		t.Fatal(err)
	}
	entries = ledger.entries(t)
	wrote, deleted, failed := entries[1], entries[2], entries[3]
	ranges, err := s.Ranges("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	span := ranges[id[0]-'0'].Span
	want := cosmosfake.Entry{
		Op: "upsert", Container: "shop.orders", RID: collRID(t, c), Range: id, Min: span.Min, Max: span.Max, Config: 1, LSN: 2,
		Time: now, PK: "[1]", ID: "1", SHA256: hash([]byte(`{"id":"1","pk":1.0}`)), ETag: etag,
	}
	if !reflect.DeepEqual(wrote, want) {
		t.Errorf("got %+v, want %+v", wrote, want)
	}
	want.Op, want.LSN, want.SHA256, want.ETag = "delete", 3, "", ""
	if !reflect.DeepEqual(deleted, want) {
		t.Errorf("got %+v, want %+v", deleted, want)
	}
	want.Op, want.Config, want.LSN, want.UndoneFrom, want.PK, want.ID = "failover", 2, 0, 3, "", ""
	if !reflect.DeepEqual(failed, want) {
		t.Errorf("got %+v, want %+v", failed, want)
	}
	if got := c.must(200, "GET", docs+"/1", "", pkH, `[1]`); systemOf(t, got.body).TS != now.Unix() || got.header.Get("Date") != "Fri, 20 Nov 2026 10:15:00 GMT" {
		t.Errorf("got %s at %s, want the clock's seconds", got.body, got.header.Get("Date"))
	}
}

// TestLedgerFails: what is not in the ledger was not done.
func TestLedgerFails(t *testing.T) {
	var ledger memoryLedger
	s := startServer(t, cosmosfake.Options{Ledger: &ledger})
	c := rest{t, s}
	c.makeOrders(1)
	ledger.err = errors.New("disk is full")
	if got := c.do("POST", docs, `{"id":"1","pk":"a"}`, pkH, `["a"]`); got.status != 500 || !strings.Contains(string(got.body), "disk is full") {
		t.Errorf("got %d %s, want 500 with the reason", got.status, got.body)
	}
	if _, err := s.Failover(orders0, 0); err == nil {
		t.Error("failover without ledger: got no error")
	}
	if got := c.feed("0", ""); got.status != 304 || got.newest(t) != 1 {
		t.Errorf("got %d newest %d, want 304 1", got.status, got.newest(t))
	}
	ledger.err = nil
	c.must(201, "POST", docs, `{"id":"1","pk":"a"}`, pkH, `["a"]`)
}

func TestAdmin(t *testing.T) {
	s, c := newFeed(t)
	post := func(verb, body, key string) response {
		t.Helper()
		return c.do("POST", "/_admin/"+verb, body, "x-ms-cosmosfake-key", key)
	}
	const where = `{"database":"shop","container":"orders","range":"0"`
	tests := []struct {
		verb, body, key string
		want            int
		newest, config  int64
	}{
		{"bump", where + `,"lsns":4}`, s.Key(), 200, 10, 1},
		{"failover", where + `,"lsns":5}`, s.Key(), 200, 5, 2},
		{"lag", where + `,"lsns":1,"requests":1}`, s.Key(), 200, 5, 2},
		{"clear-lag", where + `}`, s.Key(), 200, 5, 2},
		{"bump", where + `,"lsns":-1}`, s.Key(), 400, 0, 0},
		{"bump", where + `,"lsn":1}`, s.Key(), 400, 0, 0},
		{"failover", where + `,"lsns":50}`, s.Key(), 400, 0, 0},
		{"bump", `{"database":"shop","container":"none","range":"0"}`, s.Key(), 404, 0, 0},
		{"bump", `{"database":"shop","container":"orders","range":"4"}`, s.Key(), 410, 0, 0},
		{"split", where + `}`, s.Key(), 400, 0, 0}, // all documents have one key
		{"explode", where + `}`, s.Key(), 400, 0, 0},
		{"bump", where + `}`, "wrong", 401, 0, 0},
	}
	for _, test := range tests {
		got := post(test.verb, test.body, test.key)
		var state cosmosfake.RangeState
		if got.status == 200 {
			if err := json.Unmarshal(got.body, &state); err != nil {
				t.Fatal(err)
			}
		}
		if got.status != test.want || state.Newest != test.newest || state.Config != test.config {
			t.Errorf("%s %s: got %d %s, want %d newest %d config %d", test.verb, test.body, got.status, got.body, test.want, test.newest, test.config)
		}
	}
}

// notify tells when the program printed its endpoint.
type notify struct{ line chan string }

func (n notify) Write(b []byte) (int, error) {
	n.line <- string(b)
	return len(b), nil
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	o := cosmosfake.RunOptions{Addr: "127.0.0.1:0", Certificate: filepath.Join(dir, "ca.pem"), Ledger: filepath.Join(dir, "ledger")}
	ctx, stop := context.WithCancel(context.Background())
	out := notify{make(chan string, 1)}
	ended := make(chan error, 1)
	go func() { ended <- cosmosfake.Run(ctx, o, out) }()
	select {
	case line := <-out.line:
		if !strings.HasPrefix(line, "endpoint https://127.0.0.1:") {
			t.Errorf("got %q", line)
		}
	case err := <-ended:
		t.Fatal(err)
	}
	pem, err := os.ReadFile(o.Certificate)
	if err != nil || !bytes.Contains(pem, []byte("BEGIN CERTIFICATE")) {
		t.Errorf("certificate: got %q (%v)", pem, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
