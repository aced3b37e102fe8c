package emulator_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// TestClients runs scripts that use the service's clients for other languages: testdata says what each of them wants.
// A script ends with `passed N`, or with an error.
func TestClients(t *testing.T) {
	if !*asked {
		t.Skip("make test-real runs it")
	}
	for _, test := range []struct {
		name      string
		deletions cosmosfake.DeletionShape
		command   func(t *testing.T) []string
	}{
		{"Python", cosmosfake.DeletionObject, func(t *testing.T) []string {
			return []string{tool(t, "cosmos-python-*/bin/python"), "testdata/client.py"}
		}},
		{"JavaScript", cosmosfake.DeletionDocumented, func(t *testing.T) []string {
			return []string{"env", "NODE_PATH=" + tool(t, "cosmos-js-*/node_modules"), "node", "testdata/client.js"}
		}},
		{"Java", cosmosfake.DeletionObject, func(t *testing.T) []string {
			return []string{"java", "-cp", tool(t, "cosmos-java-*/lib") + "/*", "testdata/Client.java"}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			words := test.command(t)
			s, err := cosmosfake.New(cosmosfake.Options{Retention: time.Hour, PurgeEvery: 50 * time.Millisecond, Deletion: test.deletions})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			authority := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(authority, s.CAPEM(), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, words[0], words[1:]...)
			command.Env = append(os.Environ(), "COSMOS_ENDPOINT="+s.URL(), "COSMOS_KEY="+s.Key(), "COSMOS_CA="+authority,
				"NODE_EXTRA_CA_CERTS="+authority, "PYTHONWARNINGS=ignore") // it verifies no certificate of 127.0.0.1, and warns
			out, err := command.CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if err != nil || !strings.HasPrefix(lines[len(lines)-1], "passed ") {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// tool is a path below .tools that deploy/dev/install made.
func tool(t *testing.T, pattern string) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(root, ".tools", pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s is not installed (%v); run deploy/dev/install cosmos", pattern, err)
	}
	return found[len(found)-1]
}
