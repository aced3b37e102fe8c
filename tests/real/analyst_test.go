package real_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/azure"
	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// TestAnalysts follows docs/analysts.md with every reader, on what the programs archived; every answer is what the oracle
// and the restorer say, so all readers give the same.
func TestAnalysts(t *testing.T) {
	onRequest(t)
	m := newMarket(t, within(t, 15*time.Minute))
	m.trade()
	m.judge()
	m.restores()
	for _, a := range analysts(t) {
		t.Run(a.reader, func(t *testing.T) {
			for _, asked := range []struct {
				of      harness.Container
				moments []int
			}{
				{products(), momentsFor(a.reader)},
				{orders(), []int{secondHour}},
			} {
				for _, moment := range asked.moments {
					a.follow(t, m.environment(m.stack.Archive, asked.of, m.moments[moment]))
					m.askThen(a, asked.of, moment)
				}
				m.askAlways(a, asked.of)
			}
		})
	}
	t.Run("strays", m.strays)
	t.Run("refusals", m.refusals)
	t.Run("leftovers", m.leftovers)
	t.Run("glob", m.glob)
	t.Run("Azure", m.azure)
}

func momentsFor(reader string) []int {
	if reader == pySpark { // which takes ten seconds for each
		return []int{beforeAll, secondHour, afterAll}
	}
	return []int{beforeAll, firstHour, beforeFailover, secondHour, afterAll}
}

// TestEveryBlockIsRun: a block under a heading that nobody follows would be told and never tried.
func TestEveryBlockIsRun(t *testing.T) {
	p := readPage(t)
	if len(p) == 0 {
		t.Fatal("got no block want some")
	}
	for _, b := range p {
		known := []string{setUp, tables, historyOf, contentNow, restorePoint, contentThen, changesPerHour}
		switch b.section {
		case inPython, byGlob:
			known = []string{""}
		case duckDB, polars, pandas:
			known = append(known, fromAzure)
		case pySpark:
		default:
			known = nil
		}
		if !slices.Contains(known, b.title) {
			t.Errorf("nobody runs the block %q of %q", b.title, b.section)
		}
	}
}

// TestThePagesVersions: what the page lets its reader install is what its blocks are run with.
func TestThePagesVersions(t *testing.T) {
	root := must(t, harness.Root)
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page := read("docs", "analysts.md")
	pinned := strings.Split(read("deploy", "dev", "requirements.txt"), "\n")
	var named []string
	for line := range strings.Lines(page) {
		if packages, ok := strings.CutPrefix(line, "    pip install "); ok {
			named = append(named, strings.Fields(packages)...)
		}
	}
	for _, one := range named {
		if !slices.Contains(pinned, one) {
			t.Errorf("docs/analysts.md installs %s, got %v in deploy/dev/requirements.txt want the same", one, pinned)
		}
	}
	for _, reader := range []string{"duckdb", "polars", "deltalake", "pandas", "pyarrow", "pyspark", "duckdb-extension-delta", "duckdb-extension-azure"} {
		if !slices.ContainsFunc(named, func(one string) bool { return strings.HasPrefix(one, reader+"==") }) {
			t.Errorf("docs/analysts.md installs %v want %s among them", named, reader)
		}
	}
	_, delta, _ := strings.Cut(read("deploy", "dev", "lib.sh"), "SPARK_DELTA=")
	delta, _, _ = strings.Cut(delta, "\n")
	if delta == "" || strings.Count(page, "--packages "+delta+" ") != 1 {
		t.Errorf("got no --packages %q in docs/analysts.md want Delta Lake as deploy/dev installs it", delta)
	}
}

// environment is what the page tells its reader to set.
func (m *market) environment(root string, c harness.Container, moment time.Time) map[string]string {
	m.t.Helper()
	state, err := filepath.Rel(m.stack.Archive, m.state(c))
	m.must(err)
	return map[string]string{
		"ALMANAC_ARCHIVE": root + "/" + marketTopic, "ALMANAC_STATE": root + "/" + filepath.ToSlash(state),
		"ALMANAC_CONTAINER": c.Name(), "ALMANAC_MOMENT": moment.Format(time.RFC3339Nano),
	}
}

// askThen asks for the point and the content at the moment that the analyst's environment names.
func (m *market) askThen(a *analyst, c harness.Container, moment int) {
	a.t.Helper()
	what := fmt.Sprintf("%s at moment %d", c.Name(), moment)
	p := m.pointAt(c, moment)
	if p == nil {
		a.refuses(what, noPoint)
		return
	}
	a.same("cuts of "+what, a.answer(restorePoint, "cuts", "min", "max", "generation", "lsn"), cutsOf(p))
	a.same("content of "+what, m.digested(a.answer(contentThen, "then", "partition_key", "id", "ts", "document")), m.rows(c, p))
}

