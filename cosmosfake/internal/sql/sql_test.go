package sql_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
)

func documents() [][]byte {
	return [][]byte{
		[]byte(`{"id":"1","pk":"a","price":-10.5,"tags":["x","y"],"address":{"zip": 1e2,"my-city":"Rome"},"title":"Azure full text search"}`),
		[]byte(`{"id":"2","pk":"a","price":20,"tags":[],"address":{"zip":7},"on":true,"title":"research"}`),
		[]byte(`{"id":"3","pk":"b","price":null,"tags":["y","z"],"on":false}`),
		[]byte(`{"id":"4","pk":"b","price":"20"}`),
		[]byte(`{"id":"5","pk":null,"name":"O'Neil \"x\""}`),
	}
}

// run compiles and runs a query and joins its rows.
func run(t *testing.T, query string, params ...sql.Parameter) string {
	t.Helper()
	if params == nil {
		params = []sql.Parameter{{Name: "@i", Value: json.RawMessage("1")}, {Name: "@name", Value: json.RawMessage(`"pk"`)}}
	}
	s, err := sql.Compile(query, params)
	if err != nil {
		t.Fatalf("compile %s: %v", query, err)
	}
	rows, err := s.Run(documents())
	if err != nil {
		t.Fatalf("run %s: %v", query, err)
	}
	return string(bytes.Join(rows, []byte(" ")))
}

func TestFilters(t *testing.T) {
	for _, c := range []struct{ where, want string }{
		{"c.id = '1'", "1"},
		{`c.id = "1" or c.id='3'`, "1 3"},
		{"c.price > 5", "2"},
		{"c.price >= 20", "2"},
		{"c.price <= -10.5", "1"},
		{"c.price < 100", "1 2"},
		{"NOT c.price > 5", "1"},
		{"c.price > '1'", "4"},
		{"c.price != 20", "1 3 4"},
		{"c.price <> 20", "1 3 4"},
		{"NOT (c.price = 20)", "1 3 4"},
		{"c.price = null", "3"},
		{"IS_NULL(c.price)", "3"},
		{"NOT IS_NULL(c.price)", "1 2 4 5"},
		{"IS_DEFINED(c.price)", "1 2 3 4"},
		{"IS_DEFINED(c.price) = false", "5"},
		{"not is_defined(c.price)", "5"},
		{"c.missing = c.missing", ""},
		{"c.missing = undefined", ""},
		{"c.on", "2"},
		{"NOT c.on", "3"},
		{"true", "1 2 3 4 5"},
		{"c.id IN ('1', \"4\")", "1 4"},
		{"c.id NOT IN ('1', '4')", "2 3 5"},
		{"c.missing NOT IN (1)", ""},
		{"c.price IN (20, -10.5)", "1 2"},
		{"c.price BETWEEN -20 AND 0 AND c.pk = 'a'", "1"},
		{"c.price NOT BETWEEN -20 AND 0", "2"},
		{"c.pk = 'b' AND (c.id = '3' OR c.id = '1')", "3"},
		{"c.pk = 'a' AND NOT c.id = '1' OR c.id = '4'", "2 4"},
		{"NOT (c.pk = 'a' OR c.id = '3')", "4 5"},
		{"NOT (c.pk = 'a' AND c.id = '1')", "2 3 4 5"},
		{"c.name LIKE 'O\\'Neil%'", "5"},
		{"c.title LIKE '%search'", "1 2"},
		{"c.title NOT LIKE '%text%'", "2"},
		{"c.title LIKE 'Az%ext%ch'", "1"},
		{"c.title LIKE '%e%e%e%'", "1"},
		{"NOT c.title LIKE '%e%e%e%'", "2"},
		{"c.title NOT LIKE 're_earch' AND IS_STRING(c.title)", "1"},
		{"c.title LIKE 're[a-s]earch' OR c.name LIKE '_!_' ESCAPE '!'", "2"},
		{"c.title LIKE '[^A-Z]%ch'", "2"},
		{"c.address['my-city'] LIKE 'R.me' OR c.tags[0] LIKE '_' AND c.pk = 'a'", "1"},
		{"c.price LIKE '%0_%'", ""},
		{"c.pk LIKE 'aa!%' ESCAPE '!'", ""},
		{`c["address"]["my-city"] = 'Rome'`, "1"},
		{"c.address.zip = 100", "1"},
		{"c.tags[0] = 'y'", "3"},
		{"ARRAY_CONTAINS(c.tags, 'y')", "1 3"},
		{"NOT ARRAY_CONTAINS(c.tags, 'y')", "2"},
		{"EXISTS(SELECT VALUE x FROM x IN c.tags WHERE x = 'z')", "3"},
		{"EXISTS (SELECT VALUE x FROM x IN c.tags WHERE x >= 'y') AND c.id <= '1'", "1"},
		{"STARTSWITH(c.title, 'azure', true)", "1"},
		{"CONTAINS(UPPER(c.title), 'SEARCH')", "1 2"},
		{"LEFT(c.title, 2) = 'Az'", "1"},
		{"LENGTH(c.pk) = 1", "1 2 3 4"},
		{"ABS(c.price) = 10.5", "1"},
		{`FullTextContains(c.title, "search")`, "1"},
		{`NOT FullTextContains(c.title, "search") AND IS_STRING(c.title)`, "2"},
		{`FullTextContainsAll(c.title, "Full text", "azure")`, "1"},
		{"-- a comment\n c.id = '2'", "2"},
		{"c.price + 1 = 21", "2"},
		{"c.price != null", "1 2 4"},
		{"(c.price ?? 0) = 0", "5"},
		{"c.price BETWEEN '1' AND '3'", "4"},
		{"IS_NUMBER(c.price) ? c.price > 0 : c.pk = 'b'", "2 3 4"},
		{"c.address", ""},
		{"c.tags = ['x', 'y']", "1"},
		{"UPPER(c.pk) LIKE '_'", "1 2 3 4"},
	} {
		got := strings.ReplaceAll(run(t, "SELECT VALUE c.id FROM c WHERE "+c.where), `"`, "")
		if got != c.want {
			t.Errorf("%s: got %s want %s", c.where, got, c.want)
		}
	}
}

