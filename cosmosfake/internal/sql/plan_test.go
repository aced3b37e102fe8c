package sql_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
)

// TestPlans compares with plans of the service (QueryPlanBaselineTests of azure-cosmos-dotnet-v3). {filter} is its
// placeholder.
func TestPlans(t *testing.T) {
	for _, x := range []struct{ query, rewritten, plan string }{
		{"SELECT * FROM c", "", `"distinctType":"None"`},
		{"SELECT VALUE c.age FROM c GROUP BY c.age", `SELECT [{"item": c.age}] AS groupByItems, c.age AS payload FROM c GROUP BY c.age`, `"groupByExpressions":["c.age"]`},
		{`SELECT VALUE {"age": c.age} FROM c GROUP BY {"age": c.age}`, `SELECT [{"item": {"age": c.age}}] AS groupByItems, {"age": c.age} AS payload FROM c GROUP BY {"age": c.age}`, `"hasSelectValue":true`},
		{"SELECT VALUE AVG(c.age) FROM c GROUP BY c.age", `SELECT [{"item": c.age}] AS groupByItems, [{"item": {"sum": SUM(c.age), "count": COUNT(c.age)}}] AS payload FROM c GROUP BY c.age`, `"aggregates":["Average"]`},
		{
			"SELECT c.team, c.name, COUNT(1) AS count, MIN(c.age) AS min_age FROM c GROUP BY c.team, c.name",
			`SELECT [{"item": c.team}, {"item": c.name}] AS groupByItems, {"team": c.team, "name": c.name, "count": {"item": COUNT(1)}, "min_age": {"item": MIN(c.age), "item2": {"min": MIN(c.age), "count": COUNT(c.age)}}} AS payload FROM c GROUP BY c.team, c.name`,
			`"groupByAliasToAggregateType":{"count":"Count","min_age":"Min","name":null,"team":null}`,
		},
		{
			"SELECT UPPER(c.name) AS name, SUBSTRING(c.address.city, 0, 3) AS city, Avg(c.income) AS income FROM c GROUP BY UPPER(c.name), SUBSTRING(c.address.city, 0, 3)",
			`SELECT [{"item": UPPER(c.name)}, {"item": SUBSTRING(c.address.city, 0, 3)}] AS groupByItems, {"name": UPPER(c.name), "city": SUBSTRING(c.address.city, 0, 3), "income": {"item": {"sum": SUM(c.income), "count": COUNT(c.income)}}} AS payload FROM c GROUP BY UPPER(c.name), SUBSTRING(c.address.city, 0, 3)`,
			`"groupByAliases":["name","city","income"]`,
		},
		{"SELECT c.name, s FROM c JOIN ( SELECT VALUE score FROM score IN c.scores GROUP BY score ) s", "", `"groupByExpressions":[]`},
		{"SELECT c.name, UPPER(c.name) FROM c GROUP BY c.name", `SELECT [{"item": c.name}] AS groupByItems, {"name": c.name, "$1": UPPER(c.name)} AS payload FROM c GROUP BY c.name`, `"aggregates":[]`},
		{"SELECT AVG(c.blah) FROM c", `SELECT {"$1": {"item": {"sum": SUM(c.blah), "count": COUNT(c.blah)}}} AS payload FROM c`, `"groupByAliasToAggregateType":{"$1":"Average"}`},
		{"SELECT VALUE MAX(c.blah) FROM c", `SELECT VALUE [{"item": MAX(c.blah), "item2": {"max": MAX(c.blah), "count": COUNT(c.blah)}}] FROM c`, `"aggregates":["Max"]`},
		{"SELECT VALUE MIN(c.blah + 1) FROM c WHERE c.key > 1", `SELECT VALUE [{"item": MIN((c.blah + 1)), "item2": {"min": MIN((c.blah + 1)), "count": COUNT((c.blah + 1))}}] FROM c WHERE (c.key > 1)`, `"aggregates":["Min"]`},
		{"SELECT VALUE AVG(c.age + 1) FROM Root r JOIN c in r.children WHERE c.age > 1 ORDER BY c.name", `SELECT VALUE [{"item": {"sum": SUM((c.age + 1)), "count": COUNT((c.age + 1))}}] FROM Root AS r JOIN c IN r.children WHERE (c.age > 1) ORDER BY c.name`, `"orderBy":[]`},
		{"SELECT TOP 10 VALUE AVG(r.age + 1) FROM Root r", `SELECT VALUE [{"item": {"sum": SUM((r.age + 1)), "count": COUNT((r.age + 1))}}] FROM Root AS r`, `"top":10`},
		{"SELECT DISTINCT c.blah FROM c", "", `"distinctType":"Unordered"`},
		{"SELECT DISTINCT VALUE c.blah FROM c ORDER BY c.blah", `SELECT c._rid, [{"item": c.blah}] AS orderByItems, c.blah AS payload FROM c WHERE ({filter} AND IS_DEFINED(c.blah)) ORDER BY c.blah`, `"distinctType":"Ordered"`},
		{"SELECT DISTINCT VALUE c.x FROM c ORDER BY c.blah", `SELECT c._rid, [{"item": c.blah}] AS orderByItems, c.x AS payload FROM c WHERE ({filter} AND IS_DEFINED(c.x)) ORDER BY c.blah`, `"distinctType":"Unordered"`},
		{"SELECT * FROM Root r WHERE r.key = 'key' ORDER BY r.key DESC", `SELECT r._rid, [{"item": r.key}] AS orderByItems, r AS payload FROM Root AS r WHERE ((r.key = "key") AND {filter}) ORDER BY r.key DESC`, `"orderBy":["Descending"]`},
		{"SELECT * FROM Root r WHERE r.key IN (1, 2) ORDER BY r.a, r.b ASC", `SELECT r._rid, [{"item": r.a}, {"item": r.b}] AS orderByItems, r AS payload FROM Root AS r WHERE ((r.key IN (1, 2)) AND {filter}) ORDER BY r.a, r.b ASC`, `"orderByExpressions":["r.a","r.b"]`},
		{`SELECT TOP 70 r["a"] FROM Root r ORDER BY r.key DESC`, `SELECT TOP 70 r._rid, [{"item": r.key}] AS orderByItems, {"a": r["a"]} AS payload FROM Root AS r WHERE {filter} ORDER BY r.key DESC`, `"top":70`},
		{"SELECT VALUE r.a FROM r WHERE r.d = true ORDER BY r.b", `SELECT r._rid, [{"item": r.b}] AS orderByItems, r.a AS payload FROM r WHERE (((r.d = true) AND {filter}) AND IS_DEFINED(r.a)) ORDER BY r.b`, `"hasSelectValue":true`},
		{"SELECT * FROM c WHERE c.blah = 5 OFFSET 1 LIMIT 2", "SELECT * FROM c WHERE (c.blah = 5) OFFSET 0 LIMIT 3", `"offset":1,"limit":2`},
		{"SELECT * FROM c OFFSET @a LIMIT @b", "SELECT * FROM c OFFSET 0 LIMIT 1379", `"offset":42,"limit":1337`},
		{"SELECT DISTINCT * FROM c WHERE c.key = 5 OFFSET 1 LIMIT 2", "SELECT DISTINCT * FROM c WHERE (c.key = 5)", `"limit":2`},
		{"SELECT c.name FROM c WHERE c.key = 5 GROUP BY c.name OFFSET 1 LIMIT 2", `SELECT [{"item": c.name}] AS groupByItems, {"name": c.name} AS payload FROM c WHERE (c.key = 5) GROUP BY c.name`, `"offset":1`},
		{"SELECT TOP @a * FROM c", "", `"top":42`},
		{"SELECT DISTINCT TOP 5 VALUE c.name FROM c", "SELECT DISTINCT VALUE c.name FROM c", `"top":5`},
		{
			"SELECT VALUE c.x FROM c WHERE NOT (c.a LIKE 'x!%' ESCAPE '!' OR c.b[0] BETWEEN -1 AND @a) AND EXISTS(SELECT VALUE t FROM t IN c.t WHERE t.u ?? 1 = 2 ? true : null) OFFSET 0 LIMIT 1",
			`SELECT VALUE c.x FROM c WHERE ((NOT ((c.a LIKE "x!%" ESCAPE "!") OR (c.b[0] BETWEEN -1 AND @a))) AND EXISTS(SELECT VALUE t FROM t IN c.t WHERE ((t.u ?? (1 = 2)) ? true : null))) OFFSET 0 LIMIT 1`, `"limit":1`,
		},
	} {
		params := []sql.Parameter{{Name: "@a", Value: json.RawMessage("42")}, {Name: "@b", Value: json.RawMessage("1337")}}
		s, err := sql.Compile(x.query, params)
		if err != nil {
			t.Errorf("%s: %v", x.query, err)
			continue
		}
		p, err := s.Plan()
		if err != nil {
			t.Errorf("%s: %v", x.query, err)
			continue
		}
		want := strings.ReplaceAll(x.rewritten, "{filter}", "({documentdb-formattableorderbyquery-filter})")
		if p.RewrittenQuery != want {
			t.Errorf("%s: got %s\nwant %s", x.query, p.RewrittenQuery, want)
		}
		if text, err := json.Marshal(p); err != nil || !strings.Contains(string(text), x.plan) {
			t.Errorf("%s: got %s (%v), want %s in it", x.query, text, err, x.plan)
		}
		again := strings.ReplaceAll(p.RewrittenQuery, "({documentdb-formattableorderbyquery-filter})", "true")
		if _, err := sql.Compile(again, params); again != "" && err != nil {
			t.Errorf("%s: its rewritten query %s is refused: %v", x.query, again, err)
		}
	}
}

func TestPlansRefused(t *testing.T) {
	for _, query := range []string{
		"SELECT c.name, ABS(AVG(c.age)) as abs_avg_age FROM c GROUP BY c.name", "SELECT MIN(c.blah) / 2 FROM c",
		"SELECT VALUE {'sum': SUM(r.a)} From r", "SELECT VALUE [SUM(r.a)] From r",
	} {
		s, err := sql.Compile(query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Plan(); err == nil || err.Error() != "Compositions of aggregates and other expressions are not allowed." {
			t.Errorf("%s: got %v", query, err)
		}
	}
}
