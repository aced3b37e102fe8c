package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, err := parse([]string{"--help"}, &out); !errors.Is(err, errSaid) {
		t.Errorf("got %v want %v", err, errSaid)
	}
	for _, want := range []string{"cosmos.ca_file", "cosmos.key", "-ledger file", "Examples:", "gatewayMode()"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %q want it to say %q", out.String(), want)
		}
	}
	shown := 0
	for line := range strings.Lines(out.String()) { // every example is a command line that works
		if args, ok := strings.CutPrefix(strings.TrimSpace(line), "almanac-cosmosfake -"); ok {
			shown++
			if o, err := parse(strings.Fields("-"+args), &out); err != nil || o.Certificate == "" || o.Key != cosmosfake.DefaultKey {
				t.Errorf("%s: got %+v, %v", line, o, err)
			}
		}
	}
	if shown != 3 {
		t.Errorf("got %d examples want 3", shown)
	}
}

// TestFlagsAreDocumented: docs/emulator.md names every flag.
func TestFlagsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/emulator.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	if _, err := parse([]string{"-h"}, &help); !errors.Is(err, errSaid) {
		t.Fatal(err)
	}
	for line := range strings.Lines(help.String()) {
		if rest, ok := strings.CutPrefix(line, "  -"); ok {
			if name := "`-" + strings.Fields(rest)[0] + "`"; !strings.Contains(string(text), name) {
				t.Errorf("%s is not there", name)
			}
		}
	}
}

func TestFlags(t *testing.T) {
	var out bytes.Buffer
	o, err := parse(strings.Fields("-retention 7h -deletion array -host a -host b -second-region West -second-addr :0"), &out)
	if err != nil || o.Retention != 7*time.Hour || o.PurgeEvery != time.Second || o.Deletion != cosmosfake.DeletionArray ||
		strings.Join(o.Hosts, " ") != "a b" || o.SecondRegion != "West" || o.SecondAddr != ":0" {
		t.Errorf("got %+v, %v", o, err)
	}
	if _, err := parse([]string{"-version"}, &out); !errors.Is(err, errSaid) || !strings.Contains(out.String(), "almanac-cosmosfake ") {
		t.Errorf("got %v %q want the version", err, out.String())
	}
}

// TestComplaints: whatever is wrong is one line, which names the flag.
func TestComplaints(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, test := range map[string]struct {
		code int
		want string
	}{
		"serve":               {2, `unexpected argument "serve"; see almanac-cosmosfake -h`},
		"-foo":                {2, "-foo; see almanac-cosmosfake -h"},
		"-retention 7":        {2, "it has no unit: 7s, 7m or 7h"},
		"-retention soon":     {2, "want a duration such as 90s, 15m or 7h"},
		"-deletion round":     {2, "want object or array or documented"},
		"-ranges 0":           {2, "-ranges is 0, want 1 to 1024"},
		"-ranges 5000":        {1, "-ranges is 5000, want 1 to 1024"},
		"-retention -7h":      {1, "-retention is -7h0m0s"},
		"-split-bytes -1":     {1, "-split-bytes is -1"},
		"-throughput NaN":     {1, "-throughput is NaN"},
		"-consistency weak":   {1, `-consistency is "weak", want one of Strong`},
		"-second-addr :0":     {1, "-second-addr"},
		"-addr nowhere":       {1, `-addr "nowhere" is not host:port`},
		"-key %":              {1, "-key is not base64"},
		"-tls-cert x":         {1, "-tls-cert and -tls-key go together"},
		"-ledger /absent/x":   {1, "-ledger cannot be opened"},
		"-cert /absent/x":     {1, "-cert cannot be written"},
		"-dir " + dir:         {1, "holds other things (mine)"},
		"-compute-addr 1.2.3": {1, "-compute-addr"},
	} {
		command := exec.Command(self, append([]string{"-addr", "127.0.0.1:0"}, strings.Fields(args)...)...)
		command.Env = append(os.Environ(), asProgram+"=1")
		var said bytes.Buffer
		command.Stderr = &said
		err := command.Run()
		if code := command.ProcessState.ExitCode(); err == nil || code != test.code || !strings.Contains(said.String(), test.want) ||
			strings.Count(said.String(), "\n") != 1 {
			t.Errorf("%s: got code %d, %q, want code %d and one line with %q", args, code, said.String(), test.code, test.want)
		}
	}
}
