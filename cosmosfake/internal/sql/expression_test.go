package sql_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake/internal/sql"
)

// example is an expression without documents, and its value; "" is undefined.
type example struct{ expression, want string }

func expressions(t *testing.T, list []example) {
	t.Helper()
	for _, x := range list {
		s, err := sql.Compile("SELECT VALUE "+x.expression, nil)
		if err != nil {
			t.Errorf("%s: %v", x.expression, err)
			continue
		}
		rows, err := s.Run(nil)
		if err != nil {
			t.Errorf("%s: %v", x.expression, err)
			continue
		}
		if got := string(bytes.Join(rows, []byte(" "))); got != x.want && !near(got, x.want) {
			t.Errorf("%s: got %q want %q", x.expression, got, x.want)
		}
	}
}

// near compares numbers but for their last digits, and other values without their blanks.
func near(got, want string) bool {
	var a, b float64
	if json.Unmarshal([]byte(got), &a) == nil && json.Unmarshal([]byte(want), &b) == nil {
		return math.Abs(a-b) <= 4e-15*math.Abs(b)
	}
	var x, y bytes.Buffer
	return json.Compact(&x, []byte(got)) == nil && json.Compact(&y, []byte(want)) == nil && x.String() == y.String()
}

func TestOperators(t *testing.T) {
	expressions(t, []example{
		{"1 + 2 * 3 - 4 / 2", "5"},
		{"(1 + 2) * 3 % 5", "4"},
		{"-7 % 3", "-1"},
		{"- -2", "2"},
		{"+3", "3"},
		{"~5", "-6"},
		{"6 & 3 | 8 ^ 1", "11"},
		{"-1 >>> 28", "15"},
		{"1 << 33", "2"},
		{"4294967297 | 0", "1"},
		{"1 + 'a'", ""},
		{"1 / 0", `"Infinity"`},
		{"'a' || 'b' || \"c\"", `"abc"`},
		{"'a' || 1", ""},
		{"undefined ?? 1 ?? 2", "1"},
		{"null ?? 1", "null"},
		{"true ? 1 : 2", "1"},
		{"1 ? 1 : 2", "2"},
		{"undefined ? 1 : false ? 2 : 3", "3"},
		{"1 ? 2 ?? 3 : 4", "4"},
		{"1 < 2 AND 2 <= 2 AND 3 > 2 AND 3 >= 3 AND 1 != 2 AND 1 <> 2", "true"},
		{"1 < '2'", ""},
		{"1 = '1'", "false"},
		{"1 != '1'", "true"},
		{"undefined = undefined", ""},
		{"null = null", "true"},
		{"null < 1", ""},
		{"[1] < [2]", ""},
		{"[1, {a: 2, b: 3}] = [1, {b: 3, a: 2}]", "true"},
		{"false < true", "true"},
		{"true AND undefined", ""},
		{"false AND undefined", "false"},
		{"undefined AND false", "false"},
		{"true OR undefined", "true"},
		{"undefined OR true", "true"},
		{"false OR undefined", ""},
		{"1 AND true", ""},
		{"NOT undefined", ""},
		{"NOT NOT true", "true"},
		{"NOT 1", ""},
		{"NOT 1 = 2", "true"},
		{"NOT false AND false", "false"},
		{"2 BETWEEN 1 AND 3 AND true", "true"},
		{"2 NOT BETWEEN 1 AND 3", "false"},
		{"2 BETWEEN 'a' AND 'b'", ""},
		{"(2 IN (1, 2)) = true", "true"},
		{"6 & 4 = 4", ""},
		{"(6 & 4) = 4", "true"},
		{"'a' || 'b' IN ('ab')", "true"},
		{"1 < 2 = true", "true"},
		{"1 + 1 << 1 > 3", "true"},
		{"undefined IN (1)", ""},
		{"1 NOT IN (2, undefined)", "true"},
		{"[1, 2] IN ([1, 2])", "true"},
		{"'abc' LIKE 'a%'", "true"},
		{"'abc' LIKE '_b_'", "true"},
		{"'abc' NOT LIKE 'a_'", "true"},
		{"1 LIKE 'a'", ""},
		{"'a%c' LIKE '%!%%' ESCAPE '!'", "true"},
		{"'20-30%' LIKE '20-30[%]'", "true"},
		{"'_n' LIKE '[_]n'", "true"},
		{"']' LIKE ']'", "true"},
		{"'x[' LIKE 'x['", "true"},
		{"'b' LIKE '[a-c]'", "true"},
		{"'b' LIKE '[^a-c]'", "false"},
		{"'a-' LIKE 'a[-]'", "true"},
		{"'aXbXc' LIKE 'a%X%c'", "true"},
		{"'äöü' LIKE '_ö_'", "true"},
		{"'' LIKE '%'", "true"},
		{"'' LIKE ''", "true"},
		{"{a: [10, 20]}.a[1]", "20"},
		{"{'a b': 1}['a b']", "1"},
		{"[1][1]", ""},
		{"[1][-1]", ""},
		{"[1][0.5]", ""},
		{"{a: 1}[0]", ""},
		{"'abc'[0]", ""},
		{"[1, undefined, 2]", "[1,2]"},
		{"{a: undefined, b: 1}", `{"b":1}`},
		{"0x1F", "31"},
		{"1.5e3", "1500"},
		{".5", "0.5"},
		{"1e-7", "1e-7"},
		{"1e21", "1e+21"},
		{"-0", "0"},
		{"14320368000000001", "14320368000000000"},
		{`'it\'s "x" \u00e9\n'`, `"it's \"x\" é\n"`},
		{`"a\"b\\/\/\t"`, `"a\"b\\//\t"`},
		{"TRUE AND Null = nuLL", "true"},
		{"(SELECT VALUE 1)", "1"},
		{"EXISTS (SELECT VALUE undefined)", "false"},
		{"EXISTS (SELECT undefined)", "true"},
	})
}

