package real_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// Headings of docs/analysts.md.
const (
	duckDB, polars, pandas, pySpark = "DuckDB", "Polars", "pandas", "PySpark"

	inPython, byGlob = "The restore point in Python", "By glob"

	setUp, fromAzure, tables  = "Set-up", "From Azure", "Tables"
	historyOf, contentNow     = "History of one document", "Content now"
	restorePoint, contentThen = "The restore point", "Content at that moment"
	changesPerHour            = "Changes per hour"
)

// block is a fenced one of docs/analysts.md.
type block struct{ section, title, language, code string }

// page is all blocks of docs/analysts.md.
type page []block

func readPage(t *testing.T) page {
	t.Helper()
	root := must(t, harness.Root)
	file, err := os.Open(filepath.Join(root, "docs", "analysts.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var p page
	var at block
	inside := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		switch fence, isFence := strings.CutPrefix(line, "```"); {
		case inside && isFence:
			p = append(p, at)
			inside = false
		case inside:
			at.code += line + "\n"
		case isFence:
			inside, at.language, at.code = true, fence, ""
		case strings.HasPrefix(line, "## "):
			at.section, at.title = line[len("## "):], ""
		case strings.HasPrefix(line, "### "):
			at.title = line[len("### "):]
		}
	}
	return p
}

func (p page) block(t *testing.T, section, title string) block {
	t.Helper()
	for _, b := range p {
		if b.section == section && b.title == title {
			return b
		}
	}
	t.Fatalf("docs/analysts.md: got no block %q of %q want one", title, section)
	return block{}
}

// analyst is somebody who follows the page with one reader.
type analyst struct {
	t           *testing.T
	page        page
	reader      string
	worker      func() (*worker, error)
	environment map[string]string
	fresh       bool
}

func analysts(t *testing.T) []*analyst {
	p := readPage(t)
	var all []*analyst
	for _, reader := range []string{duckDB, polars, pandas} {
		all = append(all, &analyst{page: p, reader: reader, worker: components.readers})
	}
	return append(all, &analyst{page: p, reader: pySpark, worker: components.spark})
}

// follow begins with set-up and tables.
func (a *analyst) follow(t *testing.T, environment map[string]string) {
	t.Helper()
	a.t, a.environment, a.fresh = t, environment, true
	if a.reader != duckDB {
		a.run(a.page.block(t, inPython, ""))
	}
	a.do(setUp)
	if strings.HasPrefix(environment["ALMANAC_ARCHIVE"], "az://") {
		a.do(fromAzure)
	}
	a.do(tables)
}

func (a *analyst) do(title string) {
	a.t.Helper()
	a.run(a.page.block(a.t, a.reader, title))
}

func (a *analyst) run(b block) {
	a.t.Helper()
	if err := a.try(b); err != nil {
		a.t.Fatalf("%s, block %q: %v", a.reader, b.title, err)
	}
}

// try is run for what may be refused.
func (a *analyst) try(b block) error {
	a.t.Helper()
	_, err := must(a.t, a.worker).ask(request{
		"do": "block", "reader": a.reader, "language": b.language, "code": b.code, "environment": a.environment, "fresh": a.fresh,
	}, nil)
	a.fresh = false
	return err
}

// answer runs a block and reads what it found: the SQL's rows, or a variable.
func (a *analyst) answer(title, variable string, columns ...string) []row {
	a.t.Helper()
	a.do(title)
	return a.found(a.page.block(a.t, a.reader, title).language, variable, columns...)
}

func (a *analyst) found(language, variable string, columns ...string) []row {
	a.t.Helper()
	if language == "sql" {
		variable = "result"
	}
	out := filepath.Join(a.t.TempDir(), "rows")
	must(a.t, a.worker).mustAsk(a.t, request{"do": "found", "reader": a.reader, "variable": variable, "columns": columns, "out": out}, nil)
	return readRows(a.t, out)
}

func readRows(t *testing.T, path string) []row {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for decoder := json.NewDecoder(strings.NewReader(string(text))); decoder.More(); {
		decoder.UseNumber()
		var r row
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

// same compares rows as text, in any order.
func (a *analyst) same(what string, got, want []row) {
	a.t.Helper()
	texts := func(rows []row) (out []string) {
		for _, r := range rows {
			out = append(out, r.line(a.t))
		}
		slices.Sort(out)
		return out
	}
	g, w := texts(got), texts(want)
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g) || i >= len(w):
			a.t.Errorf("%s by %s: got %d rows want %d", what, a.reader, len(g), len(w))
			return
		case g[i] != w[i]:
			a.t.Errorf("%s by %s, row %d of %d: got %.800s want %.800s", what, a.reader, i, len(g), g[i], w[i])
			return
		}
	}
}
