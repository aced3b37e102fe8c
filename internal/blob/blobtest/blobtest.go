// Package blobtest is the conformance suite of blob.Store: what every store must do, and what only shows under races.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// Racers is the number of contenders in every race.
const Racers = 12

// Run tries everything on stores that open makes; each must be empty.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s blob.Store)
	}{
		{"read what was written", readBack},
		{"ranges", ranges},
		{"nothing there", nothingThere},
		{"conditions", conditions},
		{"a put in the middle of a read", replacedWhileRead},
		{"failed bodies", failedBodies},
		{"names", names},
		{"lists", lists},
		{"a visit ends a list", listEnds},
		{"prefixed", prefixedStore},
		{"cancelled", cancelled},
		{"large objects", largeObjects},
		{"race to put if absent", raceAbsent},
		{"race to put if version", raceVersion},
		{"race of reads and puts", raceReads},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func put(t *testing.T, s blob.Store, name, data string) blob.Info {
	t.Helper()
	info, err := s.Put(t.Context(), name, strings.NewReader(data), blob.Always())
	if err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
	return info
}

func get(t *testing.T, s blob.Store, name string) (string, blob.Info) {
	t.Helper()
	data, info, err := blob.ReadAll(t.Context(), s, name, 1<<30)
	if err != nil {
		t.Fatalf("get %s: %v", name, err)
	}
	return string(data), info
}

func wantContent(t *testing.T, s blob.Store, name, want string) {
	t.Helper()
	if got, _ := get(t, s, name); got != want {
		t.Errorf("content of %s: got %.60q, want %.60q", name, got, want)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func readBack(t *testing.T, s blob.Store) {
	for _, data := range []string{"", "x", "two", strings.Repeat("long ", 10_000)} {
		stored := put(t, s, "a/b", data)
		got, read := get(t, s, "a/b")
		if got != data {
			t.Errorf("got %d bytes, want %d", len(got), len(data))
		}
		if stored.Name != "a/b" || stored.Size != int64(len(data)) || stored.Version == "" || stored.Now.IsZero() {
			t.Errorf("info of put: got %+v, want name, size %d, version, now", stored, len(data))
		}
		if read.Name != stored.Name || read.Size != stored.Size || read.Version != stored.Version || !read.Modified.Equal(stored.Modified) {
			t.Errorf("info of get: got %+v, want that of put, %+v", read, stored)
		}
		if read.Now.Before(stored.Now) || stored.Now.Before(stored.Modified.Add(-clockSlack)) {
			t.Errorf("times: got modified %v, now %v, later %v, want them in this order", stored.Modified, stored.Now, read.Now)
		}
		stat, err := blob.Stat(t.Context(), s, "a/b")
		if err != nil || stat.Size != stored.Size || stat.Version != stored.Version || !stat.Modified.Equal(stored.Modified) {
			t.Errorf("stat: got %+v, %v, want that of put, %+v", stat, err, stored)
		}
	}
}

func ranges(t *testing.T, s blob.Store) {
	put(t, s, "o", "0123456789")
	for _, test := range []struct {
		off, n int64
		want   string
	}{{0, -1, "0123456789"}, {0, 3, "012"}, {4, 3, "456"}, {8, 5, "89"}, {7, -1, "789"}, {10, 1, ""}, {11, -1, ""}, {99, 5, ""}, {3, 0, ""}} {
		body, info, err := s.Get(t.Context(), "o", test.off, test.n)
		if err != nil {
			t.Errorf("get from %d, %d bytes: %v", test.off, test.n, err)
			continue
		}
		got, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil || string(got) != test.want || info.Size != 10 {
			t.Errorf("get from %d, %d bytes: got %q, size %d, %v, want %q, size 10", test.off, test.n, got, info.Size, err, test.want)
		}
	}
	if _, _, err := s.Get(t.Context(), "o", -1, 1); err == nil {
		t.Error("get from -1: got no error")
	}
}

func nothingThere(t *testing.T, s blob.Store) {
	put(t, s, "folder/object", "x")
	for _, name := range []string{"absent", "folder", "folder/absent", "folder/object/below", "absent/absent"} {
		_, _, err := s.Get(t.Context(), name, 0, -1)
		wantError(t, "get "+name, err, blob.ErrNotFound)
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("delete %s: got %v, want no error", name, err)
		}
	}
	wantContent(t, s, "folder/object", "x")
	if err := s.Delete(t.Context(), "folder/object"); err != nil {
		t.Error(err)
	}
	_, _, err := s.Get(t.Context(), "folder/object", 0, -1)
	wantError(t, "get what was deleted", err, blob.ErrNotFound)
}

func conditions(t *testing.T, s blob.Store) {
	try := func(data string, cond blob.Condition) (blob.Info, error) {
		return s.Put(t.Context(), "o", strings.NewReader(data), cond)
	}
	_, err := try("no", blob.IfVersion("7"))
	wantError(t, "if version, of nothing", err, blob.ErrCondition)
	if _, err = try("no", blob.IfVersion("")); err == nil || errors.Is(err, blob.ErrCondition) {
		t.Errorf("if version, none given: got %v, want an error of another kind than %v", err, blob.ErrCondition)
	}
	first, err := try("first", blob.IfAbsent())
	if err != nil {
		t.Fatalf("if absent, of nothing: %v", err)
	}
	_, err = try("no", blob.IfAbsent())
	wantError(t, "if absent, where something stands", err, blob.ErrCondition)
	second, err := try("second", blob.IfVersion(first.Version))
	if err != nil {
		t.Fatalf("if version, of the version: %v", err)
	}
	if second.Version == first.Version {
		t.Errorf("version of other bytes: got %s twice", first.Version)
	}
	_, err = try("no", blob.IfVersion(first.Version))
	wantError(t, "if version, of an older version", err, blob.ErrCondition)
	wantContent(t, s, "o", "second")
	if err := s.Delete(t.Context(), "o"); err != nil {
		t.Fatal(err)
	}
	_, err = try("no", blob.IfVersion(second.Version))
	wantError(t, "if version, of what was deleted", err, blob.ErrCondition)
	if _, err = try("third", blob.IfAbsent()); err != nil {
		t.Errorf("if absent, where something was deleted: %v", err)
	}
}

func replacedWhileRead(t *testing.T, s blob.Store) {
	before, after := strings.Repeat("a", 3<<20), strings.Repeat("b", 3<<20)
	put(t, s, "o", before)
	body, _, err := s.Get(t.Context(), "o", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 10)
	if _, err := io.ReadFull(body, head); err != nil {
		t.Fatal(err)
	}
	put(t, s, "o", after)
	rest, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil || string(head)+string(rest) != before {
		t.Errorf("got %v and other bytes than those that stood there when the read began", err)
	}
	wantContent(t, s, "o", after)
}

func failedBodies(t *testing.T, s blob.Store) {
	broken := errors.New("the body broke")
	for _, cond := range []blob.Condition{blob.Always(), blob.IfAbsent()} {
		body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
		_, err := s.Put(t.Context(), "never", body, cond)
		wantError(t, "put of a broken body "+cond.String(), err, broken)
	}
	kept := put(t, s, "kept", "old")
	body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	_, err := s.Put(t.Context(), "kept", body, blob.IfVersion(kept.Version))
	wantError(t, "put of a broken body over another", err, broken)
	wantContent(t, s, "kept", "old")
	if got := list(t, s, ""); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("list: got %q, want the one object that was written", got)
	}
}

func names(t *testing.T, s blob.Store) {
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b", "a\x00b", "a\nb", `a\b`, "a\xff", strings.Repeat("x", 256), strings.Repeat("x/", 600) + "x",
	} {
		if _, err := s.Put(t.Context(), name, strings.NewReader("x"), blob.Always()); err == nil {
			t.Errorf("put %.30q: got no error", name)
		}
		if _, _, err := s.Get(t.Context(), name, 0, -1); err == nil || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("get %.30q: got %v, want a refusal of the name", name, err)
		}
	}
	good := []string{
		"container=shop.orders/date=2026-11-20/x.parquet", "a b", "100%", "%2e%2e", "ä/日本", "a:b", "~", "-", "..a", "...", "_delta_log/00000000000000000000.json",
		".hidden", "tmp", "$web", "a'b\"c", strings.Repeat("y", 255),
	}
	for _, name := range good {
		put(t, s, name, "in "+name)
	}
	for _, name := range good {
		wantContent(t, s, name, "in "+name)
	}
	slices.Sort(good)
	if got := list(t, s, ""); !slices.Equal(got, good) {
		t.Errorf("list: got %q, want %q", got, good)
	}
}

