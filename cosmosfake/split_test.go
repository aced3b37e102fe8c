package cosmosfake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// keyed has a document for each of n keys, on one range.
func keyed(t *testing.T, n int, o cosmosfake.Options) (*cosmosfake.Server, rest) {
	t.Helper()
	s := startServer(t, o)
	c := rest{t, s}
	c.makeOrders(1)
	for i := range n {
		c.upsert(fmt.Sprintf("[%d]", i), fmt.Sprintf(`{"id":"%d","pk":%d}`, i, i))
	}
	return s, c
}

func rangesOf(t *testing.T, s *cosmosfake.Server) []cosmosfake.RangeState {
	t.Helper()
	ranges, err := s.Ranges("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	return ranges
}

// listed is a range as /pkranges shows it.
type listed struct {
	ID      string   `json:"id"`
	Min     string   `json:"minInclusive"`
	Max     string   `json:"maxExclusive"`
	Parents []string `json:"parents"`
}

func (c rest) ranges(etag string) (list []listed, next string) {
	c.t.Helper()
	got := c.do("GET", coll+"/pkranges", "", "A-IM", "Incremental Feed", "If-None-Match", etag)
	if got.status == 200 {
		var body struct{ PartitionKeyRanges []listed }
		if err := json.Unmarshal(got.body, &body); err != nil {
			c.t.Fatal(err)
		}
		list = body.PartitionKeyRanges
	}
	return list, got.header.Get("etag")
}

func TestSplit(t *testing.T) {
	var ledger memoryLedger
	s, c := keyed(t, 20, cosmosfake.Options{Retention: time.Hour, Ledger: &ledger}) // 2 to 21
	c.must(204, "DELETE", docs+"/3", "", pkH, `[3]`)                                // 22
	c.upsert(`[4]`, `{"id":"4","pk":4,"n":2}`)                                      // 23
	_, before := c.ranges("")
	children, err := s.Split(orders0, cosmosfake.SplitOptions{Completing: 1, Migrating: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(children) != 2 || children[0].Items+children[1].Items != 19 || children[0].Items < 9 || children[0].Items > 10 {
		t.Fatalf("got %+v, want two halves of 19 documents", children)
	}
	for _, child := range children {
		if child.Newest != 23 || child.Config != 1 {
			t.Errorf("got %+v, want it to go on at 23 with configuration 1", child)
		}
	}
	for _, want := range []string{"1007", "1002", "1002"} {
		if got := c.feed("0", `"5"`); got.status != 410 || got.substatus() != want {
			t.Errorf("the parent: got %d/%s, want 410/%s", got.status, got.substatus(), want)
		}
	}
	list, after := c.ranges(before)
	want := []listed{{"1", "", children[0].Span.Max, []string{"0"}}, {"2", children[1].Span.Min, "FF", []string{"0"}}}
	if fmt.Sprint(list) != fmt.Sprint(want) {
		t.Errorf("got ranges %v, want %v", list, want)
	}
	if list, again := c.ranges(after); list != nil || again != after {
		t.Errorf("ranges after %s: got %v and %s, want none", after, list, again)
	}
	var seen, events []string
	for _, id := range []string{"1", "2"} {
		if got := c.feed(id, ""); got.status != 410 || got.substatus() != "1008" {
			t.Errorf("range %s: got %d/%s, want 410/1008", id, got.status, got.substatus())
		}
		seen = append(seen, strings.Fields(c.all(id))...)
		for _, e := range versionsOf(t, c.versions(id, `"1"`)) {
			events = append(events, e.String())
		}
		if got := c.feed(id, `"23"`); got.status != 304 || got.newest(t) != 23 {
			t.Errorf("range %s with the parent's etag: got %d newest %d, want 304 23", id, got.status, got.newest(t))
		}
	}
	if len(seen) != 19 || !slices.Contains(seen, "4@23") || len(events) != 22 || !slices.Contains(events, "delete 3@22<5") {
		t.Errorf("got %v and %v, want 19 documents and 22 events under the parent's LSNs", seen, events)
	}
	c.upsert(`[99]`, `{"id":"99","pk":99}`)
	if ranges := rangesOf(t, s); ranges[0].Newest+ranges[1].Newest != 47 {
		t.Errorf("got %+v, want one of them at 24", ranges)
	}
	var lines []cosmosfake.Entry
	for _, e := range ledger.entries(t) {
		if e.Op == cosmosfake.OpSplit {
			lines = append(lines, e)
		}
	}
	if len(lines) != 2 || lines[0].Range != "1" || lines[1].Range != "2" || lines[1].LSN != 23 || !slices.Equal(lines[1].Parents, []string{"0"}) {
		t.Errorf("ledger: got %+v", lines)
	}
	if _, err := s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: "1"}, cosmosfake.SplitOptions{At: []string{"3F"}}); err == nil {
		t.Error("a cut outside of the range: got no error")
	}
	if _, err := s.Split(orders0, cosmosfake.SplitOptions{}); err == nil {
		t.Error("a range that is gone: got no error")
	}
	// A reader that knows only the first layout learns from the parents that 1 is gone too.
	if _, err := s.Split(cosmosfake.Range{Database: "shop", Container: "orders", ID: "1"}, cosmosfake.SplitOptions{At: []string{"01", "02"}}); err != nil {
		t.Fatal(err)
	}
	list, _ = c.ranges(before)
	if len(list) != 4 || !slices.Equal(list[0].Parents, []string{"0", "1"}) || list[3].ID != "2" {
		t.Errorf("got ranges %v, want 3, 4, 5 with parents 0 and 1, and 2", list)
	}
}

func TestSplitOfNothing(t *testing.T) {
	s, _ := keyed(t, 0, cosmosfake.Options{})
	children, err := s.Split(orders0, cosmosfake.SplitOptions{})
	if err != nil || children[0].Span.Max != "20000000" {
		t.Errorf("got %+v (%v), want a cut in the middle", children, err)
	}
}

func TestSplitBySize(t *testing.T) {
	s := startServer(t, cosmosfake.Options{SplitBytes: 2000})
	c := rest{t, s}
	c.makeOrders(1)
	for i := range 100 {
		c.upsert(fmt.Sprintf("[%d]", i), fmt.Sprintf(`{"id":"%d","pk":%d,"filler":"%s"}`, i, i, strings.Repeat("x", 100)))
	}
	items := 0
	ranges := rangesOf(t, s)
	for _, r := range ranges {
		items += r.Items
		if r.Items > 20 {
			t.Errorf("got %+v, want no more than fits", r)
		}
	}
	if len(ranges) < 7 || items != 100 {
		t.Errorf("got %d ranges with %d documents, want 7 or more with 100", len(ranges), items)
	}
	before := len(ranges)
	for i := range 100 { // one key cannot be split
		c.upsert(`[1]`, fmt.Sprintf(`{"id":"%d","pk":1,"filler":"%s"}`, i, strings.Repeat("x", 100)))
	}
	if after := len(rangesOf(t, s)); after > before+2 {
		t.Errorf("got %d ranges, want few more than %d", after, before)
	}
}

func TestMerge(t *testing.T) {
	var ledger memoryLedger
	clock := newClock()
	s, c := keyed(t, 10, cosmosfake.Options{Retention: time.Hour, Ledger: &ledger, Clock: clock.now})
	if _, err := s.Split(orders0, cosmosfake.SplitOptions{}); err != nil {
		t.Fatal(err)
	}
	clock.move(time.Second)
	c.upsert(`[1]`, `{"id":"1","pk":1,"n":2}`)
	c.must(200, "POST", docs, batchOf(`{"id":"b1","pk":2}`, `{"id":"b2","pk":2}`),
		"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `[2]`)
	_, known := c.ranges("")
	state, err := s.Merge("shop", "orders", "1", "2")
	if err != nil {
		t.Fatal(err)
	}
	if state.ID != "3" || state.Span.String() != "-FF" || state.Config != 2 || state.Newest != 11 || state.Items != 12 {
		t.Errorf("got %+v, want range 3 of all, configuration 2, newest 11 and 12 documents", state)
	}
	feed := strings.Fields(c.all("3"))
	lsn := map[string]string{}
	for _, one := range feed {
		id, at, _ := strings.Cut(one, "@")
		lsn[id] = at
	}
	if len(lsn) != 12 || !strings.HasSuffix(feed[0], "@1") || !strings.HasSuffix(feed[11], "@11") || lsn["b1"] != lsn["b2"] {
		t.Errorf("got %v, want LSNs 1 to 11, one for the transaction", feed)
	}
	// What was written after the split is the newest.
	if last := []string{lsn["1"], lsn["b1"]}; !slices.Contains(last, "10") || !slices.Contains(last, "11") {
		t.Errorf("got %v, want what was written last under the last LSNs", feed)
	}
	if got := c.versions("3", "*"); got.status != 500 || !strings.Contains(string(got.body), "Partition has more than two children which is not supported") {
		t.Errorf("all versions: got %d %s, want 500 ever after", got.status, got.body)
	}
	const at = "Fri, 20 Nov 2026 10:00:01 GMT"
	if got := c.feed("3", "", "If-Modified-Since", at); got.status != 400 || !strings.Contains(string(got.body), "StartTime/IfModifiedSince is not currently supported with merged partitions.") {
		t.Errorf("from a time: got %d %s, want 400", got.status, got.body)
	}
	if got := c.feed("3", "", "If-Modified-Since", at, "x-ms-cosmos-sdk-supportedcapabilities", "3"); len(got.page(t).Documents) != 3 {
		t.Errorf("from a time, by a client that can: got %s, want 3 documents", got.body)
	}
	list, _ := c.ranges(known)
	if fmt.Sprint(list) != fmt.Sprint([]listed{{"3", "", "FF", []string{"0", "1", "2"}}}) {
		t.Errorf("got ranges %v", list)
	}
	entries := ledger.entries(t)
	if last := entries[len(entries)-1]; last.Op != cosmosfake.OpMerge || last.Config != 2 || last.LSN != 11 {
		t.Errorf("ledger: got %+v", last)
	}
	for _, ids := range [][]string{{"3"}, {"1", "2"}, {"3", "3"}, nil} {
		if _, err := s.Merge("shop", "orders", ids...); err == nil {
			t.Errorf("merge of %v: got no error", ids)
		}
	}
}

func TestThrottle(t *testing.T) {
	clock := newClock()
	s := startServer(t, cosmosfake.Options{Clock: clock.now, Throughput: 20})
	c := rest{t, s}
	c.makeOrders(2) // 10 RU/s each
	post := func(headers ...string) response {
		return c.do("POST", docs, `{"id":"1","pk":"a"}`, append(headers, pkH, `["a"]`, "x-ms-documentdb-is-upsert", "True")...)
	}
	id := post().header.Get(rangH) // 4.95 of 10
	if got := post("x-ms-cosmos-priority-level", "Low"); got.status != 200 {
		t.Errorf("low priority above the half: got %d", got.status)
	}
	if got := post("x-ms-cosmos-priority-level", "Low"); got.status != 429 {
		t.Errorf("low priority below the half: got %d, want 429", got.status)
	}
	if got := post(); got.status != 200 { // goes below zero: -4.85
		t.Errorf("high priority: got %d, want 200", got.status)
	}
	got := post()
	wait, err := strconv.Atoi(got.header.Get("x-ms-retry-after-ms"))
	if got.status != 429 || got.substatus() != "3200" || err != nil || wait < 480 || wait > 490 {
		t.Errorf("got %d/%s after %d ms, want 429/3200 and 485 ms", got.status, got.substatus(), wait)
	}
	if got := c.feed(id, ""); got.status != 429 {
		t.Errorf("feed of the same range: got %d, want 429", got.status)
	}
	other := map[string]string{"0": "1", "1": "0"}[id]
	if got := c.feed(other, ""); got.status != 304 {
		t.Errorf("feed of the other range: got %d, want 304", got.status)
	}
	clock.move(time.Duration(wait) * time.Millisecond)
	if got := post(); got.status != 200 {
		t.Errorf("after the wait: got %d, want 200", got.status)
	}
	if err := s.SetThroughput("shop", "orders", 0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
	}
}

// TestAzcosmosThroughSplits writes and reads through splits, by the service's own client: it gets every document.
func TestAzcosmosThroughSplits(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	client := newClient(t, s, s.Key(), nil)
	c := makeContainer(t, client, "/pk")
	ctx := context.Background()
	const n = 400
	var (
		all  sync.WaitGroup
		done atomic.Bool
	)
	all.Go(func() {
		defer done.Store(true)
		for i := range n {
			body := fmt.Appendf(nil, `{"id":"%d","pk":"%d"}`, i, i)
			if _, err := c.UpsertItem(ctx, azcosmos.NewPartitionKeyString(fmt.Sprint(i)), body, nil); err != nil {
				t.Error(err)
			}
		}
	})
	ranges, err := c.ReadFeedRanges(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen, splits, token := map[string]int{}, 0, (*string)(nil)
	for quiet := 0; quiet < 20; {
		ended := done.Load()
		page, err := c.ReadChangeFeed(ctx, &azcosmos.ChangeFeedOptions{FeedRange: &ranges[0], Continuation: token, MaxItemCount: 20})
		if err != nil {
			t.Fatal(err)
		}
		token = &page.ContinuationToken
		for _, item := range page.Items {
			seen[systemOf(t, item).ID]++
		}
		if quiet++; len(page.Items) > 0 || !ended {
			quiet = 0
		}
		if list := rangesOf(t, s); splits < 4 && list[0].Items > 30 {
			at := cosmosfake.Range{Database: "shop", Container: "orders", ID: list[0].ID}
			if _, err := s.Split(at, cosmosfake.SplitOptions{}); err != nil {
				t.Fatal(err)
			}
			splits++
		}
	}
	all.Wait()
	for i := range n {
		if seen[fmt.Sprint(i)] == 0 {
			t.Errorf("document %d was not read", i)
		}
	}
	if splits == 0 || len(rangesOf(t, s)) != splits+1 {
		t.Errorf("got %d splits and %d ranges", splits, len(rangesOf(t, s)))
	}
}

// TestNewestAndScan: the newest LSN that a page reports is of another moment than its content, when a fault says so.
func TestNewestAndScan(t *testing.T) {
	for _, test := range []struct {
		when    cosmosfake.Newest
		want    string
		session string
	}{
		{cosmosfake.NewestBefore, "1@2 2@3", "0:1#2#1=2"},
		{cosmosfake.NewestAfter, "1@2", "0:1#3#1=3"},
	} {
		s := startServer(t, cosmosfake.Options{})
		c := rest{t, s}
		c.makeOrders(1)
		c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
		between := func() { c.upsert(`["a"]`, `{"id":"2","pk":"a"}`) }
		s.SetHook(once("GET", cosmosfake.Fault{Newest: test.when, Between: between}))
		got := c.feed("0", "")
		if ids(t, got) != test.want || got.header.Get("x-ms-session-token") != test.session {
			t.Errorf("got %q with %s, want %q with %s", ids(t, got), got.header.Get("x-ms-session-token"), test.want, test.session)
		}
	}
}

func TestReplicaFromBeforeFailover(t *testing.T) {
	s, c := newFeed(t)
	if _, err := s.Failover(orders0, 0); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		fault cosmosfake.Fault
		want  string
	}{
		{cosmosfake.Fault{ConfigBehind: 1, Behind: 1}, "0:1#5#1=5"},
		{cosmosfake.Fault{Session: cosmosfake.SessionSimple}, "0:6"},
		{cosmosfake.Fault{}, "0:2#6#1=6"},
	} {
		s.SetHook(once("GET", test.fault))
		if got := c.feed("0", "").header.Get("x-ms-session-token"); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.fault, got, test.want)
		}
	}
	if _, err := s.Merge("shop", "none"); err == nil {
		t.Error("merge of no container: got no error")
	} else if e := (*cosmosfake.Error)(nil); !errors.As(err, &e) || e.Status != http.StatusNotFound {
		t.Errorf("merge of no container: got %v, want 404", err)
	}
}