func cutsOf(p *oracle.Point) []row {
	var cuts []row
	for _, cut := range p.Cuts {
		cuts = append(cuts, row{"min": cut.Range.Min, "max": cut.Range.Max, "generation": cut.Generation, "lsn": cut.LSN})
	}
	return cuts
}

// askAlways asks what has one answer.
func (m *market) askAlways(a *analyst, c harness.Container) {
	a.t.Helper()
	newest := m.point(c, "--at", m.snapshots[c.Name()])
	a.same("content now of "+c.Name(), m.digested(a.answer(contentNow, "now", "partition_key", "id", "ts", "document")), m.rows(c, newest))
	a.same("changes per hour of "+c.Name(), a.answer(changesPerHour, "hourly", "hour", "changes"), m.hours(c))
	if c.Name() == products().Name() {
		got := a.answer(historyOf, "history", "ts", "op", "generation", "lsn", "ordinal", "etag", "document")
		for _, r := range got {
			user, err := oracle.User([]byte(fmt.Sprint(r["document"])))
			if err != nil {
				a.t.Fatal(err)
			}
			r["document"] = string(user)
		}
		a.same("history", got, m.history(c))
	}
}

// pointAt is the restorer's point at a moment, nil before the first and after the newest.
func (m *market) pointAt(c harness.Container, moment int) *oracle.Point {
	m.t.Helper()
	if moment == beforeAll || moment == afterAll {
		r, err := m.stack.Run(m.ctx, "restorer", "plan", "--container", c.Name(), "--before", m.moments[moment].Format(time.RFC3339Nano))
		m.must(err)
		if r.Exit != 2 {
			m.t.Fatalf("plan before the first point, or after the newest: got exit code %d want 2: %s", r.Exit, r.Stderr)
		}
		return nil
	}
	return m.point(c, "--before", m.moments[moment].Format(time.RFC3339Nano))
}

// rows are the content at a point as a reader must find it, with digests instead of documents: what the ledger says, in the
// form of the archive's row of that version.
func (m *market) rows(c harness.Container, p *oracle.Point) []row {
	m.t.Helper()
	type version struct {
		doc  oracle.Doc
		etag string
	}
	archived := map[version]*oracle.Row{}
	for i := range m.archive.Rows {
		if r := &m.archive.Rows[i]; r.Container == c.Name() {
			archived[version{r.Doc, r.ETag}] = r
		}
	}
	var rows []row
	for doc, e := range m.content(c, p) {
		r := archived[version{doc, e.ETag}]
		if r == nil || r.User != e.SHA256 {
			m.t.Fatalf("got %+v in the archive of %s %s want its version %s", r, doc.PK, doc.ID, e.ETag)
		}
		rows = append(rows, row{"partition_key": r.PartitionKey, "id": r.Doc.ID, "ts": r.TS, "document": r.Bytes})
	}
	if len(rows) == 0 {
		m.t.Fatalf("point %s of %s: got no document want some", p.Name, c.Name())
	}
	return rows
}

func (m *market) digested(rows []row) []row {
	for _, r := range rows {
		r["document"] = oracle.Digest([]byte(fmt.Sprint(r["document"])))
	}
	return rows
}

// hours are the changes per hour, by the archive's rows.
func (m *market) hours(c harness.Container) []row {
	m.t.Helper()
	seen := map[string]bool{}
	count := map[int64]int{}
	for i := range m.archive.Rows {
		r := &m.archive.Rows[i]
		if change := fmt.Sprint(r.Doc, r.ETag); r.Container == c.Name() && !seen[change] {
			seen[change] = true
			count[time.UnixMicro(r.TS).Truncate(time.Hour).UnixMicro()]++
		}
	}
	var rows []row
	for hour, n := range count {
		rows = append(rows, row{"hour": hour, "changes": n})
	}
	if len(rows) < 3 {
		m.t.Errorf("got changes in %d hours want 3", len(rows))
	}
	return rows
}

