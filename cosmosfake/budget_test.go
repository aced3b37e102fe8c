package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// TestBulkIsRefusedOneByOne: what is beyond a range's throughput is refused operation by operation, in an answer that is
// no refusal by itself. A client that reads only its status loses them.
func TestBulkIsRefusedOneByOne(t *testing.T) {
	for _, test := range []struct{ goOn, priority, want string }{
		{"True", "High", "201 201 201 201 429/3200 429/3200 429/3200 429/3200"},
		{"False", "High", "201 201 201 201 429/3200 424 424 424"},
		{"True", "Low", "201 201 429/3200 429/3200 429/3200 429/3200 429/3200 429/3200"},
	} {
		clock := newClock()
		var ledger memoryLedger
		s := startServer(t, cosmosfake.Options{Clock: clock.now, Throughput: 16, Ledger: &ledger})
		c := rest{t, s}
		c.makeOrders(1)
		var list []string
		for i := range 8 {
			list = append(list, fmt.Sprintf(`{"operationType":"Create","partitionKey":["a"],"resourceBody":{"id":"%d","pk":"a"}}`, i))
		}
		bulk := []string{
			"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "False", rangH, "0",
			"x-ms-cosmos-batch-continue-on-error", test.goOn, "x-ms-cosmos-priority-level", test.priority,
		}
		before := len(ledger.entries(t))
		got := c.must(207, "POST", docs, "["+strings.Join(list, ",")+"]", bulk...) // 4.95 each
		var results []struct {
			StatusCode, SubStatusCode, RetryAfterMilliseconds int
		}
		if err := json.Unmarshal(got.body, &results); err != nil {
			t.Fatal(err)
		}
		var words []string
		written := 0
		for _, r := range results {
			word := strconv.Itoa(r.StatusCode)
			if r.SubStatusCode != 0 {
				word += "/" + strconv.Itoa(r.SubStatusCode)
			}
			if r.StatusCode == 429 && r.RetryAfterMilliseconds < 100 {
				t.Errorf("%+v: got %d ms, want as long as it takes", test, r.RetryAfterMilliseconds)
			}
			if r.StatusCode == 201 {
				written++
			}
			words = append(words, word)
		}
		if strings.Join(words, " ") != test.want {
			t.Errorf("%+v: got %v", test, words)
		}
		if n := len(ledger.entries(t)) - before; n != written {
			t.Errorf("%+v: got %d writes in the ledger, want %d", test, n, written)
		}
		if got := c.do("POST", docs, "["+list[7]+"]", bulk...); got.status != 429 || got.header.Get("x-ms-request-charge") != "0.00" {
			t.Errorf("%+v, the next: got %d for %s RU, want 429 for nothing", test, got.status, got.header.Get("x-ms-request-charge"))
		}
		clock.move(time.Second)
		c.must(200, "POST", docs, "["+list[7]+"]", bulk...)
	}
}

// TestRefusalsCost: nobody can ask for ever at no cost what is refused.
func TestRefusalsCost(t *testing.T) {
	batch := []string{"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`}
	for name, ask := range map[string]func(c rest) response{
		"point read": func(c rest) response { return c.do("GET", docs+"/none", "", pkH, `["a"]`) },
		"deletion":   func(c rest) response { return c.do("DELETE", docs+"/none", "", pkH, `["a"]`) },
		"conflict":   func(c rest) response { return c.do("POST", docs, `{"id":"1","pk":"a"}`, pkH, `["a"]`) },
		"precondition": func(c rest) response {
			return c.do("PUT", docs+"/1", `{"id":"1","pk":"a"}`, pkH, `["a"]`, "If-Match", "other")
		},
		"batch": func(c rest) response { return c.do("POST", docs, `[{"operationType":"Delete","id":"none"}]`, batch...) },
	} {
		clock := newClock()
		c := rest{t, startServer(t, cosmosfake.Options{Clock: clock.now, Throughput: 20})}
		c.makeOrders(1)
		c.upsert(`["a"]`, `{"id":"1","pk":"a"}`)
		n := 0
		for ; n < 100 && ask(c).status != 429; n++ {
		}
		if n < 10 || n > 20 {
			t.Errorf("%s: got %d of them from 15 RU, want about 15", name, n)
		}
	}
}
