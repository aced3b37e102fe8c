package cosmosfake_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// query reads all pages of a query over shop.orders and answers its rows and how many pages they were.
func (c rest) query(text string, headers ...string) (rows []string, pages int) {
	c.t.Helper()
	more := ""
	for {
		all := append([]string{"Content-Type", asQuery, "x-ms-documentdb-isquery", "True"}, headers...)
		if more != "" {
			all = append(all, "x-ms-continuation", more)
		}
		got := c.must(200, "POST", docs, queryOf(text), all...)
		for _, d := range got.page(c.t).Documents {
			rows = append(rows, string(d))
		}
		if n := got.header.Get("x-ms-item-count"); n != strconv.Itoa(len(got.page(c.t).Documents)) {
			c.t.Errorf("%s: got x-ms-item-count %s of %d", text, n, len(got.page(c.t).Documents))
		}
		pages++
		if more = got.header.Get("x-ms-continuation"); more == "" {
			return rows, pages
		}
		if pages > 1000 {
			c.t.Fatalf("%s: the pages do not end", text)
		}
	}
}

const crossPartition = "x-ms-documentdb-query-enablecrosspartition"

func TestQueryScopes(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(4)
	var all []string
	for i := range 60 {
		id := fmt.Sprintf("%02d", i)
		c.upsert(fmt.Sprintf(`["k%d"]`, i%7), fmt.Sprintf(`{"id":"%s","pk":"k%d", "n":1e2}`, id, i%7))
		all = append(all, strconv.Quote(id))
	}
	for _, test := range []struct {
		name, query string
		headers     []string
		rows, pages int
	}{
		{"one key", "SELECT VALUE c.id FROM c", []string{pkH, `["k3"]`}, 9, 1},
		{"one key, ordered in pages", "SELECT VALUE c.id FROM c ORDER BY c.id", []string{pkH, `["k3"]`, "x-ms-max-item-count", "3"}, 9, 3},
		{"one key, scanned in pages", "SELECT VALUE c.id FROM c", []string{pkH, `["k3"]`, "x-ms-max-item-count", "3"}, 9, 4},
		{"key in the filter", "SELECT VALUE c.id FROM c WHERE c.pk = 'k3' ORDER BY c.id", nil, 9, 1},
		{"all", "SELECT VALUE c.id FROM c", []string{crossPartition, "True"}, 60, 1},
		{"all in pages", "SELECT VALUE c.id FROM c", []string{crossPartition, "True", "x-ms-max-item-count", "7"}, 60, 9},
		{"none", "SELECT VALUE c.id FROM c WHERE c.id = 'x'", []string{crossPartition, "True", "x-ms-max-item-count", "7"}, 0, 1},
		{"one item", "SELECT * FROM c WHERE c.id = '07'", []string{crossPartition, "True"}, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, pages := rest{t, s}.query(test.query, test.headers...)
			if len(rows) != test.rows || pages != test.pages {
				t.Errorf("got %d rows in %d pages, want %d in %d", len(rows), pages, test.rows, test.pages)
			}
			if test.rows == 60 {
				slices.Sort(rows)
				if !slices.Equal(rows, all) {
					t.Errorf("got %v want each id once", rows)
				}
			}
		})
	}
	states, err := s.Ranges("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, state := range states {
		rows, _ := c.query("SELECT VALUE COUNT(1) FROM c", rangH, state.ID)
		n, err := strconv.Atoi(rows[0])
		if err != nil {
			t.Fatal(err)
		}
		half, middle := 0, state.Span.Min+"07" // the bounds of four ranges have two digits
		for _, headers := range [][]string{
			append(epkHeaders(state.Span.Min, middle), rangH, state.ID),
			epkHeaders(strings.ToLower(middle), strings.ToLower(state.Span.Max)),
		} {
			part, _ := c.query("SELECT c.id FROM c", append(headers, crossPartition, "True")...)
			half += len(part)
		}
		if half != n {
			t.Errorf("range %s: its parts hold %d items, it holds %d", state.ID, half, n)
		}
		total += n
	}
	if total != 60 {
		t.Errorf("the ranges count %d items, want 60", total)
	}
	if rows, _ := c.query("SELECT * FROM c WHERE c.id = '07'", crossPartition, "True"); string(strip(t, []byte(rows[0]))) != `{"id":"07","pk":"k0", "n":1e2}` {
		t.Errorf("got %s, want the bytes of the document", rows[0])
	}
}

