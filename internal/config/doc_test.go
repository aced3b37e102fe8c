package config_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/config"
)

var update = flag.Bool("update", false, "write the settings into docs/operations.md")

// TestEverySettingIsDocumented: the list in docs/operations.md is the table of this package.
func TestEverySettingIsDocumented(t *testing.T) {
	const path, begin, end = "../../docs/operations.md", "<!-- settings: begin -->\n", "<!-- settings: end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, found := strings.Cut(rest, end)
	if !ok || !found {
		t.Fatalf("%s: got no place for the settings want %q and %q", path, begin, end)
	}
	var want strings.Builder
	want.WriteString("| key | default, or what it takes | |\n|---|---|---|\n")
	for _, setting := range config.Settings() {
		want.WriteString("| `" + setting.Path + "` | " + setting.Hint + " | " + strings.ReplaceAll(setting.Help, "<", "&lt;") + " |\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want.String() {
		t.Errorf("%s: got\n%swant\n%srun: go test ./internal/config -run %s -update", path, got, want.String(), t.Name())
	}
}

// TestExamplesAreRead: every piece of almanac.yaml in the documents is valid as it stands.
func TestExamplesAreRead(t *testing.T) {
	for _, path := range []string{"../../README.md", "../../docs/operations.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		examples := strings.Split(string(text), "```yaml\n")[1:]
		if len(examples) == 0 {
			t.Errorf("%s: got no example want one", path)
		}
		for _, example := range examples {
			example, _, _ = strings.Cut(example, "```")
			if _, err := config.Parse(path, []byte(example), nil, nil); err != nil {
				t.Errorf("got %v want it to be valid:\n%s", err, example)
			}
		}
	}
}
