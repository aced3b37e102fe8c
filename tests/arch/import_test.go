// Package arch_test states who may import whom and what no source file does,
// with the reasons (ARCHITECTURE.md, File map).
//
// It reads the packages as `go list` sees them and the files as they stand, so
// a package that does not exist yet is no error and one without a row is.
package arch_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/cosmos-almanac/almanac"
	root   = "../.."
)

// listed is what is used of `go list -json`.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// path is the package's path below the module's.
func (p listed) path() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// list returns the packages of both modules.
func list(t *testing.T) []listed {
	t.Helper()
	var out []listed
	for _, folder := range []string{root, filepath.Join(root, "tests")} {
		command := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
		command.Dir = folder
		command.Stderr = os.Stderr
		text, err := command.Output()
		if err != nil {
			t.Fatalf("list packages of %s: %v", folder, err)
		}
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		for {
			var one listed
			if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("read go list: %v", err)
			}
			out = append(out, one)
		}
	}
	for _, want := range mustExist() {
		if !slices.ContainsFunc(out, func(p listed) bool { return p.path() == want }) {
			t.Fatalf("got %d packages want %s among them", len(out), want)
		}
	}
	return out
}

// within says whether path is the folder or lies below it.
func within(path, folder string) bool {
	return folder == "" || path == folder || strings.HasPrefix(path, folder+"/")
}

// layerOf finds the row of a package: the longest path that contains it.
func layerOf(path string) (layer, bool) {
	var best layer
	for _, row := range layers() {
		if within(path, row.path) && len(row.path) > len(best.path) {
			best = row
		}
	}
	return best, best.path != ""
}

func TestWhoMayImportWhom(t *testing.T) {
	for _, p := range list(t) {
		for _, problem := range layerProblems(p) {
			t.Error(problem)
		}
	}
}

func layerProblems(p listed) []string {
	row, ok := layerOf(p.path())
	if !ok {
		return []string{p.path() + " has no row in the table of layers: say what it may import, and why"}
	}
	var out []string
	for _, imported := range p.Imports {
		if !within(imported, module) {
			continue
		}
		other := listed{ImportPath: imported}.path()
		allowed := slices.ContainsFunc(append(row.may, row.path), func(folder string) bool { return within(other, folder) })
		if !allowed {
			out = append(out, p.path()+" imports "+other+"; "+row.path+": "+row.why)
		}
	}
	return out
}

func TestWhatIsNeverPulledIn(t *testing.T) {
	for _, p := range list(t) {
		for _, problem := range banProblems(p) {
			t.Error(problem)
		}
	}
}

func banProblems(p listed) []string {
	var out []string
	for _, row := range bans() {
		if !within(p.path(), row.path) {
			continue
		}
		for _, dependency := range p.Deps {
			if slices.ContainsFunc(row.modules, func(m string) bool { return within(dependency, m) }) {
				out = append(out, p.path()+" depends on "+dependency+"; "+row.path+": "+row.why)
			}
		}
	}
	return out
}

func TestWhoOwnsAModule(t *testing.T) {
	for _, p := range list(t) {
		if within(p.path(), "tests") {
			continue // judges with the same libraries
		}
		for _, problem := range ownerProblems(p) {
			t.Error(problem)
		}
	}
}

func ownerProblems(p listed) []string {
	var out []string
	for _, imported := range p.Imports {
		for _, row := range owners() {
			owned := slices.ContainsFunc(row.only, func(folder string) bool { return within(p.path(), folder) })
			if within(imported, row.module) && !owned {
				out = append(out, p.path()+" imports "+imported+"; only "+strings.Join(row.only, " and ")+": "+row.why)
			}
		}
		foreign := strings.Contains(strings.Split(imported, "/")[0], ".") && !within(imported, module)
		if foreign && slices.ContainsFunc(standardLibraryOnly(), func(folder string) bool { return within(p.path(), folder) }) {
			out = append(out, p.path()+" imports "+imported+"; it is to need the standard library only")
		}
	}
	return out
}

// TestImportRulesBite plants one violation of each kind of row.
func TestImportRulesBite(t *testing.T) {
	for _, test := range []struct {
		name     string
		problems []string
	}{
		{"layer", layerProblems(listed{ImportPath: module + "/producer", Imports: []string{module + "/archiver"}})},
		{"layer of a subpackage", layerProblems(listed{ImportPath: module + "/internal/blob/dir", Imports: []string{module + "/internal/delta"}})},
		{"no row", layerProblems(listed{ImportPath: module + "/internal/util"})},
		{"ban", banProblems(listed{ImportPath: module + "/compactor/cmd/almanac-compactor", Deps: []string{"github.com/twmb/franz-go/pkg/kgo"}})},
		{"owner", ownerProblems(listed{ImportPath: module + "/compactor", Imports: []string{"github.com/parquet-go/parquet-go/compress"}})},
		{"standard library", ownerProblems(listed{ImportPath: module + "/schemas", Imports: []string{"golang.org/x/sync/errgroup"}})},
	} {
		if len(test.problems) != 1 {
			t.Errorf("%s: got %q want one problem", test.name, test.problems)
		}
	}
	clean := listed{ImportPath: module + "/internal/blob/dir", Imports: []string{"os", module + "/internal/blob", "golang.org/x/sys/unix"}}
	if got := slices.Concat(layerProblems(clean), banProblems(clean), ownerProblems(clean)); len(got) != 0 {
		t.Errorf("got %q want no problem", got)
	}
}

// TestProductIsInstallable: a replace in the product's go.mod would break
// `go install …@version`.
func TestProductIsInstallable(t *testing.T) {
	command := exec.Command("go", "mod", "edit", "-json")
	command.Dir = root
	text, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Module  struct{ Path string }
		Replace []any
		Exclude []any
	}
	if err := json.Unmarshal(text, &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Module.Path != module || len(mod.Replace)+len(mod.Exclude) != 0 {
		t.Errorf("got module %s with %v and %v want %s without replace and exclude", mod.Module.Path, mod.Replace, mod.Exclude, module)
	}
}
