package real_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// TestTrial follows docs/trial.md to the letter, but for what is built and installed already, and for the emulator's port.
func TestTrial(t *testing.T) {
	onRequest(t)
	d := newDeveloper(t, within(t, 3*time.Minute))
	text := d.trial()
	build := exec.CommandContext(d.ctx, "go", "build", "-o", filepath.Join(d.root, ".build", "bin"), "./cosmosfake/cmd/almanac-cosmosfake")
	build.Dir = must(t, harness.Root)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	client, err := filepath.Glob(filepath.Join(must(t, harness.Root), ".tools", "cosmos-python-*"))
	if err != nil || len(client) != 1 {
		t.Fatalf("got %v, %v want one client for Python", client, err)
	}
	for _, but := range []struct {
		text  string
		times int
		by    string
	}{
		{"make build\n", 1, ""},
		{"python3 -m venv venv && venv/bin/pip install -q azure-cosmos==" + strings.TrimPrefix(filepath.Base(client[0]), "cosmos-python-") + "\n", 1, "ln -s " + client[0] + " venv\n"},
		{"127.0.0.1:8081", 3, freeAddresses(t, 1)[0]},
	} {
		if got := strings.Count(text, but.text); got != but.times {
			t.Fatalf("docs/trial.md: got %d times %q want %d", got, but.text, but.times)
		}
		text = strings.ReplaceAll(text, but.text, but.by)
	}
	// What a person would do at an error, whatever it is.
	const stop = `trap 'set +e; kill -INT $(jobs -p) 2>/dev/null; ../deploy/dev/kafka stop kafka 2>/dev/null; true' EXIT` + "\n"
	out, err := d.shell("set -e\n" + stop + text)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"equal: every document is there, byte for byte, and no other", "different: 0 missing, 0 extra, 100 with other bytes",
		"exit code 4: the container that was spoiled is another one", `{"id":"7","category":"Books","price":17}`, "of shop.products: 90 documents",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%s\nwant %q in it", out, want)
		}
	}
}

// trial is what docs/trial.md has the reader type.
func (d *developer) trial() string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(must(d.t, harness.Root), "docs", "trial.md"))
	if err != nil {
		d.t.Fatal(err)
	}
	var blocks strings.Builder
	for i, part := range strings.Split(string(text), "```") {
		code, shell := strings.CutPrefix(part, "sh\n")
		if i%2 == 1 && !shell {
			d.t.Fatalf("docs/trial.md: got the block\n%s\nwant one for the shell", part)
		}
		if i%2 == 1 {
			blocks.WriteString(code)
		}
	}
	return blocks.String()
}