// history is what the restorer says of the noted document, each change once.
func (m *market) history(c harness.Container) []row {
	m.t.Helper()
	var said struct {
		Versions []struct {
			TS         time.Time
			Op         string
			Generation int64
			LSN        int64
			Ordinal    int64
			ETag       string
			Document   string
		}
	}
	_, err := m.stack.Ask(m.ctx, &said, "restorer", "history", "--container", c.Name(), "--partition-key", notedKey, "--id", noted, "--documents")
	m.must(err)
	var rows []row
	for _, v := range said.Versions {
		r := row{
			"ts": v.TS.UnixMicro(), "op": v.Op, "generation": v.Generation, "lsn": v.LSN, "ordinal": v.Ordinal, "etag": v.ETag, "document": v.Document,
		}
		if len(rows) == 0 || rows[len(rows)-1].line(m.t) != r.line(m.t) {
			rows = append(rows, r)
		}
	}
	if len(rows) < 3 || len(rows) == len(said.Versions) {
		m.t.Errorf("got %d versions in %d rows of the history want at least 3, and a repeat", len(rows), len(said.Versions))
	}
	return rows
}

// restores compares what the analysts' answers are judged by with restored containers, and with documents that are asked for.
func (m *market) restores() {
	for _, c := range marketContainers() {
		p := m.pointAt(c, beforeFailover)
		target := c
		target.ID += "-restored"
		mustRun(m.t, m.ctx, m.stack, "restorer", "run", "--container", c.Name(), "--at", p.Name, "--to", target.Name())
		got := map[oracle.Doc]string{}
		m.must(m.stack.Account.Each(m.ctx, target, func(document []byte) error {
			doc, err := oracle.Identify(document, target.Key)
			if err != nil {
				return err
			}
			user, err := oracle.User(document)
			got[doc] = oracle.Digest(user)
			return err
		}))
		report := &oracle.Report{}
		oracle.CheckContent(p.Name, got, m.content(c, p), p.Latest, report)
		if report.Total() > 0 {
			m.t.Errorf("restored %s: %s", p.Name, report)
		}
	}
}

// get is what the restorer prints of a document at a moment of the archive below root, and its exit code.
func (m *market) get(root, key, id string, moment time.Time) *harness.Result {
	m.t.Helper()
	r, err := m.stack.Run(m.ctx, "restorer", "get", "--archive-root", root, "--container", products().Name(),
		"--partition-key", key, "--id", id, "--before", moment.Format(time.RFC3339Nano))
	m.must(err)
	return r
}

// strays are rows that the programs did not write, in a copy of the archive: a deletion as other modes of the feed will tell
// of it, second of two changes of one transaction; and marks of two readers that others had overtaken, one of them before a
// failover. Readers and restorer agree about them too.
func (m *market) strays(t *testing.T) {
	root := m.copied(t)
	c, moment := products(), m.moments[secondHour]
	p := m.pointAt(c, secondHour)
	rows := m.rows(c, p)
	gone := slices.IndexFunc(rows, func(r row) bool { return r["id"] == "nested" })
	key, id := fmt.Sprint(rows[gone]["partition_key"]), fmt.Sprint(rows[gone]["id"])
	if r := m.get(root, key, id, moment); r.Exit != 0 {
		t.Fatalf("get: got %v want the document", r.Err())
	}
	all := analysts(t)
	writer := all[slices.IndexFunc(all, func(a *analyst) bool { return a.reader == pandas })]
	writer.follow(t, m.environment(root, c, moment))
	writer.run(block{language: "python", code: fmt.Sprintf(strayRows, key, id)})
	want := slices.Delete(slices.Clone(rows), gone, gone+1)
	environment := m.environment(root, c, moment)
	environment["ALMANAC_STATE"] = filepath.Join(root, "before-the-first-snapshot") // which only "Content now" needs
	for _, a := range all {
		a.follow(t, environment)
		a.same("cuts with strays", a.answer(restorePoint, "cuts", "min", "max", "generation", "lsn"), cutsOf(p))
		a.same("content with strays", m.digested(a.answer(contentThen, "then", "partition_key", "id", "ts", "document")), want)
	}
	if r := m.get(root, key, id, moment); r.Exit != 4 {
		t.Errorf("get after the deletion: got exit code %d, %s want 4", r.Exit, r.Stderr)
	}
	if got := m.point(c, "--archive-root", root, "--before", moment.Format(time.RFC3339Nano)); got.Name != p.Name {
		t.Errorf("the restorer's point with strays: got %s want %s", got.Name, p.Name)
	}
}

