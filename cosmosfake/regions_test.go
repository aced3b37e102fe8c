package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// at sends a request to another endpoint of the account.
func (c rest) at(endpoint, method, path, body string, headers ...string) response {
	c.t.Helper()
	req := c.request(method, path, body, headers...)
	to, err := url.Parse(endpoint)
	if err != nil {
		c.t.Fatal(err)
	}
	req.URL.Host, req.Host = to.Host, to.Host
	return c.send(req)
}

// TestSecondRegion reads from a region that lags, which then takes over: what it did not have is lost, and its LSNs
// are used again.
func TestSecondRegion(t *testing.T) {
	s := startServer(t, cosmosfake.Options{SecondRegion: "West US"})
	c := rest{t, s}
	c.makeOrders(1)
	for i := range 4 { // 2 to 5
		c.upsert(`["a"]`, fmt.Sprintf(`{"id":"%d","pk":"a"}`, i))
	}
	first, second := s.URL(), s.SecondURL()
	writable := func(from string) (names []string) {
		t.Helper()
		var account struct {
			Writable, Readable []struct {
				Name     string
				Endpoint string `json:"databaseAccountEndpoint"`
			}
		}
		var raw map[string]json.RawMessage
		if err := json.Unmarshal(c.at(from, "GET", "/", "").body, &raw); err != nil {
			t.Fatal(err)
		}
		for name, into := range map[string]any{"writableLocations": &account.Writable, "readableLocations": &account.Readable} {
			if err := json.Unmarshal(raw[name], into); err != nil {
				t.Fatal(err)
			}
		}
		for _, one := range append(account.Writable, account.Readable...) {
			names = append(names, one.Name+" "+one.Endpoint)
		}
		return names
	}
	east, west := cosmosfake.DefaultRegion+" "+first, "West US "+second
	for _, from := range []string{first, second} {
		if got := fmt.Sprint(writable(from)); got != fmt.Sprint([]string{east, east, west}) {
			t.Errorf("account from %s: got %s", from, got)
		}
	}
	post := func(to, id string) response {
		return c.at(to, "POST", docs, `{"id":"`+id+`","pk":"a"}`, pkH, `["a"]`)
	}
	if got := post(second, "x"); got.status != 403 || got.substatus() != "3" {
		t.Errorf("a write to the second region: got %d/%s, want 403/3", got.status, got.substatus())
	}
	feed := []string{"A-IM", "Incremental Feed", rangH, "0"}
	if err := s.SetReplication(2); err != nil {
		t.Fatal(err)
	}
	if got := c.at(second, "GET", docs, "", feed...); ids(t, got) != "0@2 1@3" || got.newest(t) != 3 {
		t.Errorf("the second region: got %q newest %d, want it two behind", ids(t, got), got.newest(t))
	}
	if err := s.FailOverRegion(2); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(writable(second)); got != fmt.Sprint([]string{west, west, east}) {
		t.Errorf("account after the failover: got %s", got)
	}
	if got := post(first, "x"); got.status != 403 {
		t.Errorf("a write to the first region: got %d, want 403", got.status)
	}
	if got := post(second, "x"); got.status != 201 {
		t.Errorf("a write to the second region: got %d, want 201", got.status)
	}
	if got := c.at(second, "GET", docs, "", feed...); ids(t, got) != "0@2 1@3 x@4" || got.header.Get("x-ms-session-token") != "0:2#4#1=4" {
		t.Errorf("after the failover: got %q with %s", ids(t, got), got.header.Get("x-ms-session-token"))
	}
	if err := startServer(t, cosmosfake.Options{}).FailOverRegion(0); err == nil {
		t.Error("an account with one region: got no error")
	}
}

