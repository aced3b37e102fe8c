package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func TestPatch(t *testing.T) {
	var ledger memoryLedger
	s := startServer(t, cosmosfake.Options{Ledger: &ledger})
	c := rest{t, s}
	c.makeOrders(1)
	const document = `{"id":"1", "pk":"a","n":12345678901234567, "list":[1, 2],"in":{"x":1e400 },"a/b":0}`
	for _, test := range []struct{ name, ops, want string }{
		{"set", `{"op":"set","path":"/n","value":{"v": 1.0}}`, `{"id":"1", "pk":"a","n":{"v": 1.0}, "list":[1, 2],"in":{"x":1e400 },"a/b":0}`},
		{"set new", `{"op":"set","path":"/in/y","value":"z"}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[1, 2],"in":{"x":1e400 ,"y":"z"},"a/b":0}`},
		{"add in a list", `{"op":"add","path":"/list/1","value":9}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[1, 9,2],"in":{"x":1e400 },"a/b":0}`},
		{"add at the end", `{"op":"add","path":"/list/-","value":9}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[1, 2,9],"in":{"x":1e400 },"a/b":0}`},
		{"replace in a list", `{"op":"replace","path":"/list/0","value":null}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[null, 2],"in":{"x":1e400 },"a/b":0}`},
		{"remove", `{"op":"remove","path":"/n"}`, `{"id":"1", "pk":"a", "list":[1, 2],"in":{"x":1e400 },"a/b":0}`},
		{"remove of a list", `{"op":"remove","path":"/list/0"},{"op":"remove","path":"/list/0"}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[],"in":{"x":1e400 },"a/b":0}`},
		{"remove the last of an object", `{"op":"remove","path":"/in/x"},{"op":"add","path":"/in/y","value":1}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[1, 2],"in":{ "y":1},"a/b":0}`},
		{"increment", `{"op":"incr","path":"/n","value":-1}`, `{"id":"1", "pk":"a","n":12345678901234566, "list":[1, 2],"in":{"x":1e400 },"a/b":0}`},
		{"increment by a part", `{"op":"incr","path":"/list/0","value":0.5}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[1.5, 2],"in":{"x":1e400 },"a/b":0}`},
		{"increment what is not there", `{"op":"incr","path":"/new","value":3}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[1, 2],"in":{"x":1e400 },"a/b":0,"new":3}`},
		{"move", `{"op":"move","from":"/in/x","path":"/y"}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[1, 2],"in":{ },"a/b":0,"y":1e400}`},
		{"escaped path", `{"op":"set","path":"/a~1b","value":1}`, `{"id":"1", "pk":"a","n":12345678901234567, "list":[1, 2],"in":{"x":1e400 },"a/b":1}`},
	} {
		c.upsert(`["a"]`, document)
		c.must(200, "PATCH", docs+"/1", `{"operations":[`+test.ops+`]}`, pkH, `["a"]`)
		got := string(strip(t, c.must(200, "GET", docs+"/1", "", pkH, `["a"]`).body))
		// Blanks of an object that became empty may go.
		if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(test.want, " ", "") {
			t.Errorf("%s: got %s want %s", test.name, got, test.want)
		}
		entries := ledger.entries(t)
		if last := entries[len(entries)-1]; last.Op != cosmosfake.OpReplace || last.SHA256 != hash([]byte(got)) {
			t.Errorf("%s: got the ledger line %+v", test.name, last)
		}
	}
	c.must(200, "PATCH", docs+"/1", `[{"op":"set","path":"/n","value":7}]`, pkH, `["a"]`) // the JavaScript SDK's form
	if got := c.must(200, "GET", docs+"/1", "", pkH, `["a"]`); !strings.Contains(string(got.body), `"n":7`) {
		t.Errorf("a list of operations: got %s", got.body)
	}
}

