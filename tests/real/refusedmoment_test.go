package real_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// What the page's blocks say of a moment that cannot be given.
const (
	noPoint = "no restore point within a day"
	tainted = "its restore point is tainted by "
)

// refuses asks for a point that cannot be given, and for the content at it: neither is answered.
func (a *analyst) refuses(what, word string) {
	a.t.Helper()
	if err := a.try(a.page.block(a.t, a.reader, restorePoint)); err == nil || !strings.Contains(err.Error(), word) {
		a.t.Errorf("point of %s by %s: got %v want a refusal that says %q", what, a.reader, err, word)
	}
	if err := a.try(a.page.block(a.t, a.reader, contentThen)); err == nil {
		a.t.Errorf("content of %s by %s: got an answer want an error", what, a.reader)
	}
}

// turn gives an analyst who has asked already another moment.
func (a *analyst) turn(moment time.Time) {
	a.t.Helper()
	text := moment.Format(time.RFC3339Nano)
	language, code := "python", map[string]string{
		polars: "moment = datetime.fromisoformat(%q)", pandas: "moment = pd.Timestamp(%q)", pySpark: "moment = %q",
	}[a.reader]
	if a.reader == duckDB {
		language, code, text = "sql", "SET VARIABLE moment = TIMESTAMPTZ %s", "'"+text+"'"
	}
	a.run(block{language: language, code: fmt.Sprintf(code, text)})
}

// plan is what the restorer says of a moment of products, in the archive below root.
func (m *market) plan(root string, moment time.Time) *harness.Result {
	m.t.Helper()
	r, err := m.stack.Run(m.ctx, "restorer", "plan", "--archive-root", root, "--container", products().Name(), "--to", "shop.nothing",
		"--before", moment.Format(time.RFC3339Nano))
	m.must(err)
	return r
}

// refusals are archives of which a moment cannot be given, although its point was good before they were changed: restorer and
// readers refuse it, and none answers from what an earlier moment left.
func (m *market) refusals(t *testing.T) {
	c, moment := products(), m.moments[secondHour]
	p := m.pointAt(c, secondHour)
	for _, test := range []struct{ name, change, planSays, word string }{
		{"begun at now", fmt.Sprintf(rewritten, fromNow), `begun at "now"`, noPoint},
		{"nothing later is archived", fmt.Sprintf(rewritten, behind), "after the newest restore point", noPoint},
		{"gap", fmt.Sprintf(oddRow, "definition", `"gap"`, `""`, `'{"from":0,"to":0}'`), "were lost", tainted + "gap"},
		{"quarantined", fmt.Sprintf(oddRow, "definition", `"quarantined"`, `""`, fmt.Sprintf(quarantine, "False")), "could not be decoded", tainted + "quarantined"},
		{"a stranger's record", fmt.Sprintf(oddRow, "definition", `"quarantined"`, `""`, fmt.Sprintf(quarantine, "True")), "", ""},
		{"unkeyed", fmt.Sprintf(oddRow, "mark", `"unkeyed"`, `container`, `"{}"`), "could not be keyed", tainted + "unkeyed"},
		{
			"time to live", fmt.Sprintf(oddRow, "definition", `"definition"`, `container`, `json.dumps(json.loads(row["document"]) | {"defaultTtl": 3600})`),
			"time to live", tainted + "definition",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := m.copied(t)
			all := analysts(t)
			writer := all[slices.IndexFunc(all, func(a *analyst) bool { return a.reader == pandas })]
			writer.follow(t, m.environment(root, c, moment))
			writer.run(block{language: "python", code: test.change})
			if r := m.plan(root, moment); test.word == "" && r.Exit != 0 || test.word != "" && (r.Exit != 2 || !strings.Contains(string(r.Stderr), test.planSays)) {
				t.Errorf("plan: got exit code %d, %s want 2 and %q, or 0 where nothing is refused", r.Exit, r.Stderr, test.planSays)
			}
			for _, a := range all {
				a.follow(t, m.environment(root, c, moment))
				if test.word == "" {
					a.same("cuts in spite of "+test.name, a.answer(restorePoint, "cuts", "min", "max", "generation", "lsn"), cutsOf(p))
					continue
				}
				a.refuses(test.name, test.word)
			}
		})
	}
}

// leftovers: a moment that cannot be given is not answered with what the same session found for another one.
func (m *market) leftovers(t *testing.T) {
	c := products()
	for _, a := range analysts(t) {
		a.follow(t, m.environment(m.stack.Archive, c, m.moments[secondHour]))
		m.askThen(a, c, secondHour)
		for _, moment := range []int{beforeAll, afterAll} {
			a.turn(m.moments[moment])
			a.refuses(fmt.Sprintf("moment %d after one that was given", moment), noPoint)
		}
	}
}

// rewritten changes the control rows that are there.
const rewritten = `
import deltalake, pyarrow
rows = topic.to_pandas(filters=[("container", "=", "_almanac")])
%s
rows = pyarrow.Table.from_pandas(rows, pyarrow.schema(topic.schema().to_arrow()), preserve_index=False)
deltalake.write_deltalake(topic, rows, mode="overwrite", predicate="container = '_almanac'")
`

const (
	fromNow = `rows["document"] = rows["document"].str.replace('"basis":"complete"', '"basis":"none"')`
	behind  = `rows.loc[rows["ts"] > moment, "document"] = rows["document"].str.replace('"offsets":{', '"offsets":{"99":5,')` // nobody archives
)

const quarantine = `json.dumps({"reason": "tried", "key": None, "value": None, "headers": [], "foreign": %s})`

// oddRow is a control row that the programs did not write, made of one that they did.
const oddRow = `
import deltalake, pyarrow
row = topic.to_pandas(filters=[("container", "=", "_almanac"), ("id", "=", container), ("ts", "<=", moment)]).sort_values("ts")
row = row[row["op"] == %q].iloc[-1].to_dict()
row |= {"op": %s, "id": %s, "document": %s, "offset": 0}
row["partition_key"] = row["partition_key"].replace("mark", "unkeyed")
rows = pyarrow.Table.from_pandas(pd.DataFrame([row]), pyarrow.schema(topic.schema().to_arrow()), preserve_index=False)
deltalake.write_deltalake(topic, rows, mode="append")
`
