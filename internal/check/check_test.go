package check_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/check"
)

type coded struct{ code int }

func (coded) Error() string   { return "coded" }
func (c coded) ExitCode() int { return c.code }

func exitOf(err error) int {
	var c interface{ ExitCode() int }
	if err == nil {
		return 0
	}
	if errors.As(err, &c) {
		return c.ExitCode()
	}
	return -1
}

func TestReport(t *testing.T) {
	ok, warning := check.Good("a", "well"), check.Bad(check.Warning, "b", "so so").Fix("mend b")
	stop, unreachable := check.Bad(check.Stop, "c", "broken").Fix("mend c"), check.Failed("d", errors.New("refused")).Fix("start d")
	for _, test := range []struct {
		name     string
		findings []check.Finding
		want     check.Severity
		exit     int
		text     string
	}{
		{"nothing", nil, check.OK, 0, ""},
		{"well", []check.Finding{ok}, check.OK, 0, "ok           a: well\n"},
		{"warning", []check.Finding{ok, warning}, check.Warning, 0, "ok           a: well\nwarning      b: so so\n             -> mend b\n"},
		{"unreachable", []check.Finding{unreachable, warning}, check.Unreachable, 1, "unreachable  d: refused\n             -> start d\nwarning      b: so so\n             -> mend b\n"},
		{"stop", []check.Finding{stop, unreachable, ok}, check.Stop, 2, "stop         c: broken\n             -> mend c\nunreachable  d: refused\n             -> start d\nok           a: well\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := check.NewReport("almanac-x", test.findings)
			var out strings.Builder
			if err := report.Write(&out); err != nil {
				t.Fatal(err)
			}
			if report.Severity != test.want || exitOf(report.Err()) != test.exit || out.String() != test.text {
				t.Errorf("got %s, exit %d\n%swant %s, exit %d\n%s", report.Severity, exitOf(report.Err()), out.String(), test.want, test.exit, test.text)
			}
		})
	}
}

func TestFailed(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want check.Severity
	}{
		{"anything", errors.New("x"), check.Unreachable},
		{"retryable", fmt.Errorf("x: %w", coded{1}), check.Unreachable},
		{"usage", fmt.Errorf("x: %w", coded{2}), check.Stop},
		{"halt", coded{3}, check.Stop},
		{"permission", fmt.Errorf("x: %w", fs.ErrPermission), check.Stop},
		{"deadline", context.DeadlineExceeded, check.Unreachable},
	} {
		if got := check.Failed("s", test.err).Severity; got != test.want {
			t.Errorf("%s: got %s want %s", test.name, got, test.want)
		}
	}
}

// known is an error that knows what to do.
type known struct{ lasting bool }

func (known) Error() string                       { return "a page\nof words" }
func (known) Advice() (what, remedy string)       { return "no key", "give one" }
func (known) Detail() string                      { return "all about keys" }
func (k known) Lasting() bool                     { return k.lasting }
func detail(err error) string                     { return err.(interface{ Detail() string }).Detail() }
func wrapped(err error) error                     { return fmt.Errorf("write if absent: %w", err) }
func finding(err error, fix string) check.Finding { return check.Failed("s", err).Fix("%s", fix) }

// TestErrorsThatKnow: their words and their remedy count, and their details are told by nobody but the report's error.
func TestErrorsThatKnow(t *testing.T) {
	for lasting, want := range map[bool]check.Severity{true: check.Stop, false: check.Unreachable} {
		got := finding(wrapped(known{lasting}), "look around")
		if got.Text != "no key" || got.Remedy != "give one" || got.Severity != want {
			t.Errorf("lasting %v: got %+v want its words, and %s", lasting, got, want)
		}
		report := check.NewReport("x", []check.Finding{got, finding(errors.New("y"), "z")})
		if got, want := detail(report.Err()), "s: all about keys"; got != want {
			t.Errorf("got %q want %q", got, want)
		}
	}
	if got := check.NotOpened("archive.root", wrapped(known{})); got[0].Severity != check.Stop || got[0].Remedy != "give one" {
		t.Errorf("got %+v want stop, and its remedy", got)
	}
	if got := finding(errors.New("y"), "z"); got.Remedy != "z" || got.Text != "y" {
		t.Errorf("got %+v want y, z", got)
	}
}

// TestNobodyIsLetIn: that the probe cannot be removed either is not said, where it never was written.
func TestNobodyIsLetIn(t *testing.T) {
	refuse := func(string, blob.Condition) (blob.Condition, error) { return blob.Always(), known{true} }
	store := careless{Store: mem.New(), put: refuse, list: known{true}, remove: known{true}}
	for name, got := range map[string][]check.Finding{
		"store": check.Store(t.Context(), store, "archive.root", "x"), "readable": check.Readable(t.Context(), store, "archive.root", "x"),
	} {
		if len(got) != 1 || got[0].Text != "no key" || !check.Fails(got) {
			t.Errorf("%s: got %+v want one finding", name, got)
		}
	}
	store = careless{Store: mem.New()}
	if got := check.Readable(t.Context(), store, "archive.root", "x"); len(got) != 0 || check.Fails(check.Store(t.Context(), store, "archive.root", "x")) {
		t.Errorf("got %+v want nothing", got)
	}
}

