package cosmosfake_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
)

// fullDisk takes only a part of the next write.
type fullDisk struct {
	io.Writer
	tear int // bytes that still fit; -1 is all
}

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.tear < 0 {
		return d.Writer.Write(b)
	}
	n, _ := d.Writer.Write(b[:min(d.tear, len(b))])
	d.tear = -1
	return n, errors.New("no space left on device")
}

// fullFile is a file on a full disk.
type fullFile struct {
	*os.File
	disk fullDisk
}

func (f *fullFile) Write(b []byte) (int, error) { return f.disk.Write(b) }

func openLedgerFile(t *testing.T, name string) *os.File {
	t.Helper()
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// idsOf are those of the whole lines of a ledger.
func idsOf(t *testing.T, text []byte) (list []string) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var e cosmosfake.Entry
		switch err := json.Unmarshal(line, &e); {
		case !bytes.HasSuffix(line, []byte("\n")):
		case err != nil:
			t.Errorf("ledger line %s: %v", line, err)
		case e.ID != "":
			list = append(list, e.ID)
		}
	}
	return list
}

const firstBatch = `[{"operationType":"Create","resourceBody":{"id":"x","pk":"a"}},{"operationType":"Create","resourceBody":{"id":"y","pk":"a"}}]`

// TestTornLedger: what a write left behind that failed in the middle never stands for something that was done, nor hides
// what was.
func TestTornLedger(t *testing.T) {
	for _, test := range []struct {
		name string
		tear int // bytes of the batch's lines, of which the first has about 300
		file bool
		want []string
	}{
		{"nothing was written", 0, false, []string{"0", "1"}},
		{"a torn line", 40, false, []string{"0"}},
		{"a torn line of a file", 40, true, []string{"0", "1"}},
		{"a whole line and a torn one of a file", 400, true, []string{"0", "1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var memory bytes.Buffer
			disk := &fullDisk{Writer: &memory, tear: -1}
			ledger, read := io.Writer(disk), func() []byte { return memory.Bytes() }
			if test.file {
				name := filepath.Join(t.TempDir(), "ledger")
				file := &fullFile{File: openLedgerFile(t, name)}
				file.disk = fullDisk{Writer: file.File, tear: -1}
				ledger, disk = file, &file.disk
				read = func() []byte { return readFile(t, name) }
			}
			c := rest{t, startServer(t, cosmosfake.Options{Ledger: ledger, Dir: t.TempDir()})}
			c.makeOrders(1)
			c.upsert(`["a"]`, `{"id":"0","pk":"a"}`)
			disk.tear = test.tear
			c.must(500, "POST", docs, firstBatch, "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`)
			c.must(404, "GET", docs+"/x", "", pkH, `["a"]`)
			after := c.do("POST", docs, `{"id":"1","pk":"a"}`, pkH, `["a"]`)
			if done := slices.Contains(test.want, "1"); done != (after.status == 201) || done == strings.Contains(string(after.body), "nothing can follow") {
				t.Errorf("a write after it got %d %s", after.status, after.body)
			}
			if got := idsOf(t, read()); !slices.Equal(got, test.want) {
				t.Errorf("got lines of %q, want %q:\n%s", got, test.want, read())
			}
		})
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestLedgerAfterKill: what a kill left of the ledger's last transaction, which the data directory has, is mended.
func TestLedgerAfterKill(t *testing.T) {
	dir, name := t.TempDir(), filepath.Join(t.TempDir(), "ledger")
	s, err := cosmosfake.New(cosmosfake.Options{Ledger: openLedgerFile(t, name), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c := rest{t, s}
	c.makeOrders(1)
	c.upsert(`["a"]`, `{"id":"0","pk":"a"}`)
	c.must(200, "POST", docs, firstBatch, "x-ms-cosmos-is-batch-request", "True", "x-ms-cosmos-batch-atomic", "True", pkH, `["a"]`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	another := openLedgerFile(t, name) // what another server wrote into it since
	if _, err := another.WriteString("{\"op\":\"failover\"}\n"); err != nil {
		t.Fatal(err)
	}
	shared := readFile(t, name)
	s, err = cosmosfake.New(cosmosfake.Options{Ledger: another, Dir: copyOf(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, name); !bytes.Equal(got, shared) {
		t.Errorf("a shared ledger: got %s, want %s", got, shared)
	}
	whole := shared[:bytes.LastIndex(shared, []byte(`{"op":"failover"}`))]
	lines := bytes.SplitAfter(whole, []byte("\n"))
	second := len(whole) - len(lines[len(lines)-2])
	first := second - len(lines[len(lines)-3])
	for _, left := range []int{first, first + 10, second, second + 10, len(whole) - 1, len(whole)} {
		again := filepath.Join(t.TempDir(), "ledger")
		if err := os.WriteFile(again, whole[:left], 0o600); err != nil {
			t.Fatal(err)
		}
		started, err := cosmosfake.New(cosmosfake.Options{Ledger: openLedgerFile(t, again), Dir: copyOf(t, dir)})
		if err != nil {
			t.Fatal(err)
		}
		if err := started.Close(); err != nil {
			t.Error(err)
		}
		if got := readFile(t, again); !bytes.Equal(got, whole) {
			t.Errorf("from %d of %d bytes: got %s, want %s", left, len(whole), got, whole)
		}
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return copied
}

// TestCloseWaits: a request that a hook held up while the server was closed is done nowhere, and Close waits for what is
// being done.
func TestCloseWaits(t *testing.T) {
	var ledger memoryLedger
	dir := t.TempDir()
	s, err := cosmosfake.New(cosmosfake.Options{Ledger: &ledger, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c := rest{t, s}
	c.makeOrders(1)
	held, release := make(chan struct{}), make(chan struct{})
	inside, leave := make(chan struct{}), make(chan struct{})
	s.SetHook(func(r *http.Request) *cosmosfake.Fault {
		if r.Method == http.MethodPost {
			close(held)
			<-release
			return nil
		}
		return &cosmosfake.Fault{Newest: cosmosfake.NewestBefore, Between: func() { close(inside); <-leave }}
	})
	answered := make(chan error, 2)
	for _, request := range []*http.Request{
		c.request("POST", docs, `{"id":"late","pk":"a"}`, pkH, `["a"]`),
		c.request("GET", docs, "", "A-IM", "Incremental Feed", rangH, "0"),
	} {
		go func() {
			res, err := s.Client().Do(request)
			if err == nil {
				_ = res.Body.Close()
			}
			answered <- err
		}()
	}
	<-held
	<-inside
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for range 2 { // both connections are cut off before anything is waited for
		if err := <-answered; err == nil {
			t.Error("got an answer from a server that is closed")
		}
	}
	select {
	case <-closed:
		t.Error("Close did not wait for a page that was being made")
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	close(release)
	if _, err := s.Bump(cosmosfake.Range{Database: "shop", Container: "orders", ID: "0"}, 1); err == nil {
		t.Error("a server that is closed took an LSN")
	}
	if got := ledger.entries(t); len(got) != 1 {
		t.Errorf("got %+v, want nothing after the container's creation", got)
	}
	again := rest{t, startServer(t, cosmosfake.Options{Dir: dir})}
	again.must(404, "GET", docs+"/late", "", pkH, `["a"]`)
}
