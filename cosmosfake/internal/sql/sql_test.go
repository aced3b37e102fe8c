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
		{"DELETE FROM c", "begins with SELECT"},
		{"SELECT * FROM c WHERE c.a + 1 = 2", "arithmetic"},
		{"SELECT * FROM c WHERE c.a ?? 1 = 2", "operator ??"},
		{"SELECT * FROM c WHERE ST_DISTANCE(c.a, c.b) < 1", "the function ST_DISTANCE"},
		{"SELECT VALUE udf.f(c) FROM c", "user-defined functions"},
		{"SELECT * FROM c WHERE c.a = @nope", "@nope is not given"},
		{"SELECT * FROM c WHERE c.a =", "syntax error"},
		{"SELECT * FROM c WHERE c.a = 1 GARBAGE", "syntax error"},
		{"SELECT * FROM c WHERE c.a = 1)", "not opened"},
		{"SELECT * FROM c WHERE c.a = 'x", "does not end"},
		{"SELECT * FROM c WHERE UPPER(c.a) LIKE 'a_c'", "LIKE pattern"},
		{"SELECT VALUE t FROM c JOIN t IN c.tags WHERE t.x LIKE 'a_c'", "other than the root's"},
		{"SELECT VALUE t FROM c JOIN t IN c.tags WHERE FullTextContains(t.x, 'a')", "other than the root's"},
		{"SELECT * FROM c WHERE c.a LIKE '[z-a]'", "invalid"},
		{"SELECT * FROM c WHERE EXISTS(SELECT VALUE c FROM c IN c.tags WHERE c.x LIKE 'a_c')", "other than the root's"},
		{"SELECT * FROM c WHERE c.a LIKE 'a' ESCAPE 'ab'", "one character"},
		{"SELECT VALUE (SELECT VALUE COUNT(1) FROM t IN c.tags) FROM c", "subqueries other than"},
		{"SELECT *, c.a FROM c", "single input set"},
		{"SELECT VALUE IS_NULL(c.a) FROM c", "outside of a filter"},
		{"SELECT * FROM c ORDER BY RANK c.a", "RANK"},
		{`SELECT VALUE ARRAY_LENGTH([{"my-key": 1}]) FROM c`, "object key"},
		{`SELECT * FROM c WHERE c.a = {"my-key": 1}`, "object key"},
		{"SELECT * FROM c WHERE " + strings.Repeat("(", 100_000), "nests deeper"},
		{"SELECT * FROM c WHERE " + strings.Repeat("EXISTS(SELECT VALUE 1 FROM c WHERE ", 40) + "x =" + strings.Repeat(")", 40), "syntax error"},
		{"SELECT VALUE " + strings.Repeat("x", 600_000) + " FROM c", "at most"},
	} {
		_, err := sql.Compile(c.query, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want it to say %q", c.query, err, c.want)
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

// FuzzCompile: no text and no document makes a query panic, and what compiles runs or says why not.
func FuzzCompile(f *testing.F) {
	for _, query := range []string{
		"SELECT * FROM c WHERE c.id = '1' ORDER BY c.id DESC OFFSET 1 LIMIT 2", "SELECT TOP 1 VALUE {\"a\": [c.b, 1]} FROM root c",
		"SELECT c.a, COUNT(1) AS n FROM c JOIN t IN c.tags WHERE NOT (t BETWEEN 1 AND 2 OR t LIKE 'x%') GROUP BY c.a",
		"SELECT VALUE t FROM t IN c.tags WHERE EXISTS(SELECT VALUE u FROM u IN t WHERE u >= -1e3)", "SELECT VALUE LEFT(c.a, 2) FROM c",
		"SELECT VALUE c[\"a b\"][0] FROM c WHERE FullTextContains(c.t, \"x\") AND ARRAY_CONTAINS(c.x, null) AND c.a NOT IN (1, 'x')",
	} {
		f.Add(query, `{"id":"1","a":[1,null],"tags":[1,"x",[2]]}`)
	}
	f.Fuzz(func(t *testing.T, query, document string) {
		s, err := sql.Compile(query, nil)
		if err != nil || !json.Valid([]byte(document)) {
			return
		}
		rows, err := s.Run([][]byte{[]byte(document)})
		if err != nil {
			return
		}
		for _, row := range rows {
			if !json.Valid(row) {
				t.Errorf("%s over %s: got %s, which is no JSON", query, document, row)
			}
		}
		if _, err := s.Plan(); err != nil && s.Whole() == "" {
			t.Errorf("%s: plan: %v", query, err)
		}
	})
}