func TestQueries(t *testing.T) {
	doc1 := string(documents()[0])
	for _, c := range []struct{ query, want string }{
		{"SELECT * FROM c WHERE c.id = '1'", doc1},
		{"select * from docs d where d.id = '1'", doc1},
		{"select * from root as r where r.id = '1'", doc1},
		{"SELECT c FROM c WHERE c.id = '1'", `{"c":` + doc1 + `}`},
		{"SELECT VALUE {\"doc\": c, id: c.id} FROM c WHERE c.id = '1'", `{"doc":` + doc1 + `,"id":"1"}`},
		{"SELECT c.id, c.address AS a, c.missing FROM c WHERE c.id = '1'", `{"id":"1","a":{"zip": 1e2,"my-city":"Rome"}}`},
		{"SELECT c.id, UPPER(c.pk), c.address.zip FROM c WHERE c.id = '2'", `{"id":"2","$1":"A","zip":7}`},
		{`SELECT c["address"]["my-city"] FROM c WHERE c.id = '1'`, `{"my-city":"Rome"}`},
		{"SELECT VALUE c.price FROM c", `-10.5 20 null "20"`},
		{"SELECT VALUE c.id FROM c ORDER BY c.price", `"5" "3" "1" "2" "4"`},
		{"SELECT VALUE c.id FROM c ORDER BY c.pk DESC, c.id ASC", `"3" "4" "1" "2" "5"`},
		{"SELECT TOP 2 VALUE c.id FROM c", `"1" "2"`},
		{"SELECT DISTINCT VALUE c.pk FROM c", `"a" "b" null`},
		{"SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 1 LIMIT 2", `"2" "3"`},
		{"SELECT VALUE COUNT(1) FROM c", `5`},
		{"SELECT VALUE COUNT(1) FROM c WHERE c.id = 'none'", `0`},
		{"SELECT COUNT(c.price) AS n, MIN(c.address.zip) AS low FROM c", `{"n":4,"low":7}`},
		{"SELECT VALUE MAX(c.price) FROM c WHERE c.price < 0", `-10.5`},
		{"SELECT VALUE SUM(c.address.zip) FROM c", `107`},
		{"SELECT VALUE AVG(c.missing) FROM c", ``},
		{"SELECT c.pk, COUNT(1) AS n FROM c GROUP BY c.pk", `{"pk":"a","n":2} {"pk":"b","n":2} {"pk":null,"n":1}`},
		{"SELECT VALUE [{\"item\": COUNT(1)}] FROM c", `[{"item":5}]`},
		{`SELECT VALUE {"my-key": c.id, "k_x": [{"": c.missing, "a b": 1}]} FROM c WHERE c.id = '1'`, `{"my-key":"1","k_x":[{"a b":1}]}`},
		{"SELECT c.id, t FROM c JOIN t IN c.tags WHERE t = 'y'", `{"id":"1","t":"y"} {"id":"3","t":"y"}`},
		{"SELECT VALUE t FROM t IN c.tags", `"x" "y" "y" "z"`},
		{"SELECT VALUE ARRAY(SELECT VALUE t FROM t IN c.tags WHERE t != 'x') FROM c WHERE c.id = '1'", `["y"]`},
		{"SELECT valueX.id FROM valueX WHERE valueX.id='1'", `{"id":"1"}`},
		{"SELECT VALUE [1, 'x']", `[1,"x"]`},
		{"SELECT 1 AS a, 2 b", `{"a":1,"b":2}`},
		{"SELECT undefined", `{}`},
		{"SELECT VALUE undefined", ``},
		{"SELECT VALUE a FROM c.address a", `{"zip": 1e2,"my-city":"Rome"} {"zip":7}`},
		{"SELECT address.zip FROM c.address", `{"zip":100} {"zip":7}`},
		{"SELECT VALUE t FROM c.tags[0] AS t", `"x" "y"`},
		{`SELECT VALUE t FROM c["tags"][1] t`, `"y" "z"`},
		{"SELECT VALUE s.x FROM (SELECT c.id AS x FROM c WHERE c.pk = 'a') AS s WHERE s.x > '1'", `"2"`},
		{"SELECT COUNT(1) AS n FROM (SELECT DISTINCT c.pk FROM c)", `{"n":3}`},
		{"SELECT s.pk, t FROM (SELECT c.pk, COUNT(1) AS n FROM c GROUP BY c.pk) AS s JOIN t IN (SELECT VALUE [s.n]) WHERE s.n > 1 ORDER BY s.pk DESC", `{"pk":"b","t":2} {"pk":"a","t":2}`},
		{"SELECT VALUE x FROM x IN (SELECT VALUE [MAX(c.id), 1] FROM c)", `"5" 1`},
		{"SELECT VALUE x FROM (SELECT VALUE 1) x", `1`},
		{"SELECT VALUE [t, u] FROM c JOIN t IN c.tags JOIN u IN c.tags WHERE c.id = '3' AND t != u", `["y","z"] ["z","y"]`},
		{"SELECT VALUE [c.id, s] FROM c JOIN (SELECT VALUE UPPER(t) FROM t IN c.tags WHERE t > 'x') AS s", `["1","Y"] ["3","Y"] ["3","Z"]`},
		{"SELECT c.id, m.n FROM c JOIN m IN (SELECT VALUE [{k: 'a', n: 1}, {k: 'b', n: 2}]) WHERE c.pk = m.k AND c.id > '1'", `{"id":"2","n":1} {"id":"3","n":2} {"id":"4","n":2}`},
		{"SELECT COUNT(1) AS n FROM c JOIN (SELECT VALUE t FROM t IN c.tags)", `{"n":4}`},
		{"SELECT c.id, (SELECT VALUE COUNT(1) FROM t IN c.tags WHERE t >= 'y') AS n FROM c WHERE c.id <= '2'", `{"id":"1","n":1} {"id":"2","n":0}`},
		{"SELECT c.id, (SELECT c.pk WHERE c.price = 20).pk FROM c WHERE c.id <= '2'", `{"id":"1"} {"id":"2","pk":"a"}`},
		{"SELECT VALUE (SELECT COUNT(1) AS n, MAX(t) AS high FROM t IN c.tags) FROM c WHERE c.id = '3'", `{"n":2,"high":"z"}`},
		{"SELECT VALUE c.id FROM c WHERE (SELECT VALUE COUNT(1) FROM t IN c.tags) >= 1", `"1" "3"`},
		{"SELECT VALUE FIRST(SELECT VALUE t FROM t IN c.tags) || LAST(SELECT VALUE t FROM t IN c.tags) FROM c", `"xy" "yz"`},
		{"SELECT VALUE ARRAY(SELECT DISTINCT VALUE LENGTH(t) FROM t IN c.tags) FROM c WHERE c.id = '1'", `[1]`},
		{"SELECT VALUE ARRAY(SELECT VALUE {k: g.n, n: g.c2} FROM (SELECT LENGTH(t) AS n, COUNT(1) AS c2 FROM t IN c.tags GROUP BY LENGTH(t)) g) FROM c WHERE c.id = '1'", `[{"k":1,"n":2}]`},
		{"SELECT VALUE EXISTS(SELECT VALUE t FROM t IN c.tags WHERE EXISTS(SELECT VALUE 1 WHERE t = 'z')) FROM c", `false false true false false`},
		{"SELECT c.id, -- the rest is a comment\nc.pk FROM c WHERE c.id = '4'", `{"id":"4","pk":"b"}`},
		{"SELECT DISTINCT c.pk, IS_DEFINED(c.tags) AS t FROM c", `{"pk":"a","t":true} {"pk":"b","t":true} {"pk":"b","t":false} {"pk":null,"t":false}`},
		{"SELECT DISTINCT TOP 2 VALUE c.pk FROM c ORDER BY c.pk DESC", `"b" "a"`},
		{"SELECT DISTINCT VALUE c.pk FROM c OFFSET 1 LIMIT 1", `"b"`},
		{"SELECT VALUE c.id FROM c ORDER BY c.address.zip, c['id'] DESC", `"5" "4" "3" "2" "1"`},
		{"SELECT TOP 0 * FROM c", ``},
		{"SELECT VALUE c.id FROM c OFFSET 4 LIMIT 10", `"5"`},
		{"SELECT VALUE COUNTIF(c.price > 0) FROM c", `1`},
		{"SELECT VALUE SUM(c.nope) FROM c", `0`},
		{"SELECT VALUE SUM(c.price) FROM c", ``},
		{"SELECT VALUE AVG(c.address.zip) FROM c", `53.5`},
		{"SELECT MIN(c.price), MAX(c.price) AS high FROM c", `{"$1":null,"high":"20"}`},
		{"SELECT VALUE MIN(c.tags) FROM c", ``},
		{"SELECT VALUE MAX(c.nope) FROM c", ``},
		{"SELECT VALUE AVG(c.address.zip + 1) * 2 FROM c", `109`},
		{"SELECT VALUE COUNT(1) FROM c ORDER BY c.id", `5`},
		{"SELECT c.pk AS k, SUM(c.address.zip) AS s, MIN(c.id) AS m FROM c WHERE c.id < '5' GROUP BY c.pk", `{"k":"a","s":107,"m":"1"} {"k":"b","s":0,"m":"3"}`},
		{"SELECT c['on'], COUNT(1) AS n FROM c GROUP BY c[\"on\"]", `{"n":3} {"on":true,"n":1} {"on":false,"n":1}`},
		{"SELECT UPPER(c.pk) AS k, LENGTH(c.title) AS l FROM c GROUP BY UPPER(c.pk), LENGTH(c.title)", `{"k":"A","l":22} {"k":"A","l":8} {"k":"B"} {}`},
		{"SELECT VALUE {k: c.pk, n: COUNT(1)} FROM c GROUP BY c.pk OFFSET 1 LIMIT 1", `{"k":"b","n":2}`},
		{"SELECT c.address.zip FROM c GROUP BY c.address OFFSET 0 LIMIT 2", `{"zip":100} {"zip":7}`},
		{"SELECT VALUE c.tags[@i] FROM c WHERE c[@name] = 'b'", `"z"`},
	} {
		if got := run(t, c.query); got != c.want {
			t.Errorf("%s: got %s want %s", c.query, got, c.want)
		}
	}
}

