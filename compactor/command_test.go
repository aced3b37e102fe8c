package compactor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/service"
)

// shell runs the program as a process would.
type shell struct {
	config string
}

func newShell(t *testing.T, root string) *shell {
	t.Helper()
	config := filepath.Join(t.TempDir(), "almanac.yaml")
	text := fmt.Sprintf("archive: {root: %q}\ncompactor: {spill: %q}\ncontainers:\n"+
		"  - {database: shop, container: products, topic: %s, deletes: soft, soft_delete: {path: /deleted, value: true}}\n", root, t.TempDir(), topic)
	must(t, os.WriteFile(config, []byte(text), 0o600))
	return &shell{config: config}
}

func (s *shell) run(ctx context.Context, args ...string) (code int, out, log string) {
	var stdout, stderr bytes.Buffer
	code = service.Run(ctx, Program(), append(args, "--config", s.config), nil, service.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestVerbs(t *testing.T) {
	root := t.TempDir()
	store, err := dir.New(root, dir.Options{})
	must(t, err)
	sh := newShell(t, root)
	expect := func(what string, want int, text string, args ...string) string {
		t.Helper()
		code, out, log := sh.run(t.Context(), args...)
		if code != want || !strings.Contains(out+log, text) {
			t.Fatalf("%s: got exit code %d want %d, and %q in:\n%s%s", what, code, want, text, out, log)
		}
		return out
	}
	expect("nothing archived", service.BadUsage, "containers[].topic", "snapshot")
	s := newStory(t, rand.New(rand.NewPCG(21, 9)), store)
	expect("no points", service.BadUsage, "no exact restore point", "snapshot")
	expect("another container", service.BadUsage, "known: shop.products", "snapshot", "--container", "shop.orders")
	s.tell(t, 60)
	first := s.points(t)[0]
	plan := expect("plan", service.Done, "merges rows alone", "snapshot", "--dry-run")
	if s.check(t) != nil {
		t.Fatalf("got a snapshot of a plan: %s", plan)
	}
	var result Result
	must(t, json.Unmarshal([]byte(expect("snapshot", service.Done, `"point"`, "snapshot", "-o", "json")), &result))
	if names := s.check(t); len(names) != 1 || names[0] != result.Point || !result.Fresh {
		t.Fatalf("got snapshots %v, result %+v", names, result)
	}
	expect("again", service.Done, " documents, ", "snapshot", "--at", result.Point)
	expect("backwards", service.BadUsage, "newer than point", "snapshot", "--at", first.Name)
	expect("not halted", service.Done, "nothing is halted", "clear")

	s.contradict(t)
	expect("contradiction", service.Halted, "etags", "snapshot")
	expect("still halted", service.Halted, "is halted since", "snapshot")
	expect("run", service.Halted, "is halted since", "run")
	expect("cleared", service.Done, "cleared container shop.products", "clear")
	expect("not halted any more", service.Done, "nothing is halted", "clear")
}

func TestRunEndsWhenAsked(t *testing.T) {
	store, err := dir.New(t.TempDir(), dir.Options{})
	must(t, err)
	s := newStory(t, rand.New(rand.NewPCG(22, 9)), store)
	s.tell(t, 60)
	c := newCompactor(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	c.opts.Sleep = func(ctx context.Context, _ time.Duration) error {
		cancel()
		return ctx.Err()
	}
	must(t, c.Run(ctx, []Target{s.target}, time.Hour))
	if names := s.check(t); len(names) != 1 {
		t.Errorf("got snapshots %v want one", names)
	}
}