const strayRows = `
import deltalake, pyarrow

def again(mark):
    at = (moment - pd.Timedelta(seconds=1)).floor("ms")
    document = json.loads(mark["document"]) | {"latest": at.strftime("%%Y-%%m-%%dT%%H:%%M:%%S.%%f")[:-3] + "Z"}
    return mark.to_dict() | {"ts": at, "document": json.dumps(document)}

gone = changes[(changes["partition_key"] == %q) & (changes["id"] == %q) & (changes["ts"] <= moment)].sort_values("lsn").iloc[-1]
marks = topic.to_pandas(filters=[("container", "=", "_almanac"), ("id", "=", container), ("ts", "<=", moment)]).sort_values("ts")
marks = marks[(marks["op"] == "mark") & marks["document"].map(lambda mark: json.loads(mark).get("drained", False))]
ranges = marks.groupby("partition_key")
failed = ranges.get_group(ranges["generation"].nunique().idxmax())
before = failed[failed["generation"] == failed["generation"].min()]
assert failed["generation"].nunique() == 2
other = marks[~marks["partition_key"].isin(failed["partition_key"])]
behind = other[other["partition_key"] == other.groupby("partition_key")["lsn"].nunique().idxmax()]
assert behind["lsn"].nunique() > 1 and behind["generation"].nunique() == 1
rows = pd.DataFrame([gone.to_dict() | {"op": "deleted", "ordinal": 1, "document": None}, again(before.iloc[-1]), again(behind.iloc[0])])
rows = pyarrow.Table.from_pandas(rows, pyarrow.schema(topic.schema().to_arrow()), preserve_index=False)
deltalake.write_deltalake(topic, rows, mode="append")
`

// copied is a copy of the archive.
func (m *market) copied(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(m.stack.Archive)); err != nil {
		t.Fatal(err)
	}
	return root
}

// glob: files that the table does not hold count, unless rows are told apart by their place on the topic.
func (m *market) glob(t *testing.T) {
	root := m.copied(t)
	a := analysts(t)[0]
	ask := func() (rows, records int) {
		a.follow(t, m.environment(root, products(), m.moments[firstHour]))
		a.run(a.page.block(t, byGlob, ""))
		got := a.found("sql", "", "rows", "records")[0]
		for name, into := range map[string]*int{"rows": &rows, "records": &records} {
			if _, err := fmt.Sscan(fmt.Sprint(got[name]), into); err != nil {
				t.Fatal(err)
			}
		}
		return rows, records
	}
	all := len(m.archive.Rows)
	if rows, records := ask(); rows != all || records != all {
		t.Errorf("got %d rows of %d records want %d of each", rows, records, all)
	}
	files, err := filepath.Glob(filepath.Join(root, marketTopic, "changes", "container=shop.products", "*", "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v, %v want files", files, err)
	}
	orphan, err := os.ReadFile(files[0])
	if err == nil {
		err = os.WriteFile(strings.Replace(files[0], ".parquet", "-orphan.parquet", 1), orphan, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if rows, records := ask(); rows <= all || records != all {
		t.Errorf("with a file that nobody committed: got %d rows of %d records want more than %d of %d", rows, records, all, all)
	}
	a.run(block{language: "sql", code: "SELECT count(*) AS n FROM read_parquet('" + filepath.Join(m.state(products()), "*.parquet") + "')"})
	documents := len(m.rows(products(), m.point(products(), "--at", m.snapshots[products().Name()])))
	if got := fmt.Sprint(a.found("sql", "", "n")[0]["n"]); got == fmt.Sprint(documents) {
		t.Errorf("glob over state: got %s rows, as many as there are documents; the page says more", got)
	}
}

// azure follows the page with an archive in Azurite.
func (m *market) azure(t *testing.T) {
	e, name := at(t, ""), newContainer(t)
	store := e.store(t, name+"/an/archive", azure.Options{})
	files := os.DirFS(m.stack.Archive)
	err := fs.WalkDir(files, marketTopic, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := files.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = store.Put(m.ctx, path, file, blob.IfAbsent())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range analysts(t) {
		if a.reader == pySpark {
			continue // wants jars of Hadoop for Azure, which notebooks in Azure have
		}
		for _, c := range marketContainers() {
			environment := m.environment("az://"+name+"/an/archive", c, m.moments[secondHour])
			environment["AZURE_STORAGE_CONNECTION_STRING"] = must(t, components.azurite)
			environment["AZURITE_BLOB_STORAGE_URL"] = e.server() // DuckDB's extension knows one port otherwise
			if a.reader != duckDB {
				delete(environment, "AZURE_STORAGE_CONNECTION_STRING")
				environment["AZURE_STORAGE_ACCOUNT_NAME"], environment["AZURE_STORAGE_ACCOUNT_KEY"] = e.account, e.key
				environment["AZURE_STORAGE_ENDPOINT"], environment["AZURE_ALLOW_HTTP"] = e.endpoint, "true"
			}
			a.follow(t, environment)
			m.askThen(a, c, secondHour)
			m.askAlways(a, c)
		}
	}
}