func TestPatchRefusals(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"1","pk":"a","n":"text","list":[]}`)
	patch := func(ops, more string) string { return `{"operations":[` + ops + `]` + more + `}` }
	for _, test := range []struct {
		name, body string
		want       int
		substatus  string
	}{
		{"no operations", patch("", ""), 400, ""},
		{"eleven", patch(strings.Repeat(`{"op":"set","path":"/x","value":1},`, 10)+`{"op":"set","path":"/x","value":1}`, ""), 400, ""},
		{"unknown", patch(`{"op":"test","path":"/n"}`, ""), 400, ""},
		{"the id", patch(`{"op":"set","path":"/id","value":"2"}`, ""), 400, ""},
		{"the key", patch(`{"op":"set","path":"/pk","value":"b"}`, ""), 400, ""},
		{"a property of the service", patch(`{"op":"set","path":"/_ts","value":1}`, ""), 400, ""},
		{"no pointer", patch(`{"op":"set","path":"n","value":1}`, ""), 400, ""},
		{"remove what is not there", patch(`{"op":"remove","path":"/none"}`, ""), 400, ""},
		{"replace what is not there", patch(`{"op":"replace","path":"/none","value":1}`, ""), 400, ""},
		{"below what is not there", patch(`{"op":"set","path":"/none/x","value":1}`, ""), 400, ""},
		{"below a text", patch(`{"op":"set","path":"/n/x","value":1}`, ""), 400, ""},
		{"beyond a list", patch(`{"op":"add","path":"/list/1","value":1}`, ""), 400, ""},
		{"increment a text", patch(`{"op":"incr","path":"/n","value":1}`, ""), 400, ""},
		{"increment by a text", patch(`{"op":"incr","path":"/x","value":"1"}`, ""), 400, ""},
		{"a condition that does not hold", patch(`{"op":"set","path":"/x","value":1}`, `,"condition":"from c where c.n = 'other'"`), 412, "1110"},
		{"a condition that is none", patch(`{"op":"set","path":"/x","value":1}`, `,"condition":"where"`), 400, ""},
		{"a condition that holds", patch(`{"op":"set","path":"/x","value":1}`, `,"condition":"from c where c.n = 'text'"`), 200, ""},
	} {
		if got := c.do("PATCH", docs+"/1", test.body, pkH, `["a"]`); got.status != test.want || got.substatus() != test.substatus {
			t.Errorf("%s: got %d/%s %s, want %d/%s", test.name, got.status, got.substatus(), got.body, test.want, test.substatus)
		}
	}
	if got := c.do("PATCH", docs+"/none", patch(`{"op":"set","path":"/x","value":1}`, ""), pkH, `["a"]`); got.status != 404 {
		t.Errorf("got %d %s want 404", got.status, got.body)
	}
}

func TestBulk(t *testing.T) {
	var ledger memoryLedger
	s := startServer(t, cosmosfake.Options{Ledger: &ledger})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"there","pk":"a"}`)
	op := func(verb, pk, rest string) string {
		return fmt.Sprintf(`{"operationType":%q,"partitionKey":%s,%s}`, verb, pk, rest)
	}
	body := "[" + strings.Join([]string{
		op("Create", `["a"]`, `"resourceBody":{"id":"1","pk":"a"}`),
		op("Create", `"[\"b\"]"`, `"resourceBody":{"id":"2","pk":"b"}`),
		op("Create", `["a"]`, `"resourceBody":{"id":"there","pk":"a"}`),
		op("Upsert", `["a"]`, `"resourceBody":{"id":"x","pk":"other"}`),
		op("Patch", `["a"]`, `"id":"there","resourceBody":{"operations":[{"op":"set","path":"/v","value":1}]}`),
		op("Read", `["a"]`, `"id":"there"`),
		op("Delete", `["b"]`, `"id":"none"`),
	}, ",") + "]"
	bulk := []string{"x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "False", rangH, "0", "x-ms-cosmos-batch-continue-on-error"}
	statuses := func(got response) (list []int) {
		t.Helper()
		var results []struct{ StatusCode int }
		if err := json.Unmarshal(got.body, &results); err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			list = append(list, r.StatusCode)
		}
		return list
	}
	got := c.must(207, "POST", docs, body, append(bulk, "True")...)
	if want := "[201 201 409 400 200 200 404]"; fmt.Sprint(statuses(got)) != want {
		t.Errorf("got %v want %s: %s", statuses(got), want, got.body)
	}
	lsns := make(map[int64]int)
	for _, e := range ledger.entries(t)[2:] {
		lsns[e.LSN]++
	}
	if len(lsns) != 1 || lsns[got.newest(t)] != 3 {
		t.Errorf("got LSNs %v, want the 3 writes under %d", lsns, got.newest(t))
	}
	got = c.must(207, "POST", docs, body, append(bulk, "False")...)
	if want := "[409 424 424 424 424 424 424]"; fmt.Sprint(statuses(got)) != want {
		t.Errorf("got %v want %s", statuses(got), want)
	}
	c.must(200, "POST", docs, "["+op("Upsert", `["a"]`, `"resourceBody":{"id":"1","pk":"a"}`)+"]", append(bulk, "True")...)
	if got := c.do("POST", docs, body, bulk[:4]...); got.status != 400 {
		t.Errorf("got %d %s, want that a range is missing", got.status, got.body)
	}
}

func TestSessionIsNotAvailable(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"0","pk":"a"}`)
	token := c.upsert(`["a"]`, `{"id":"1","pk":"a"}`).header.Get("x-ms-session-token")
	c.must(200, "GET", docs+"/0", "", pkH, `["a"]`, "x-ms-session-token", token)
	if _, err := s.Failover(cosmosfake.Range{Database: "shop", Container: "orders", ID: "0"}, 1); err != nil {
		t.Fatal(err)
	}
	if got := c.do("GET", docs+"/0", "", pkH, `["a"]`, "x-ms-session-token", "7:99,"+token); got.status != 404 || got.substatus() != "1002" {
		t.Errorf("got %d/%s %s, want 404/1002", got.status, got.substatus(), got.body)
	}
}
