package sql_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
)

// FuzzQuery: no text and no document makes a query panic, what compiles runs or says why not, its results are JSON, and
// the query of its plan compiles.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{
		"SELECT * FROM c WHERE c.id = '1' ORDER BY c.id DESC OFFSET 1 LIMIT 2", "SELECT TOP 1 VALUE {\"a\": [c.b, 1]} FROM root c",
		"SELECT c.a, COUNT(1) AS n FROM c JOIN t IN c.tags WHERE NOT (t BETWEEN 1 AND 2 OR t LIKE 'x%') GROUP BY c.a",
		"SELECT VALUE t FROM t IN c.tags WHERE EXISTS(SELECT VALUE u FROM u IN t WHERE u >= -1e3)", "SELECT VALUE LEFT(c.a, 2) FROM c",
		"SELECT VALUE c[\"a b\"][0] FROM c WHERE FullTextContains(c.t, \"x\") AND ARRAY_CONTAINS(c.x, null) AND c.a NOT IN (1, 'x')",
		"SELECT DISTINCT VALUE ToString(c.a ?? 0x1F) || RegexMatch(c.id, '[a-c]+', 'i') FROM c JOIN (SELECT VALUE x FROM x IN c.a) AS y",
		"SELECT AVG(c.n), MIN(c.id), (1 & 2 | ~3) % 4 << 5 FROM c ORDER BY c.n", "SELECT VALUE ARRAY(SELECT VALUE REPLACE(x, 'a', 'bb') FROM x IN c.tags)",
		"SELECT DateTimeAdd('mm', 1, GetCurrentDateTime()), ObjectToArray(c), SetUnion(c.a, c.tags) FROM c", "SELECT VALUE a.b ? -a.b : (SELECT a) FROM c.a a",
		"SELECT VALUE SUBSTRING(c.id, 1, 2) FROM c WHERE c.id LIKE '[^x-z]_!%' ESCAPE '!' -- end",
	} {
		f.Add(query, `{"id":"1ä😀","a":[1,null],"tags":[1,"x",[2]],"n":1e3,"b":{"c":true}}`)
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
		p, err := s.Plan()
		if err != nil {
			if s.Whole() == "" {
				t.Errorf("%s: plan: %v", query, err)
			}
			return
		}
		again := strings.ReplaceAll(p.RewrittenQuery, "{documentdb-formattableorderbyquery-filter}", "true")
		if again == "" {
			return
		}
		if _, err := sql.Compile(again, nil); err != nil && !strings.Contains(err.Error(), "nests deeper") && !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: its rewritten query %s is refused: %v", query, again, err)
		}
	})
}

// BenchmarkScan filters documents of 1 KB: ns/op is of one document.
func BenchmarkScan(b *testing.B) {
	document := []byte(`{"id":"0000000001","pk":"tenant-17","n":42,"price":17.25,"name":"` + strings.Repeat("x", 100) + `","tags":["red","green","blue"],` +
		`"address":{"city":"Rome","zip":"00100","lines":["` + strings.Repeat("y", 100) + `","` + strings.Repeat("z", 100) + `"]},` +
		`"notes":"` + strings.Repeat("lorem ipsum ", 48) + `","_rid":"a","_ts":1700000000,"_etag":"\"1\""}`)
	for _, query := range []string{
		"SELECT * FROM c WHERE c.n > 41 AND c.address.city = 'Rome'", "SELECT * FROM c WHERE c._ts < 0",
		"SELECT c.id, c.price * 2 AS double FROM c WHERE ARRAY_CONTAINS(c.tags, 'blue')", "SELECT VALUE COUNT(1) FROM c WHERE CONTAINS(c.name, 'y')",
	} {
		b.Run(fmt.Sprintf("%.30s", query[7:]), func(b *testing.B) {
			s, err := sql.Compile(query, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(document)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Rows(document); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
