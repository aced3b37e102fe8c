package arch_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runMake runs a target of the Makefile over a `go` and a deploy/dev/install of the test's own, in a folder of its own.
func runMake(t *testing.T, fakeGo string, args ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "deploy", "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"Makefile": string(text), "go": "#!/bin/bash\n" + fakeGo, "deploy/dev/install": "#!/bin/bash\necho \"installs $*\"",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), "make", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &said, &said
	cmd.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MAKELEVEL=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, &said
}

// TestMakeTest runs the tests of both modules, and fails when those of either fail.
func TestMakeTest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fails string // pattern of the arguments
		fail  bool
	}{"none": {"nothing", false}, "the first": {"* ./...", true}, "the second": {"* ./tests/...", true}} {
		t.Run(name, func(t *testing.T) {
			cmd, said := runMake(t, `echo "ran $*"; case "$*" in `+strings.ReplaceAll(test.fails, "* ", `*\ `)+`) exit 1;; esac`, "test")
			err := cmd.Run()
			if (err != nil) != test.fail || strings.Count(said.String(), "ran test") != 2 {
				t.Errorf("got %v and\n%s\nwant both modules' tests, failure: %v", err, said, test.fail)
			}
		})
	}
}

// TestMakeDev: Ctrl-C is how the stack ends, and no error. REAL=1 puts it on real components, which are installed before.
func TestMakeDev(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, real, said string }{
		{"embedded", "REAL=", "runs -dev\n"},
		{"real", "REAL=1", "runs -dev -real\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd, said := runMake(t, developing, "dev", test.real)
			interrupt(t, cmd, said)
			if got := strings.Contains(said.String(), "installs kafka azurite\n"); got != (test.name == "real") || !strings.Contains(said.String(), test.said) {
				t.Errorf("got\n%s\nwant %q, and what is needed installed", said, test.said)
			}
		})
	}
}

// developing is a `go` whose products run until they are interrupted. What it builds ends well then, as the demo does; what
// it runs ends as `go run` does. It is up a moment after its start, and ends a moment after the interrupt, as the demo does: GNU
// make loses a child that starts or ends while it handles the interrupt itself.
const developing = `
up='trap "sleep 1; exit 0" INT; echo "runs $*"; sleep 0.2; echo > up; while :; do sleep 0.05; done'
case "$1 $*" in
*\ -o\ */demo\ *) mkdir -p .build/bin; printf '#!/bin/bash\n%s\n' "$up" > .build/bin/demo; chmod +x .build/bin/demo;;
run\ *) trap 'sleep 1; exit 1' INT; sleep 0.2; echo > up; while :; do sleep 0.05; done;;
esac`

// interrupt does what Ctrl-C does, once it is up.
func interrupt(t *testing.T, cmd *exec.Cmd, said *strings.Builder) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for {
		if _, err := os.Stat(filepath.Join(cmd.Dir, "up")); err == nil {
			break
		}
		select {
		case <-ticker.C:
		case <-deadline:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Fatalf("the stack is not up: %s", said)
		}
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() > 0 || strings.Contains(said.String(), "Error") {
		t.Errorf("got %v and\n%s\nwant no error", err, said)
	}
}
