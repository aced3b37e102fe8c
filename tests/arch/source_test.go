package arch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const maxLines = 600 // aim for 500; above this a file holds two nouns

// runOnRequest has tests that a flag turns on, because they take minutes or need what Go, Make and Git do not bring; a make
// target passes it.
func runOnRequest(path string) bool {
	return within(path, "tests/mutants") || within(path, "tests/real") || within(path, "tests/emulator")
}

// source is one Go file.
type source struct {
	path  string // below the root, slashes
	text  string
	files *token.FileSet
	tree  *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// isFrame says whether the file may touch the process: main packages and the
// process frame.
func (s source) isFrame() bool {
	return s.tree.Name.Name == "main" || within(s.path, "internal/service")
}

func (s source) problem(node ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", s.path, s.files.Position(node.Pos()).Line, fmt.Sprintf(format, args...))
}

func parse(path, text string) (source, error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, path, text, parser.ParseComments)
	return source{path: path, text: text, files: files, tree: tree}, err
}

// sources returns every Go file of both modules, by folder.
func sources(t *testing.T) map[string][]source {
	t.Helper()
	out := map[string][]source{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		one, err := parse(filepath.ToSlash(below), string(text))
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(below))
		out[folder] = append(out[folder], one)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range mustExist() {
		if len(out[want]) == 0 {
			t.Fatalf("got no file in %s want some", want)
		}
	}
	return out
}

func TestSources(t *testing.T) {
	for folder, files := range sources(t) {
		for _, problem := range folderProblems(folder, files) {
			t.Error(problem)
		}
		for _, file := range files {
			for _, problem := range fileProblems(file) {
				t.Error(problem)
			}
		}
	}
}

// folderProblems: every package says what it is, in one package comment.
func folderProblems(folder string, files []source) []string {
	var out []string
	documented := 0
	for _, file := range files {
		if file.tree.Doc == nil {
			continue
		}
		documented++
		text := file.tree.Doc.Text()
		if file.tree.Name.Name != "main" && !strings.HasPrefix(text, "Package "+file.tree.Name.Name+" ") {
			out = append(out, file.problem(file.tree, "the package comment begins %q, want Package %s", strings.SplitN(text, "\n", 2)[0], file.tree.Name.Name))
		}
	}
	if documented == 0 {
		out = append(out, folder+" has no package comment")
	}
	if globals := mutableGlobals(files); len(globals) > 0 {
		out = append(out, globals...)
	}
	return out
}

func fileProblems(file source) []string {
	var out []string
	if lines := strings.Count(file.text, "\n"); lines > maxLines {
		out = append(out, fmt.Sprintf("%s has %d lines, at most %d", file.path, lines, maxLines))
	}
	for _, comment := range file.tree.Comments {
		for _, word := range []string{"TO" + "DO", "FIX" + "ME"} {
			if strings.Contains(comment.Text(), word) {
				out = append(out, file.problem(comment, "%s: do it, or leave it out", word))
			}
		}
	}
	if !file.isTest() && !file.isFrame() {
		for _, spec := range file.tree.Imports {
			if spec.Path.Value == `"flag"` {
				out = append(out, file.problem(spec, "imports flag: only main and internal/service read the command line"))
			}
		}
	}
	for _, declared := range file.tree.Decls {
		if function, ok := declared.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" {
			out = append(out, file.problem(function, "init: all programs run in one process, many times"))
		}
	}
	ast.Inspect(file.tree, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if name, ok := selector.X.(*ast.Ident); ok && file.isTest() && name.Name == "t" && !runOnRequest(file.path) && strings.HasPrefix(selector.Sel.Name, "Skip") {
			out = append(out, file.problem(selector, "t.%s: a skipped test proves nothing", selector.Sel.Name))
		}
		if name := packageOf(selector); name != "" {
			if why, forbidden := forbiddenIn(file, name+"."+selector.Sel.Name); forbidden {
				out = append(out, file.problem(selector, "%s.%s: %s", name, selector.Sel.Name, why))
			}
		}
		return true
	})
	return out
}

