package harness

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// child is set in the environment of a test binary that plays a program: it prints its address and obeys.
const child = "ALMANAC_HARNESS_CHILD"

func TestMain(m *testing.M) {
	if how := os.Getenv(child); how != "" {
		fmt.Println("msg=listening addr=127.0.0.1:4711")
		if how == "fail" {
			os.Exit(3)
		}
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		select {}
	}
	os.Exit(m.Run())
}

func newChild(t *testing.T, how string) *Process {
	p := &Process{Name: how, Log: filepath.Join(t.TempDir(), "log"), program: os.Args[0], env: append(os.Environ(), child+"="+how)}
	t.Cleanup(p.Kill)
	return p
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestProcessLivesAgainAfterAKill(t *testing.T) {
	p := newChild(t, "wait")
	for life := range 3 {
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		if err := p.Start(); err == nil {
			t.Errorf("life %d: got no error for a second start of a process that runs", life)
		}
		if addr, err := p.Addr(within(t, 10*time.Second)); err != nil || addr != "127.0.0.1:4711" {
			t.Fatalf("life %d: got address %q, error %v", life, addr, err)
		}
		p.Kill()
		if p.Running() || p.ExitCode() != -1 {
			t.Errorf("life %d: got running %v, exit code %d after a kill", life, p.Running(), p.ExitCode())
		}
	}
	if got := strings.Count(p.Tail(100), "listening"); got != 3 {
		t.Errorf("got %d lives in the log want 3", got)
	}
}

func TestProcessThatFailsIsReported(t *testing.T) {
	p := newChild(t, "fail")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	s := &Stack{processes: []*Process{p}}
	err := Until(within(t, 10*time.Second), "its end", func() (string, error) { return "it runs", s.Failed() })
	if err == nil || !strings.Contains(err.Error(), "exit code 3") {
		t.Errorf("got error %v want one that names exit code 3", err)
	}
}

func TestUntilSaysWhatIsMissing(t *testing.T) {
	err := Until(within(t, 60*time.Millisecond), "the sun", func() (string, error) { return "it is night", nil })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the sun: it is night") {
		t.Errorf("got error %v", err)
	}
	looks := 0
	err = Until(within(t, 10*time.Second), "the third look", func() (string, error) {
		if looks++; looks < 3 {
			return "not yet", nil
		}
		return "", nil
	})
	if err != nil || looks != 3 {
		t.Errorf("got %d looks, error %v", looks, err)
	}
}

func TestKeysGoIntoHeadersAsASCII(t *testing.T) {
	if got, want := ascii(`["é😀",1]`), `["\u00e9\ud83d\ude00",1]`; got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

func TestMissingNamesWhatIsNotArchived(t *testing.T) {
	p := &Progress{Last: map[int32]int64{0: 9, 1: 3}}
	for _, test := range []struct {
		name string
		ends map[int32]int64
		want string
	}{
		{"everything is there", map[int32]int64{0: 10, 1: 4, 2: 0}, ""},
		{"a partition is behind", map[int32]int64{0: 10, 1: 6}, "partition 1 stands at 3 of 5"},
		{"a partition was never archived", map[int32]int64{2: 1}, "partition 2 stands at -1 of 0"},
	} {
		if got := p.Missing(test.ends); got != test.want {
			t.Errorf("%s: got %q want %q", test.name, got, test.want)
		}
	}
}
