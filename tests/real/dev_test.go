package real_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// TestDevOnServers does what `make dev REAL=1` does when its components are installed: one is killed while it starts, the
// next one takes over its folder, and says truly where everything is; what it proposes works as it stands; and it leaves
// nothing behind at Ctrl-C but what it archived.
func TestDevOnServers(t *testing.T) {
	onRequest(t)
	ctx := within(t, 3*time.Minute)
	d := newDeveloper(t, ctx)
	first := d.start("-dev", "-real")
	d.until("the servers of the first", func() (string, error) {
		_, err := os.Stat(filepath.Join(d.root, ".demo", "azurite", "connection-string"))
		if err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
	servers := d.servers()
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed

	second := d.start("-dev", "-real")
	d.untilAddresses()
	for _, want := range []string{"  Kafka       127.0.0.1:", "connection string in .demo/azurite/connection-string; copied into .demo/archive at Ctrl-C, and not before\n"} {
		if text := d.said(); !strings.Contains(text, want) || strings.Contains(text, "…") {
			t.Errorf("got\n%s\nwant %q, and nothing cut off", text, want)
		}
	}
	if files, err := os.ReadDir(filepath.Join(d.root, ".demo", "archive")); err != nil || len(files) != 0 {
		t.Errorf("got %v, %v in .demo/archive want nothing while it runs, as it says", files, err)
	}
	d.try()
	servers = append(servers, d.servers()...)
	if err := second.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Errorf("at Ctrl-C: got %v\n%s\nwant no error", err, d.said())
	}
	for _, pid := range servers {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("server %d still runs", pid)
		}
	}
	if log, err := filepath.Glob(filepath.Join(d.root, ".demo", "archive", "*", "changes", "_delta_log", "*.json")); err != nil || len(log) == 0 {
		t.Errorf("got the archive %v, %v want it in the folder", log, err)
	}
}

// TestDev: what is proposed without real components works as well.
func TestDev(t *testing.T) {
	onRequest(t)
	d := newDeveloper(t, within(t, 2*time.Minute))
	stack := d.start("-dev")
	d.untilAddresses()
	d.try()
	if err := stack.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := stack.Wait(); err != nil || !strings.Contains(d.said(), "the archive is in .demo/archive, until the next run") {
		t.Errorf("at Ctrl-C: got %v\n%s\nwant no error, and where the archive is", err, d.said())
	}
}

// developer is a copy of the workspace as far as the demo needs it, so that it takes nobody's folder.
type developer struct {
	t    *testing.T
	ctx  context.Context
	root string
}

func newDeveloper(t *testing.T, ctx context.Context) *developer { //nolint:revive // t first in tests
	t.Helper()
	d := &developer{t: t, ctx: ctx, root: filepath.Join(components.folder, t.Name())}
	root := must(t, harness.Root)
	bin := filepath.Join(d.root, ".build")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for at, to := range map[string]string{
		"go.work": filepath.Join(root, "go.work"), "deploy": filepath.Join(root, "deploy"), ".tools": filepath.Join(root, ".tools"),
		".build/bin": must(t, components.programs),
	} {
		if err := os.Symlink(to, filepath.Join(d.root, at)); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(d.root, "demo"), "./tests/demo")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() {
		for _, server := range []string{"kafka", "azurite"} {
			if err := script(server, "stop", filepath.Join(d.root, ".demo", server)); err != nil {
				t.Error(err)
			}
		}
	})
	return d
}

// start starts the demo; what it says goes to a file.
func (d *developer) start(flags ...string) *exec.Cmd {
	d.t.Helper()
	out, err := os.Create(filepath.Join(d.root, "out"))
	if err != nil {
		d.t.Fatal(err)
	}
	command := exec.CommandContext(d.ctx, filepath.Join(d.root, "demo"), flags...)
	command.Dir, command.Stdout, command.Stderr = d.root, out, out
	if err := command.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		_ = command.Process.Kill() // an error means that it has ended
		_ = out.Close()
	})
	return command
}

func (d *developer) said() string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.root, "out"))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

func (d *developer) until(what string, check func() (string, error)) {
	d.t.Helper()
	if err := harness.Until(d.ctx, what, check); err != nil {
		d.t.Fatal(err)
	}
}

// try runs what is proposed, in the shell that the exports are typed into. What was only just written can be restored a
// little later; everything else works at once.
func (d *developer) try() {
	d.t.Helper()
	_, text, _ := strings.Cut(d.said(), "AT THE ROOT OF THE REPOSITORY\n")
	text, _, ok := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.ReplaceAll(text, "\\\n", ""), "\n")
	if !ok || len(lines) < 8 {
		d.t.Fatalf("got the proposals %q want more", lines)
	}
	exports, tried := "set -e\n", 0
	for _, line := range lines {
		line = strings.TrimSpace(line)
		switch first, _, _ := strings.Cut(line, " "); first {
		case "export":
			exports += line + "\n"
		case "almanac-producer", "almanac-archiver", "almanac-compactor", "almanac-restorer", "curl":
			tried++
			d.until(line, func() (missing string, err error) {
				out, err := d.shell(exports + line)
				if err != nil && strings.HasPrefix(line, "almanac-restorer run ") {
					return out, nil
				}
				return "", err
			})
		case "tail", "az": // one never ends, the other is not installed by us
		default:
			d.t.Errorf("got %q want a command that is known here", line)
		}
	}
	if tried < 7 {
		d.t.Errorf("got %d of %q tried want 7", tried, lines)
	}
}

// shell runs a script at the root.
func (d *developer) shell(script string) (string, error) {
	command := exec.CommandContext(d.ctx, "bash", "-c", script)
	command.Dir = d.root
	out, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return string(out), err
}

func (d *developer) untilAddresses() {
	d.t.Helper()
	d.until("the addresses", func() (string, error) {
		if text := d.said(); !strings.Contains(text, "Ctrl-C stops it.") {
			return "it said: " + text, nil
		}
		return "", nil
	})
}

// servers are the processes of those that were started.
func (d *developer) servers() []int {
	d.t.Helper()
	var pids []int
	for _, folder := range []string{"kafka/node-1", "azurite"} {
		pid, err := pidOf(filepath.Join(d.root, ".demo", folder))
		if err != nil {
			d.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}