// packageOf is the package's name in a qualified identifier, or "".
func packageOf(selector *ast.SelectorExpr) string {
	name, ok := selector.X.(*ast.Ident)
	if !ok || name.Obj != nil { // a variable of this file
		return ""
	}
	return name.Name
}

// forbiddenIn says why a file may not use a name of another package.
func forbiddenIn(file source, name string) (why string, forbidden bool) {
	frame := map[string]string{
		"os.Getenv": "reads the environment", "os.LookupEnv": "reads the environment", "os.Environ": "reads the environment",
		"os.Setenv": "changes the process", "os.Chdir": "changes the process", "os.Exit": "exits", "os.Args": "reads the command line",
		"signal.Notify": "takes the process's signals", "signal.NotifyContext": "takes the process's signals",
		"os.Stdin": "uses a stream of the process", "os.Stdout": "uses a stream of the process", "os.Stderr": "uses a stream of the process",
		"fmt.Print": "uses a stream of the process", "fmt.Println": "uses a stream of the process", "fmt.Printf": "uses a stream of the process",
	}
	global := map[string]string{
		"log.Fatal": "exits", "log.Fatalf": "exits", "log.Print": "logs to a global", "log.Printf": "logs to a global", "log.Println": "logs to a global",
		"slog.Info": "logs to a global", "slog.Warn": "logs to a global", "slog.Error": "logs to a global", "slog.Debug": "logs to a global",
		"slog.Default": "logs to a global", "slog.SetDefault": "changes the process", "http.DefaultServeMux": "is shared", "http.HandleFunc": "is shared",
		"http.Handle": "is shared", "prometheus.MustRegister": "registers globally", "prometheus.DefaultRegisterer": "registers globally",
		"promauto.NewCounter": "registers globally", "promauto.NewGauge": "registers globally", "promauto.NewHistogram": "registers globally",
	}
	test := map[string]string{
		"time.Sleep": "wait for the event, with a deadline",
	}
	if why, forbidden = global[name]; forbidden {
		return why, true
	}
	if file.isTest() {
		why, forbidden = test[name]
		return why, forbidden
	}
	if file.isFrame() || within(file.path, "tests") {
		return "", false
	}
	why, forbidden = frame[name]
	return why + "; only main and internal/service do", forbidden
}

// mutableGlobals: a package-level variable of the product is set where it is
// declared and nowhere else, and holds nothing that is there to be changed.
func mutableGlobals(files []source) []string {
	declared := map[string]bool{}
	var out []string
	product := slices.DeleteFunc(slices.Clone(files), func(f source) bool { return f.isTest() || within(f.path, "tests") })
	for _, file := range product {
		for _, declaration := range file.tree.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				variable, ok := spec.(*ast.ValueSpec)
				if !ok || variable.Names[0].Name == "_" {
					continue
				}
				for _, name := range variable.Names {
					declared[name.Name] = true
				}
				embedded := strings.Contains(textOf(variable.Doc)+textOf(group.Doc), "//go:embed")
				if len(variable.Values) == 0 && !embedded {
					out = append(out, file.problem(variable, "package-level variable %s has no value: it is there to be changed", variable.Names[0].Name))
				}
				for _, value := range variable.Values {
					if text := file.text[file.files.Position(value.Pos()).Offset:file.files.Position(value.End()).Offset]; isMutable(text) {
						out = append(out, file.problem(variable, "package-level variable %s is there to be changed", variable.Names[0].Name))
					}
				}
			}
		}
	}
	for _, file := range product {
		out = append(out, assignments(file, declared)...)
	}
	return out
}

// textOf is the comment with its directives, which CommentGroup.Text drops.
func textOf(group *ast.CommentGroup) string {
	if group == nil {
		return ""
	}
	var out strings.Builder
	for _, line := range group.List {
		out.WriteString(line.Text + "\n")
	}
	return out.String()
}

func isMutable(value string) bool {
	return slices.ContainsFunc([]string{"make(", "new(", "sync.", "&sync.", "atomic.", "prometheus.", "rand.New", "bytes.NewBuffer", "&http."}, func(prefix string) bool {
		return strings.HasPrefix(value, prefix)
	})
}

