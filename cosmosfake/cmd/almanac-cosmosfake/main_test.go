package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, err := parse([]string{"--help"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v want %v", err, flag.ErrHelp)
	}
	for _, want := range []string{"cosmos.ca_file", "cosmos.key", "-ledger file", "Examples:"} {
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
	if shown != 2 {
		t.Errorf("got %d examples want 2", shown)
	}
}

func TestUnexpectedArgument(t *testing.T) {
	var out bytes.Buffer
	if _, err := parse([]string{"serve"}, &out); !errors.Is(err, errArgument) || !strings.Contains(out.String(), `"serve"`) {
		t.Errorf("got %v %q want the argument refused", err, out.String())
	}
}