// TestWrongTypes: a function of a wrong type is undefined.
func TestWrongTypes(t *testing.T) {
	expressions(t, []example{
		{"UPPER(3)", ""},
		{"CONCAT('a', 1)", ""},
		{"ABS('a')", ""},
		{"LENGTH(3)", ""},
		{"ARRAY_LENGTH('s')", ""},
		{"ARRAY_CONTAINS(undefined, 2)", ""},
		{"ARRAY_CONTAINS([1], undefined)", ""},
		{"CONTAINS(5, 'ell')", ""},
		{"CONTAINS('a', 'a', 1)", ""},
		{"SUBSTRING('abc', 0.5, 1)", ""},
		{"SUBSTRING('abc', -1, 1)", `""`},
		{"LEFT('abc', '1')", ""},
		{"REPLACE('a', '', 'b')", ""},
		{"REPLICATE('ab', 2)", `"abab"`},
		{"REPLICATE('ab', -1)", ""},
		{"REPLICATE('ab', 5001)", ""},
		{"INDEX_OF('abcabc', 'b', 2)", "4"},
		{"ARRAY_SLICE([1], 'a')", ""},
		{"ARRAY_CONCAT([1], 2)", ""},
		{"SetUnion([1], 1)", ""},
		{"ObjectToArray([1])", ""},
		{"STARTSWITH(undefined, 'a')", ""},
		{"ToString(3)", `"3"`},
		{"ToString(null)", `"null"`},
		{"ToString({a: [1, 'x']})", `"{\"a\":[1,\"x\"]}"`},
		{"SQRT(-1)", `"NaN"`},
		{"IS_NUMBER(NaN) AND NOT IS_FINITE_NUMBER(-Infinity)", "true"},
		{"DateTimeAdd('mm', 1, '2021-01-31T10:00:00Z')", `"2021-02-28T10:00:00.0000000Z"`},
		{"DateTimeAdd('yyyy', 9000, '2021-01-31T10:00:00Z')", ""},
		{"DateTimeAdd('dd', 1e300, '2021-01-31T10:00:00Z')", ""},
		{"DateTimeAdd('dd', 0.5, '2021-01-31T10:00:00Z')", ""},
		{"DateTimeAdd('x', 1, '2021-01-31T10:00:00Z')", ""},
		{"DateTimePart('yyyy', 'yesterday')", ""},
		{"DateTimeFromParts(2021, 2, 29)", ""},
		{"DateTimeBin('1969-12-31T23:00:00Z', 'dd', 2)", `"1969-12-30T00:00:00.0000000Z"`},
		{"DateTimeBin('2021-05-20T00:00:00Z', 'mm', 3)", `"2021-04-01T00:00:00.0000000Z"`},
		{"DateTimeDiff('ms', '1969-12-31T23:59:59.9990000Z', '1970-01-01T00:00:00.0010000Z')", "2"},
		{"IntDiv(7, 2)", "3"},
		{"IntBitLeftShift(1, -1)", ""},
	})
}