func list(t *testing.T, s blob.Store, prefix string) []string {
	t.Helper()
	var found []string
	err := s.List(t.Context(), prefix, func(info blob.Info) error {
		found = append(found, info.Name)
		if info.Size != int64(len("in "+info.Name)) && info.Size != 3 || info.Modified.IsZero() || info.Now.IsZero() {
			t.Errorf("info in list: got %+v, want size and times", info)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	return found
}

func lists(t *testing.T, s blob.Store) {
	all := []string{"a", "b-c", "b.d/e", "b/a", "b/a/", "b0", "bb/c/d", "bb/c/e", "bb/cc", "c/d/e/f"}
	all = slices.DeleteFunc(all, func(name string) bool { return strings.HasSuffix(name, "/") })
	for i := range all {
		put(t, s, all[(i*7)%len(all)], "123") // in another order than they are listed in
	}
	for _, prefix := range []string{"", "a", "b", "b/", "b-", "bb/c", "bb/c/", "bb/c/d", "c/d/e/f", "c/d/e/fg", "d", "bb/x/", "a/"} {
		want := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !strings.HasPrefix(name, prefix) })
		if got := list(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("list %q: got %q, want %q", prefix, got, want)
		}
	}
	for _, prefix := range []string{"../", "/", "a//", "../../etc/"} {
		if err := s.List(t.Context(), prefix, func(blob.Info) error { return nil }); err == nil {
			t.Errorf("list %q: got no error", prefix)
		}
	}
}

func listEnds(t *testing.T, s blob.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("%d/x", i), "123")
	}
	enough, n := errors.New("enough"), 0
	err := s.List(t.Context(), "", func(blob.Info) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if err != enough || n != 3 { //nolint:errorlint // it must be returned as it is
		t.Errorf("got %v after %d, want %v after 3", err, n, enough)
	}
	// Objects may be deleted while they are listed.
	err = s.List(t.Context(), "", func(info blob.Info) error { return s.Delete(t.Context(), info.Name) })
	if err != nil || len(list(t, s, "")) != 0 {
		t.Errorf("delete in a list: got %v and %d left, want none", err, len(list(t, s, "")))
	}
}

