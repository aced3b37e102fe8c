// Package emulator_test judges cosmosfake by clients and tests that other people wrote.
//
// Nothing here runs without the flag -real, which `make test-real` passes: it takes the ports that those tests name, and
// downloads what they need.
package emulator_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

var asked = flag.Bool("real", false, "test with clients and tests of others")

const (
	azcosmosModule = "github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	// azcosmosTests is how many tests of v1.5.0 want an emulator, which are all those in emulator_*_test.go.
	azcosmosTests = 43
	// Those addresses stand in its tests.
	gatewayAddr = "127.0.0.1:8081"
	computeAddr = "127.0.0.1:8903"
)

// azcosmosFailures are the tests that cannot pass, with the reason; at most three.
func azcosmosFailures() map[string]string {
	return nil
}

// TestAzcosmos runs azcosmos' own emulator tests, as they stand in the module, against the program.
func TestAzcosmos(t *testing.T) {
	if !*asked {
		t.Skip("make test-real runs it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := copyModule(ctx, t, root)
	names := emulatorTests(t, folder)
	if len(names) != azcosmosTests {
		t.Errorf("got %d emulator tests in %s, want %d: %v", len(names), azcosmosModule, azcosmosTests, names)
	}
	authority := startEmulator(ctx, t, root)
	results := goTest(ctx, t, folder, names, authority)
	failures := azcosmosFailures()
	if len(failures) > 3 {
		t.Errorf("%d tests may fail, want at most 3", len(failures))
	}
	passed := 0
	for _, name := range names {
		why, mayFail := failures[name]
		switch got := results[name]; {
		case got == "pass" && mayFail:
			t.Errorf("%s passes: remove it from those that cannot (%s)", name, why)
		case got == "pass":
			passed++
		case mayFail:
			t.Logf("%s: %s: %s", name, got, why)
		default:
			t.Errorf("%s: got %q want pass", name, got)
		}
	}
	t.Logf("%d of %d tests of %s pass", passed, len(names), azcosmosModule)
}

// copyModule copies the module, whose tests cannot be run where it lies, out of the module cache.
func copyModule(ctx context.Context, t *testing.T, root string) string {
	t.Helper()
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", azcosmosModule)
	list.Dir, list.Env = root, append(os.Environ(), "GOWORK=off")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("find %s: %v", azcosmosModule, err)
	}
	folder := filepath.Join(t.TempDir(), "azcosmos")
	if err := os.CopyFS(folder, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		t.Fatal(err)
	}
	return folder
}

// emulatorTests are the names of the tests in emulator_*_test.go.
func emulatorTests(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "emulator_*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			names = append(names, string(found[1]))
		}
	}
	slices.Sort(names)
	return names
}

// startEmulator runs the program until the test ends and answers the file of its authority.
func startEmulator(ctx context.Context, t *testing.T, root string) string {
	t.Helper()
	folder := t.TempDir()
	for _, addr := range []string{gatewayAddr, computeAddr} {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatalf("the tests want %s, which is taken: %v", addr, err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(folder, "almanac-cosmosfake")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./cosmosfake/cmd/almanac-cosmosfake")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the emulator: %v\n%s", err, out)
	}
	authority := filepath.Join(folder, "authority.pem")
	emulator := exec.CommandContext(context.WithoutCancel(ctx), program, "-addr", gatewayAddr, "-compute-addr", computeAddr, "-cert", authority)
	out, err := emulator.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	emulator.Stderr = &said
	if err := emulator.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = emulator.Process.Signal(os.Interrupt)
		if err := emulator.Wait(); err != nil {
			t.Errorf("the emulator ended: %v\n%s", err, said.String())
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "endpoint ") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return authority
		}
	}
	t.Fatalf("the emulator did not start: %s", said.String())
	return ""
}

// goTest runs the named tests and answers how each of them ended.
func goTest(ctx context.Context, t *testing.T, folder string, names []string, authority string) map[string]string {
	t.Helper()
	run := exec.CommandContext(ctx, "go", "test", "-count=1", "-json", "-timeout", "5m", "-run", "^("+strings.Join(names, "|")+")$", ".")
	run.Dir = folder
	run.Env = append(os.Environ(), "GOWORK=off", "EMULATOR=1", "SSL_CERT_FILE="+authority, "GOFLAGS=")
	var said bytes.Buffer
	run.Stderr = &said
	out, err := run.Output() // fails if any of them does
	results := make(map[string]string, len(names))
	output := make(map[string]string, len(names))
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var event struct{ Action, Test, Output string }
		if e := decoder.Decode(&event); e != nil {
			break
		}
		name, _, sub := strings.Cut(event.Test, "/")
		switch event.Action {
		case "output":
			output[name] += event.Output
		case "pass", "fail", "skip":
			if !sub {
				results[name] = event.Action
			}
		}
	}
	if len(results) == 0 {
		t.Fatalf("run the tests of %s: %v\n%s%s", azcosmosModule, err, said.String(), out)
	}
	for name, result := range results {
		if result != "pass" && name != "" {
			t.Logf("%s", output[name])
		}
	}
	return results
}