// TestDescribedFunctions: functions whose pages give rules, and no values.
func TestDescribedFunctions(t *testing.T) {
	expressions(t, []example{
		{"ARRAY_MAX([1, 'a', true, null])", `"a"`},
		{"ARRAY_MAX([2, 1, true, null])", "2"},
		{"ARRAY_MIN([2, 1, true, null, undefined])", "null"},
		{"ARRAY_MIN([2, 1, 'a'])", "1"},
		{"ARRAY_MIN(1)", ""},
		{"CONTAINS_ALL_CS('Have', 'a', 'H')", "true"},
		{"CONTAINS_ALL_CS('Have', 'A', 'H')", "false"},
		{"CONTAINS_ANY_CS('Have', 'A', 'H')", "true"},
		{"CONTAINS_ANY_CS('Have', 'A', 'h')", "false"},
		{"CONTAINS_ANY_CI('Have', 'x', 'h')", "true"},
		{"CONTAINS_ANY_CI('Have', 'x', undefined)", ""},
		{"[YEAR('2023-03-06'), MONTH('2023-03-06Z'), DAY('2023-03-06 15:29:00Z')]", "[2023,3,6]"},
		{"IS_DATETIME('2023-03-06T15:29:59.1234567Z') AND IS_DATETIME('2023-03-06T15:29:59.9') AND IS_DATETIME('2023-03-06 15:29:00')", "true"},
		{"IS_DATETIME('2023-03-06Z') AND IS_DATETIME('2023-03-06')", "true"},
		{"IS_DATETIME('2023-03-06T15:29') OR IS_DATETIME('2023-3-06') OR IS_DATETIME('2023-03-06x15:29:00') OR IS_DATETIME(2023)", "false"},
		{"IS_DATETIME('2023-03-06T15:29:59.12345678') OR IS_DATETIME('2023-03-06T15:29:59,1')", "false"},
	})
}

// TestCharacters: texts are counted in UTF-16, as JavaScript does.
func TestCharacters(t *testing.T) {
	expressions(t, []example{
		{"LENGTH('äöü')", "3"},
		{"LENGTH('😀')", "2"},
		{"SUBSTRING('äöü€', 1, 2)", `"öü"`},
		{"RIGHT('äöü€', 1)", `"€"`},
		{"LEFT('日本語', 2)", `"日本"`},
		{"INDEX_OF('äöü', 'ü')", "2"},
		{"INDEX_OF('äöüä', 'ä', 1)", "3"},
		{"LASTINDEXOF('äöüä', 'ä', 2)", "0"},
		{"REVERSE('añ😀')", `"😀ña"`},
		{"UPPER('aä')", `"AÄ"`},
		{"REPLICATE('ä', 3)", `"äää"`},
		{"'ä😀' LIKE '__'", "true"},
		{"TRIM('ßaß', 'ß')", `"a"`},
	})
}

func TestPresentTime(t *testing.T) {
	s, err := sql.Compile("SELECT VALUE [GetCurrentDateTime(), GetCurrentTicks(), GetCurrentTimestampStatic()]", nil)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.At(time.Date(2023, 6, 28, 18, 32, 12, 450_099_400, time.UTC)).Run(nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := `["2023-06-28T18:32:12.4500994Z",16879771324500994,1687977132450]`; len(rows) != 1 || string(rows[0]) != want {
		t.Errorf("got %s want %s", rows, want)
	}
}

// TestLimits: what would take too long, or too much, ends with the reason.
func TestLimits(t *testing.T) {
	list := strings.Repeat("0,", 99) + "0"
	for _, x := range []struct{ query, want string }{
		{"SELECT VALUE COUNT(1) FROM c JOIN a IN c.l JOIN b IN c.l JOIN d IN c.l JOIN e IN c.l JOIN f IN c.l", "steps"},
		{"SELECT VALUE " + strings.Repeat("REPLACE(", 3) + "REPLICATE('a', 10000)" + strings.Repeat(", 'a', REPLICATE('a', 10000))", 3), "longer than"},
		{"SELECT VALUE RegexMatch('a', '(')", "RegexMatch"},
		{"SELECT VALUE RegexMatch('a', 'a', 'q')", "modifier"},
		{"SELECT VALUE (SELECT VALUE x FROM x IN c.l) FROM c", "cardinality"},
	} {
		s, err := sql.Compile(x.query, nil)
		if err != nil {
			t.Fatalf("%s: %v", x.query, err)
		}
		if _, err := s.Run([][]byte{[]byte(`{"l":[` + list + `]}`)}); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%.60s: got %v, want it to say %q", x.query, err, x.want)
		}
	}
}