func prefixedStore(t *testing.T, s blob.Store) {
	below := blob.Prefixed(s, "topic/changes")
	put(t, s, "topic/changes.not", "123")
	if info := put(t, below, "in", "123"); info.Name != "in" {
		t.Errorf("name of put: got %s, want in", info.Name)
	}
	if _, info := get(t, below, "in"); info.Name != "in" {
		t.Errorf("name of get: got %s, want in", info.Name)
	}
	wantContent(t, s, "topic/changes/in", "123")
	if got := list(t, below, ""); !slices.Equal(got, []string{"in"}) {
		t.Errorf("list: got %q, want in", got)
	}
	if err := below.Delete(t.Context(), "in"); err != nil {
		t.Error(err)
	}
	_, _, err := s.Get(t.Context(), "topic/changes/in", 0, -1)
	wantError(t, "get what was deleted", err, blob.ErrNotFound)
}

func cancelled(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Put(ctx, "o", strings.NewReader("x"), blob.Always())
	wantError(t, "put", err, context.Canceled)
	_, _, err = s.Get(t.Context(), "o", 0, -1)
	wantError(t, "get what was never put", err, blob.ErrNotFound)
}

func largeObjects(t *testing.T, s blob.Store) {
	data := bytes.Repeat([]byte("0123456789abcdef"), (4<<20)/16)
	if _, err := s.Put(t.Context(), "large", bytes.NewReader(data), blob.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	info, err := blob.Stat(t.Context(), s, "large")
	if err != nil || info.Size != int64(len(data)) {
		t.Fatalf("stat: got %+v, %v, want size %d", info, err, len(data))
	}
	at := blob.NewReaderAt(t.Context(), s, info)
	for _, off := range []int64{0, 1, 512<<10 - 3, 1<<20 + 7, int64(len(data)) - 5} {
		got := make([]byte, 40)
		n, err := at.ReadAt(got, off)
		want := data[off:min(off+40, int64(len(data)))]
		if !bytes.Equal(got[:n], want) || (n < 40) != (err == io.EOF) {
			t.Errorf("read at %d: got %q, %v, want %q", off, got[:n], err, want)
		}
	}
}