func TestStore(t *testing.T) {
	folder, err := dir.New(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string]blob.Store{"mem": mem.New(), "dir": folder} {
		t.Run(name, func(t *testing.T) {
			if got := check.Store(t.Context(), store, "archive.root", "x"); len(got) != 1 || got[0].Severity != check.OK {
				t.Errorf("got %+v want one ok", got)
			}
			leaves(t, store)
		})
	}
}

func leaves(t *testing.T, store blob.Store) {
	t.Helper()
	err := store.List(t.Context(), "", func(info blob.Info) error { return fmt.Errorf("%s is left", info.Name) })
	if err != nil {
		t.Error(err)
	}
}

// careless is a store that breaks one promise.
type careless struct {
	blob.Store
	put    func(name string, cond blob.Condition) (blob.Condition, error)
	get    func(body string) string
	list   error
	remove error
}

func (c careless) Put(ctx context.Context, name string, body io.Reader, cond blob.Condition) (blob.Info, error) {
	if c.put != nil {
		var err error
		if cond, err = c.put(name, cond); err != nil {
			return blob.Info{}, err
		}
	}
	return c.Store.Put(ctx, name, body, cond)
}

func (c careless) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, blob.Info, error) {
	body, info, err := c.Store.Get(ctx, name, off, n)
	if c.get != nil && err == nil {
		text, _ := io.ReadAll(body)
		body = io.NopCloser(strings.NewReader(c.get(string(text))))
	}
	return body, info, err
}

func (c careless) List(ctx context.Context, prefix string, visit func(blob.Info) error) error {
	if c.list != nil {
		return c.list
	}
	return c.Store.List(ctx, prefix, visit)
}

func (c careless) Delete(ctx context.Context, name string) error {
	if c.remove != nil {
		return c.remove
	}
	return c.Store.Delete(ctx, name)
}

// TestCarelessStores: every promise that is broken is found, and the probe goes nevertheless.
func TestCarelessStores(t *testing.T) {
	refused := errors.New("connection refused")
	for _, test := range []struct {
		name  string
		store careless
		want  check.Severity
		text  string
	}{
		{"writes whatever stands there", careless{put: func(_ string, c blob.Condition) (blob.Condition, error) {
			return blob.Always(), nil
		}}, check.Stop, "replaced an object that was to be written only if absent"},
		{"forgets about versions", careless{put: func(_ string, c blob.Condition) (blob.Condition, error) {
			if c.Absent() {
				return c, nil
			}
			return blob.Always(), nil
		}}, check.Stop, "replaced an object that had changed meanwhile"},
		{"gives back something else", careless{get: func(body string) string { return strings.ToUpper(body) }}, check.Stop, "does not give back what was written"},
		{"is not there", careless{put: func(string, blob.Condition) (blob.Condition, error) { return blob.Always(), refused }}, check.Unreachable, "connection refused"},
		{"may not be written", careless{put: func(string, blob.Condition) (blob.Condition, error) { return blob.Always(), fs.ErrPermission }}, check.Stop, "permission denied"},
		{"may not be listed", careless{list: coded{2}}, check.Stop, "list: coded"},
		{"keeps everything", careless{remove: refused}, check.Warning, "cannot be removed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inner := mem.New()
			test.store.Store = inner
			report := check.NewReport("x", check.Store(t.Context(), test.store, "archive.root", "here"))
			text := ""
			for _, f := range report.Findings {
				if f.Severity != check.OK {
					text += f.Text + "\n"
					if f.Remedy == "" {
						t.Errorf("%s: got no remedy want one", f.Text)
					}
				}
			}
			if report.Severity != test.want || !strings.Contains(text, test.text) {
				t.Errorf("got %s: %s want %s: %s", report.Severity, text, test.want, test.text)
			}
			if test.store.remove == nil {
				leaves(t, inner)
			}
		})
	}
}

func TestFolder(t *testing.T) {
	folder := t.TempDir()
	if got := check.Folder("compactor.spill", folder); got.Severity != check.OK {
		t.Errorf("got %+v want ok", got)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) != 0 {
		t.Errorf("got %v, %v want nothing left", left, err)
	}
	if got := check.Folder("compactor.spill", filepath.Join(folder, "absent")); got.Severity != check.Stop || got.Remedy == "" {
		t.Errorf("got %+v want stop with a remedy", got)
	}
}