// TestRestoreContainer: the same resource id, and LSNs that begin again.
func TestRestoreContainer(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Retention: time.Hour})
	c := rest{t, s}
	c.makeOrders(2)
	for i := range 6 {
		c.upsert(fmt.Sprintf("[%d]", i%2), fmt.Sprintf(`{"id":"%d","pk":%d}`, i/4, i%2))
	}
	before := collRID(t, c)
	live := len(c.all("0")) + len(c.all("1"))
	if err := s.RestoreContainer("shop", "orders"); err == nil {
		t.Error("a container that is there: got no error")
	}
	c.must(204, "DELETE", coll, "")
	if err := s.RestoreContainer("shop", "orders"); err != nil {
		t.Fatal(err)
	}
	if after := collRID(t, c); after != before {
		t.Errorf("got resource id %s, want %s", after, before)
	}
	restored := 0
	for _, r := range rangesOf(t, s) {
		restored += len(c.all(r.ID))
		if r.Items > 0 && r.Newest != int64(r.Items) || r.Config != 1 {
			t.Errorf("got %+v, want LSNs from 1", r)
		}
	}
	if restored != live {
		t.Errorf("got %d bytes of ids, want %d", restored, live)
	}
	c.upsert(`[0]`, `{"id":"new","pk":0}`)
	if err := s.RestoreContainer("shop", "none"); err == nil {
		t.Error("a container that never was: got no error")
	}
}

// TestEndpointsByName: whoever comes by a name is sent to both regions by that name.
func TestEndpointsByName(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Addr: "0.0.0.0:0", SecondRegion: "West US", Hosts: []string{"emulator.example"}})
	port := func(address string) string { return address[strings.LastIndex(address, ":"):] }
	for host, want := range map[string][2]string{
		"emulator.example:4711":                              {"https://emulator.example:4711/", "https://emulator.example" + port(s.SecondURL())},
		"localhost" + strings.TrimSuffix(port(s.URL()), "/"): {s.URL(), s.SecondURL()},
	} {
		r := rest{t, s}.request("GET", "/", "")
		r.Host = host
		got := rest{t, s}.send(r)
		var account struct {
			Regions []struct {
				Endpoint string `json:"databaseAccountEndpoint"`
			} `json:"readableLocations"`
		}
		if err := json.Unmarshal(got.body, &account); err != nil || len(account.Regions) != 2 {
			t.Fatalf("%s: got %s, %v", host, got.body, err)
		}
		if first, second := account.Regions[0].Endpoint, account.Regions[1].Endpoint; first != want[0] || second != want[1] {
			t.Errorf("%s: got %s and %s, want %s and %s", host, first, second, want[0], want[1])
		}
	}
}

// TestRegionSurvives: the region that took over takes the writes after a restart too, and another failover brings the first
// one back.
func TestRegionSurvives(t *testing.T) {
	options := cosmosfake.Options{SecondRegion: "West US", Dir: t.TempDir()}
	s, err := cosmosfake.New(options)
	if err != nil {
		t.Fatal(err)
	}
	c := rest{t, s}
	c.makeOrders(1)
	if err := s.FailOverRegion(0); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, options)
	c.s = s
	write := func(first, second int, token string) {
		t.Helper()
		if got := c.do("POST", docs, `{"id":"1","pk":"a"}`, pkH, `["a"]`, "x-ms-documentdb-is-upsert", "True"); got.status != first {
			t.Errorf("a write to the first region: got %d, want %d", got.status, first)
		}
		got := c.at(s.SecondURL(), "POST", docs, `{"id":"1","pk":"a"}`, pkH, `["a"]`, "x-ms-documentdb-is-upsert", "True")
		if got.status != second {
			t.Errorf("a write to the second region: got %d, want %d", got.status, second)
		}
		if got := c.feed("0", "").header.Get("x-ms-session-token"); got != token {
			t.Errorf("got session %s, want %s", got, token)
		}
	}
	write(403, 201, "0:2#2#1=2")
	if err := s.FailOverRegion(1); err != nil {
		t.Fatal(err)
	}
	write(201, 403, "0:3#2#1=2")
}