// assignments finds where one of the package's variables is set or its address
// taken. A local variable of the same name is resolved to its declaration.
func assignments(file source, globals map[string]bool) []string {
	var out []string
	report := func(target ast.Expr) {
		for {
			switch inner := target.(type) {
			case *ast.IndexExpr:
				target = inner.X
				continue
			case *ast.SelectorExpr:
				target = inner.X
				continue
			case *ast.StarExpr:
				target = inner.X
				continue
			case *ast.ParenExpr:
				target = inner.X
				continue
			}
			break
		}
		name, ok := target.(*ast.Ident)
		if !ok || !globals[name.Name] {
			return
		}
		if name.Obj != nil && file.tree.Scope.Lookup(name.Name) != name.Obj {
			return // local
		}
		out = append(out, file.problem(name, "package-level variable %s is changed", name.Name))
	}
	ast.Inspect(file.tree, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, target := range n.Lhs {
					report(target)
				}
			}
		case *ast.IncDecStmt:
			report(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				report(n.X)
			}
		}
		return true
	})
	return out
}

// TestSourceRulesBite plants one violation of each rule, and near misses.
func TestSourceRulesBite(t *testing.T) {
	const doc = "// Package p is.\npackage p\n"
	for _, test := range []struct {
		name, path, text string
		want             int
	}{
		{"clean", "archiver/p.go", doc + "import \"errors\"\nvar errX = errors.New(\"x\")\nfunc f() { errX := 1; errX = 2; _ = errX }", 0},
		{"no package comment", "archiver/p.go", "package p\n", 1},
		{"comment of another package", "archiver/p.go", "// Package q is.\npackage p\n", 1},
		{"init", "archiver/p.go", doc + "func init() {}", 1},
		{"environment", "archiver/p.go", doc + "import \"os\"\nvar home = os.Getenv(\"HOME\")", 1},
		{"environment in the frame", "internal/service/p.go", doc + "import \"os\"\nfunc f() { os.Getenv(\"HOME\"); os.Exit(1) }", 0},
		{"environment in main", "archiver/cmd/almanac-archiver/main.go", "// Command p is.\npackage main\nimport \"os\"\nfunc main() { os.Exit(1) }", 0},
		{"exit", "archiver/p.go", doc + "import \"os\"\nfunc f() { os.Exit(1) }", 1},
		{"flags", "archiver/p.go", doc + "import \"flag\"\nfunc f() { flag.Parse() }", 1},
		{"global log", "archiver/p.go", doc + "import \"log/slog\"\nfunc f() { slog.Info(\"x\") }", 1},
		{"injected log called slog", "archiver/p.go", doc + "func f(slog logger) { slog.Info(\"x\") }", 0},
		{"counter", "archiver/p.go", doc + "var n = 0\nfunc f() { n++ }", 1},
		{"map that is filled", "archiver/p.go", doc + "var m = map[int]int{}\nfunc f() { m[1] = 2 }", 1},
		{"address taken", "archiver/p.go", doc + "var n = 0\nfunc f() { g(&n) }", 1},
		{"lock", "archiver/p.go", doc + "import \"sync\"\nvar mu sync.Mutex", 1},
		{"pool", "archiver/p.go", doc + "import \"sync\"\nvar p = sync.Pool{}", 1},
		{"sleep in a test", "archiver/p_test.go", doc + "import \"time\"\nfunc f() { time.Sleep(1) }", 1},
		{"skip", "archiver/p_test.go", doc + "import \"testing\"\nfunc f(t *testing.T) { t.SkipNow() }", 1},
		{"word", "archiver/p.go", doc + "// TO" + "DO: later\nfunc f() {}", 1},
		{"long file", "archiver/p.go", doc + strings.Repeat("\n", maxLines), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, err := parse(test.path, test.text)
			if err != nil {
				t.Fatal(err)
			}
			got := append(folderProblems("archiver", []source{file}), fileProblems(file)...)
			if len(got) != test.want {
				t.Errorf("got %q want %d problems", got, test.want)
			}
		})
	}
}