// TestScanDuringWrites: what is not written meanwhile is seen exactly once, also in the middle of a transaction.
func TestScanDuringWrites(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(2)
	for i := range 4 {
		var batch []string
		for j := range 10 {
			batch = append(batch, fmt.Sprintf(`{"id":"%d.%d","pk":"k%d"}`, i, j, i))
		}
		c.must(200, "POST", docs, batchOf(batch...), "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, fmt.Sprintf(`["k%d"]`, i))
	}
	seen := make(map[string]int)
	more := ""
	for page := 0; page == 0 || more != ""; page++ {
		got := c.must(200, "POST", docs, queryOf("SELECT VALUE c.id FROM c"), "Content-Type", asQuery, crossPartition, "True",
			"x-ms-max-item-count", "3", "x-ms-continuation", more)
		for _, d := range got.page(t).Documents {
			seen[string(d)]++
		}
		more = got.header.Get("x-ms-continuation")
		for i := range 4 { // the first and the last of every transaction
			for _, j := range []int{0, 9} {
				if page < 5 {
					c.upsert(fmt.Sprintf(`["k%d"]`, i), fmt.Sprintf(`{"id":"%d.%d","pk":"k%d"}`, i, j, i))
				}
			}
		}
	}
	for i := range 4 {
		for j := 1; j < 9; j++ {
			if id := fmt.Sprintf(`"%d.%d"`, i, j); seen[id] != 1 {
				t.Errorf("%s was seen %d times, want once", id, seen[id])
			}
		}
	}
}

func TestQueryRefusals(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(1)
	cross := []string{"Content-Type", asQuery, crossPartition, "True"}
	for _, test := range []struct {
		name, query string
		headers     []string
		status      int
		substatus   string
		says        string
	}{
		{"not asked for", "SELECT * FROM c", []string{"Content-Type", asQuery}, 400, "", "Cross partition query is required but disabled"},
		{"ordered", "SELECT * FROM c ORDER BY c.id", cross, 400, "1004", "can not be directly served by the gateway"},
		{"counted", "SELECT VALUE COUNT(1) FROM c", cross, 400, "1004", "additionalErrorInfo"},
		{"top", "SELECT TOP 1 * FROM c", cross, 400, "1004", "TOP"},
		{"unknown", "SELECT * FROM c WHERE ST_WITHIN(c.a, c.b)", cross, 400, "", "ST_WITHIN"},
		{"syntax", "SELECT FROM WHERE", cross, 400, "", `\"location\":{\"start\":7,\"end\":11},\"code\":\"SC1001\",\"message\":\"Syntax error, incorrect syntax near 'FROM'.`},
		{"ordered by other than a path", "SELECT * FROM c ORDER BY LOWER(c.id)", cross, 400, "", `\"code\":2206,`},
		{"not to be put together", "SELECT VALUE {'n': COUNT(1)} FROM c", cross, 400, "1004", "Compositions of aggregates"},
		{"too many key values", "SELECT * FROM c", append([]string{pkH, `["a","b"]`}, cross...), 400, "", "1 key path"},
		{"a range that is not there", "SELECT * FROM c", append([]string{rangH, "9"}, cross...), 410, "1002", "9"},
		{"a continuation of others", "SELECT * FROM c", append([]string{"x-ms-continuation", "x"}, cross...), 400, "", "continuation"},
	} {
		got := c.do("POST", docs, queryOf(test.query), test.headers...)
		if got.status != test.status || got.substatus() != test.substatus || !strings.Contains(string(got.body), test.says) {
			t.Errorf("%s: got %d/%s %s, want %d/%s %s", test.name, got.status, got.substatus(), got.body, test.status, test.substatus, test.says)
		}
	}
}

func TestQueryPlan(t *testing.T) {
	s := startServer(t, cosmosfake.Options{})
	c := rest{t, s}
	c.makeOrders(2)
	for i := range 10 {
		c.upsert(fmt.Sprintf(`["k%d"]`, i), fmt.Sprintf(`{"id":"%d","pk":"k%d","n":%d}`, i, i, 10-i))
	}
	for _, test := range []struct {
		query, plan, rewritten string
		rows                   int // of all ranges together
	}{
		{
			"SELECT * FROM c WHERE c.n > 4 ORDER BY c.n DESC", `"orderBy":["Descending"]`,
			`SELECT c._rid, [{"item": c.n}] AS orderByItems, c AS payload FROM c WHERE ((c.n > 4) AND ({documentdb-formattableorderbyquery-filter})) ORDER BY c.n DESC`, 6,
		},
		{"SELECT c.id FROM c ORDER BY c.n OFFSET 2 LIMIT 1", `"offset":2`, `SELECT c._rid, [{"item": c.n}] AS orderByItems, {"id": c.id} AS payload FROM c WHERE ({documentdb-formattableorderbyquery-filter}) ORDER BY c.n OFFSET 0 LIMIT 3`, 6},
		{"SELECT TOP 3 c.id FROM c", `"top":3`, "", 6},
		{"SELECT VALUE COUNT(1) FROM c", `"aggregates":["Count"]`, `SELECT VALUE [{"item": COUNT(1)}] FROM c`, 2},
		{"SELECT VALUE AVG(c.n) FROM c WHERE c.n < 5", `"aggregates":["Average"]`, `SELECT VALUE [{"item": {"sum": SUM(c.n), "count": COUNT(c.n)}}] FROM c WHERE (c.n < 5)`, 2},
		{"SELECT DISTINCT VALUE c.pk FROM c", `"distinctType":"Unordered"`, "", 10},
		{"SELECT DISTINCT c.pk FROM c OFFSET 1 LIMIT 2", `"limit":2`, "SELECT DISTINCT c.pk FROM c", 10},
		{
			"SELECT c.pk, COUNT(1) AS n, MAX(c.n) FROM c GROUP BY c.pk", `"groupByAliasToAggregateType":{"$1":"Max","n":"Count","pk":null}`,
			`SELECT [{"item": c.pk}] AS groupByItems, {"pk": c.pk, "n": {"item": COUNT(1)}, "$1": {"item": MAX(c.n), "item2": {"max": MAX(c.n), "count": COUNT(c.n)}}} AS payload FROM c GROUP BY c.pk`, 10,
		},
		{
			"SELECT c.team, c.a[0] AS first, COUNT(1), AVG(c.n) AS mean FROM c WHERE c.n > 0 GROUP BY c.team, c.a[0]",
			`"groupByExpressions":["c.team","c.a[0]"],"groupByAliases":["team","first","$1","mean"],"aggregates":[],"groupByAliasToAggregateType":{"$1":"Count","first":null,"mean":"Average","team":null}`,
			`SELECT [{"item": c.team}, {"item": c.a[0]}] AS groupByItems, {"team": c.team, "first": c.a[0], "$1": {"item": COUNT(1)}, "mean": {"item": {"sum": SUM(c.n), "count": COUNT(c.n)}}} AS payload ` +
				`FROM c WHERE (c.n > 0) GROUP BY c.team, c.a[0]`, 2,
		},
		{"SELECT c.id FROM c", `"rewrittenQuery":""`, "", 10},
	} {
		got := c.must(200, "POST", docs, queryOf(test.query), "Content-Type", asQuery, "x-ms-cosmos-is-query-plan-request", "True")
		info := field[json.RawMessage](t, got.body, "queryInfo")
		rewritten := field[string](t, info, "rewrittenQuery")
		if !strings.Contains(string(info), test.plan) || rewritten != test.rewritten {
			t.Errorf("%s: got %s", test.query, info)
		}
		if rewritten == "" {
			rewritten = test.query
		}
		rows := 0
		for _, id := range []string{"0", "1"} {
			part, _ := c.query(strings.ReplaceAll(rewritten, "{documentdb-formattableorderbyquery-filter}", "true"), rangH, id)
			rows += len(part)
		}
		if rows > test.rows || rows < min(test.rows, 2) {
			t.Errorf("%s: the ranges give %d rows, want up to %d", rewritten, rows, test.rows)
		}
	}
}

func TestHierarchicalQueries(t *testing.T) {
	s := startServer(t, cosmosfake.Options{Ranges: 5})
	c := rest{t, s}
	c.must(201, "POST", "/dbs", `{"id":"shop"}`)
	c.must(201, "POST", "/dbs/shop/colls", `{"id":"orders","partitionKey":{"paths":["/a","/b","/c"],"kind":"MultiHash","version":2}}`)
	for i := range 24 {
		c.upsert(fmt.Sprintf(`["x%d","y%d",%d]`, i%2, i%3, i), fmt.Sprintf(`{"id":"%d","a":"x%d","b":"y%d","c":%d}`, i, i%2, i%3, i))
	}
	for _, test := range []struct {
		where string
		key   string
		want  int
	}{
		{"", `["x1"]`, 12},
		{"", `["x1","y2"]`, 4},
		{"", `["x1","y2",5]`, 1},
		{"", `["x"]`, 0},
		{"WHERE c.a = 'x0'", "", 12},
		{"WHERE c.a = 'x0' AND c.b = 'y1'", "", 4},
		{"WHERE c.a = 'x1' AND c.b = 'y2' AND c.c = 5", "", 1},
		{"WHERE c.b = 'y1'", "", 8},
	} {
		headers := []string{crossPartition, "True"}
		if test.key != "" {
			headers = append(headers, pkH, test.key)
		}
		if rows, _ := c.query("SELECT VALUE c.id FROM c "+test.where, headers...); len(rows) != test.want {
			t.Errorf("%s %s: got %v, want %d", test.key, test.where, rows, test.want)
		}
	}
}
