// Package real_test holds Almanac against real components: the whole of it against Apache Kafka and Azurite, which are killed
// beneath it; blob/azure against Azurite, also with answers lost on the way; and the tables that it writes against the Delta
// readers of other people.
//
// Nothing here runs without the flag -real, which `make test-real` passes after deploy/dev/install. A component starts with
// the first test that asks for it, by the scripts of deploy/dev, and is stopped at the end; one that is not installed fails
// the test and names the script.
package real_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

var (
	asked = flag.Bool("real", false, "test against real components")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of faults and rows")
)

// components are what the tests of one run share.
var components struct {
	folder    string
	programs  func() (string, error) // their folder
	azurite   func() (string, error)
	readers   func() (*worker, error)
	spark     func() (*worker, error)
	atTheEnd  []func() error
	endsGuard sync.Mutex
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if *asked {
		fmt.Printf("seed %d\n", *seed)
	}
	if components.folder, err = os.MkdirTemp("", "almanac-real-"); err != nil {
		return 1, err
	}
	components.programs = sync.OnceValues(buildPrograms)
	components.azurite = sync.OnceValues(startAzurite)
	components.readers = sync.OnceValues(func() (*worker, error) { return startWorker("readers.py", nil) })
	components.spark = sync.OnceValues(startSpark)
	code = m.Run()
	for _, end := range components.atTheEnd {
		err = errors.Join(err, end())
	}
	if code == 0 && err == nil {
		err = os.RemoveAll(components.folder)
	} else {
		fmt.Fprintf(os.Stderr, "what ran is in %s\n", components.folder)
	}
	return code, err
}

func atTheEnd(end func() error) {
	components.endsGuard.Lock()
	defer components.endsGuard.Unlock()
	components.atTheEnd = append(components.atTheEnd, end)
}

// onRequest ends a test that nobody asked for.
func onRequest(t *testing.T) {
	t.Helper()
	if !*asked {
		t.Skip("make test-real runs it")
	}
}

// must is a component, or the end of the test.
func must[T any](t *testing.T, component func() (T, error)) T {
	t.Helper()
	got, err := component()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// script runs one of deploy/dev.
func script(name string, args ...string) error {
	root, err := harness.Root()
	if err != nil {
		return err
	}
	command := exec.Command(filepath.Join(root, "deploy", "dev", name), args...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("deploy/dev/%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func buildPrograms() (string, error) {
	folder := filepath.Join(components.folder, "bin")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return "", err
	}
	return folder, harness.Build(context.Background(), folder)
}

// startAzurite answers its connection string.
func startAzurite() (string, error) {
	folder := filepath.Join(components.folder, "azurite")
	if err := script("azurite", "start", folder); err != nil {
		return "", err
	}
	atTheEnd(func() error { return script("azurite", "stop", folder) })
	text, err := os.ReadFile(filepath.Join(folder, "connection-string"))
	return strings.TrimSpace(string(text)), err
}

// tool is a path below .tools.
func tool(path ...string) (string, error) {
	root, err := harness.Root()
	if err != nil {
		return "", err
	}
	found := filepath.Join(append([]string{root, ".tools"}, path...)...)
	matches, err := filepath.Glob(found)
	if err == nil && len(matches) == 0 {
		err = fmt.Errorf("%s is not installed; run deploy/dev/install", found)
	}
	if err != nil {
		return "", err
	}
	return matches[0], nil
}

// within is a context that ends before the test does.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}