func TestParameters(t *testing.T) {
	got := run(t, "SELECT VALUE c.id FROM c WHERE c.price = @p OR c.id IN (@_0, @_1) OR IS_NULL(c.pk) OFFSET @o LIMIT 2",
		sql.Parameter{Name: "@p", Value: json.RawMessage(`20`)}, sql.Parameter{Name: "@_0", Value: json.RawMessage(`"3"`)},
		sql.Parameter{Name: "@_1", Value: json.RawMessage(`"4"`)}, sql.Parameter{Name: "@o", Value: json.RawMessage(`1`)})
	if want := `"3" "4"`; got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{"DELETE FROM c", "near 'DELETE'. (at 0)"},
		{"SELECT FROM c", "near 'FROM'. (at 7)"},
		{"SELECT * FROM c WHERE ST_DISTANCE(c.a, c.b) < 1", "the function ST_DISTANCE"},
		{"SELECT VectorDistance(c.a, [1]) FROM c", "the function VectorDistance"},
		{"SELECT VALUE DOCUMENTID(c) FROM c", "the function DOCUMENTID"},
		{"SELECT VALUE udf.f(c) FROM c", "user-defined functions"},
		{"SELECT BADFUNC(r.age) FROM Root r", "'BADFUNC' is not a recognized built-in function name. (at 7)"},
		{"SELECT * FROM Root r WHERE STARTSWITH(r.key, 'a', 'b', 'c')", "The STARTSWITH function requires 2 to 3 argument(s). (at 27)"},
		{"SELECT VALUE ABS(1, 2)", "The ABS function requires 1 argument(s)."},
		{"SELECT VALUE CONCAT('a')", "The CONCAT function requires at least 2 argument(s)."},
		{"SELECT * FROM c WHERE c.a = @nope", "@nope is not given"},
		{"SELECT * FROM c WHERE c.a =", "ends too early"},
		{"SELECT * FROM c WHERE c.a = 1 GARBAGE", "near 'GARBAGE'"},
		{"SELECT * FROM c WHERE c.a = 1)", "near ')'"},
		{"SELECT * FROM c WHERE (c.a = 1", "ends too early"},
		{"SELECT * FROM c WHERE c.a = 'x", "does not end. (at 28)"},
		{"SELECT * FROM c WHERE c.a = 1a", "near '1a'"},
		{"SELECT * FROM c WHERE c.a = `x`", "near '`'"},
		{"SELECT * FROM c; ", "near ';'"},
		{"SELECT * FROM c WHERE c.a IN (1) = true", "near '='"},
		{"SELECT c.* FROM c", "near '*'"},
		{"SELECT c.value FROM c", "near 'value'. (at 9)"},
		{"SELECT 'ä😀', d.b FROM c", "(at 14)"},
		{"SELECT c.a, d.b FROM c", "Identifier 'd' could not be resolved. (at 12)"},
		{"SELECT root.a FROM root r", "Identifier 'root' could not be resolved."},
		{"SELECT * FROM c JOIN t IN u JOIN u IN c.a", "Identifier 'u' could not be resolved."},
		{"SELECT VALUE 1 FROM c JOIN (SELECT VALUE t) x JOIN t IN c.a", "Identifier 't' could not be resolved."},
		{"SELECT VALUE c FROM c JOIN c IN c.a", "more than once"},
		{"SELECT * FROM c WHERE c.a LIKE 'a' ESCAPE 'ab'", "one character"},
		{"SELECT *, c.a FROM c", "near ','"},
		{"SELECT *", "FROM clause is omitted"},
		{"SELECT * FROM c JOIN t IN c.tags", "single input set"},
		{"SELECT c.a, c.b AS a FROM c", "two columns of the name a"},
		{"SELECT TOP 1.5 * FROM c", "must be an integer"},
		{"SELECT TOP -1 c.name FROM c", "near '-'. (at 11)"},
		{"SELECT c.name FROM c OFFSET 1", "ends too early"},
		{"SELECT c.name FROM c OFFSET 10 LIMIT 4294967296", "The LIMIT count value exceeds the maximum allowed value. (at 37)"},
		{"SELECT * FROM c ORDER BY RANK FullTextScore(c.a, 'x')", "RANK"},
		{"SELECT * FROM c ORDER BY LOWER(c.a)", "could not be mapped to a document path"},
		{"SELECT * FROM c ORDER BY c", "could not be mapped to a document path"},
		{"SELECT VALUE ARRAY(SELECT VALUE t FROM t IN c.a ORDER BY t.x) FROM c", "'ORDER BY' is not supported in subqueries."},
		{"SELECT VALUE ARRAY(SELECT VALUE t FROM t IN c.a OFFSET 0 LIMIT 1) FROM c", "'OFFSET LIMIT' clause is not supported in subqueries."},
		{"SELECT VALUE ARRAY(SELECT TOP 1 VALUE t FROM t IN c.a) FROM c", "TOP in subqueries"},
		{"SELECT VALUE ALL(SELECT VALUE t FROM t IN c.a) FROM c", "ALL of a subquery"},
		{"SELECT * FROM c GROUP BY c.age", "'SELECT *' is not allowed with GROUP BY."},
		{"SELECT c.a, COUNT(1) FROM c", "Property reference 'c.a' is invalid in the select list"},
		{"SELECT c.a, UPPER(c.b) FROM c GROUP BY c.a", "Property reference 'c.b' is invalid in the select list"},
		{"SELECT c.a FROM c GROUP BY c.a ORDER BY c.a", "ORDER BY together with GROUP BY"},
		{"SELECT VALUE MAX(MIN(r)) From r", "Cannot perform an aggregate function"},
		{"SELECT VALUE MAX((SELECT VALUE 1)) From r", "Cannot perform an aggregate function"},
		{"SELECT * FROM c WHERE COUNT(1) > 1", "Cannot perform an aggregate function"},
		{"SELECT * FROM c WHERE " + strings.Repeat("(", 100_000), "nests deeper"},
		{"SELECT * FROM c WHERE " + strings.Repeat("NOT ", 100_000), "nests deeper"},
		{"SELECT VALUE " + strings.Repeat("-", 100_000) + "x", "ends too early"},
		{"SELECT VALUE " + strings.Repeat("- ", 100_000) + "1", "nests deeper"},
		{"SELECT VALUE 1" + strings.Repeat("+1", 100_000), "operators in a row"},
		{"SELECT VALUE c" + strings.Repeat(".a", 100_000) + " FROM c", "steps"},
		{"SELECT * FROM c WHERE " + strings.Repeat("EXISTS(SELECT VALUE 1 FROM c WHERE ", 100) + "x =" + strings.Repeat(")", 100), "nests deeper"},
		{"SELECT VALUE " + strings.Repeat("x", 600_000) + " FROM c", "at most"},
	} {
		_, err := sql.Compile(c.query, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200s: got %v, want it to say %q", c.query, err, c.want)
		}
	}
}

func TestEqualities(t *testing.T) {
	s, err := sql.Compile(`SELECT * FROM r WHERE r.pk = @k AND (r["a"].b = 3 AND r.x > 1) AND (r.y = 1 OR r.z = 2) AND NOT r.n = 4`,
		[]sql.Parameter{{Name: "@k", Value: json.RawMessage(`"v"`)}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range s.Equalities() {
		got = append(got, strings.Join(e.Path, ".")+"="+string(e.Value))
	}
	if want := "pk=\"v\" a.b=3"; strings.Join(got, " ") != want {
		t.Errorf("got %v want %s", got, want)
	}
}
