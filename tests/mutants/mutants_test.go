// Package mutants takes Almanac's guards out one by one and demands that a named test notices.
//
// A guard is a line or two that upholds a guarantee (INV-n of ARCHITECTURE.md). A mutant is a row of the table in
// table_test.go: a file, a text that must stand in it exactly once, what replaces it, and the test that must fail.
// The change is laid over the source with `go test -overlay`; nothing of it stands in the product. Only `make
// mutants` runs them: they need the flag -mutants.
package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	all  = flag.Bool("mutants", false, "build and test every mutant")
	only = flag.String("only", "", "test only the mutant of this name")
)

// limit is what one mutant may take, compilation included, before its test counts as one that noticed nothing.
const limit = 90 * time.Second

// TestTable holds without running anything: every guard stands where the table says, and its test exists.
func TestTable(t *testing.T) {
	names := map[string]bool{}
	for _, m := range table() {
		if names[m.name] {
			t.Errorf("%s: the name stands twice", m.name)
		}
		names[m.name] = true
		if _, err := m.mutate(root(t)); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if err := m.findTest(root(t)); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// TestMutants runs each row's test over the mutated source; it must fail there and pass without the change.
func TestMutants(t *testing.T) {
	if !*all {
		t.Skip("make mutants runs them")
	}
	sound := map[string]bool{}
	for _, m := range table() {
		if *only != "" && *only != m.name {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			if key := m.pkg + " " + m.test; !sound[key] {
				if out, err := m.run(t, ""); err != nil {
					t.Fatalf("%s fails without the mutation: %v\n%s", key, err, out)
				}
				sound[key] = true
			}
			mutated, err := m.mutate(root(t))
			if err != nil {
				t.Fatal(err)
			}
			started := time.Now()
			out, err := m.run(t, overlay(t, filepath.Join(root(t), m.file), mutated))
			switch {
			case err == nil:
				t.Errorf("survived: %s of %s passes although %s", m.test, m.pkg, m.why)
			case !bytes.Contains(out, []byte("--- FAIL: "+m.test)):
				t.Errorf("the mutant was not noticed by a failing test but by %v:\n%s", err, out)
			default:
				t.Logf("caught by %s in %.1f s", m.test, time.Since(started).Seconds())
			}
		})
	}
}

// mutant is one guard taken out.
type mutant struct {
	name     string
	why      string // what the mutant does wrong, as "although …"
	file     string // from the repository's root
	old, new string
	pkg      string // of the test, as a path from the root that begins with ./
	test     string
}

func (m mutant) mutate(root string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s: the guard's text stands there %d times, want once:\n%s", m.file, n, m.old)
	}
	if m.old == m.new {
		return nil, fmt.Errorf("%s: the mutation changes nothing", m.file)
	}
	return bytes.Replace(source, []byte(m.old), []byte(m.new), 1), nil
}

func (m mutant) findTest(root string) error {
	files, err := filepath.Glob(filepath.Join(root, m.pkg, "*_test.go"))
	if err != nil {
		return err
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if bytes.Contains(source, []byte("func "+m.test+"(")) {
			return nil
		}
	}
	return fmt.Errorf("%s: no test named %s", m.pkg, m.test)
}

func (m mutant) run(t *testing.T, overlayFile string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	args := []string{"test", "-count=1", "-run", "^" + m.test + "$"}
	if overlayFile != "" {
		args = append(args, "-overlay", overlayFile)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, m.pkg)...)
	cmd.Dir = root(t)
	return cmd.CombinedOutput()
}

// overlay writes the file that tells the go command to read mutated in place of path.
func overlay(t *testing.T, path string, mutated []byte) string {
	t.Helper()
	dir := t.TempDir()
	replacement := filepath.Join(dir, filepath.Base(path))
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: replacement}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	for file, content := range map[string][]byte{replacement: mutated, name: list} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func root(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOWORK").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}
