package cosmosfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// imageOf is everything a server holds, as a snapshot has it. Times of reads and numbers that refused writes took are
// left out: nobody saw them.
func imageOf(t *testing.T, s *Server) string {
	t.Helper()
	write, _, err := s.image(func() (int64, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := write(json.NewEncoder(&out)); err != nil {
		t.Fatal(err)
	}
	if c, e := s.container("db", "c"); e == nil { // events as clients see them
		for _, p := range c.partitions() {
			for _, one := range p.events.list {
				out.Write(append(one.append(nil, c, envelope{}), '\n'))
			}
		}
	}
	return regexp.MustCompile(`"time":\d+,`).ReplaceAllString(out.String(), "")
}

// killed is the directory of a server that was killed in this moment.
func killed(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "killed")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func open(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// driver does things to an account at random.
type driver struct {
	t      *testing.T
	s      *Server
	random *rand.Rand
}

func (d *driver) request(body string, headers ...string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "https://there/", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (d *driver) container() *container {
	c, e := d.s.container("db", "c")
	if e != nil {
		d.t.Fatal(e)
	}
	return c
}

func (d *driver) create(id string) {
	body := fmt.Sprintf(`{"id":%q,"partitionKey":{"paths":["/pk"]},"defaultTtl":-1}`, id)
	if _, e := d.s.createContainer(d.request(body, rangesHeader, "2", "x-ms-offer-throughput", "500"), "db"); e != nil {
		d.t.Fatal(e)
	}
}

// transact does some writes on one key at once; a delete and a creation of one document among them.
func (d *driver) transact() {
	c := d.container()
	pk := fmt.Sprintf("[%d]", d.random.IntN(9))
	_, epk, err := c.hashing.parse(c.key, []byte(pk))
	if err != nil {
		d.t.Fatal(err)
	}
	tx, e := d.s.begin(c, epk, priorityHigh)
	if e != nil {
		d.t.Fatal(e)
	}
	for range 1 + d.random.IntN(3) {
		id := fmt.Sprint(d.random.IntN(6))
		body := fmt.Sprintf("{\"id\":%q,\n\"pk\":%s,\"n\":%d,\"ttl\":%d}", id, strings.Trim(pk, "[]"), d.random.IntN(1000), 1+d.random.IntN(30))
		op := &operation{verb: verbUpsert, key: []byte(pk + id)}
		op.doc = document{body: []byte(body), key: op.key, pk: op.key[:len(pk)], id: op.key[len(pk):], ttl: int32(1 + d.random.IntN(30))}
		if d.random.IntN(3) == 0 {
			op.verb = verbDelete
		}
		if _, e := tx.do(op); e != nil && e.Status != http.StatusNotFound {
			d.t.Fatal(e)
		}
	}
	if _, e := tx.commit(); e != nil {
		d.t.Fatal(e)
	}
}

func (d *driver) someRange() (Range, *partition) {
	all := d.container().partitions()
	p := all[d.random.IntN(len(all))]
	return Range{"db", "c", p.id}, p
}

func (d *driver) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver) step() {
	at, p := d.someRange()
	switch n := d.random.IntN(40); {
	case n < 28:
		d.transact()
	case n < 30:
		_, err := d.s.Bump(at, int64(d.random.IntN(4)))
		d.must(err)
	case n < 32:
		_, err := d.s.Failover(at, d.random.Int64N(min(5, p.newest-p.floor+1)))
		d.must(err)
	case n < 33:
		_, err := d.s.Purge("db", "c")
		d.must(err)
	case n < 34 && len(d.container().partitions()) < 5:
		if _, err := d.s.Split(at, SplitOptions{}); err != nil && !errors.Is(err, errOneKey) {
			d.t.Fatal(err)
		}
	case n < 35:
		if all := d.container().partitions(); len(all) > 2 {
			_, err := d.s.Merge("db", "c", all[1].id, all[0].id)
			d.must(err)
		}
	case n < 36:
		if _, e := d.s.deleteContainer(d.request(""), "db", "c"); e != nil {
			d.t.Fatal(e)
		}
		if d.s.options.Retention > 0 && d.random.IntN(2) == 0 {
			d.must(d.s.RestoreContainer("db", "c"))
			return
		}
		d.create("c")
	case n < 38:
		d.script(d.container())
	case n < 39:
		if _, err := d.s.fold(); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *driver) script(c *container) {
	name := func() string { return fmt.Sprint("s", d.random.IntN(3)) }
	body := fmt.Sprintf(`{"id":%q,"body":"%d"}`, name(), d.random.IntN(1000))
	var e *Error
	switch d.random.IntN(3) {
	case 0:
		_, e = d.s.createScript(d.request(body), c, "sprocs")
	case 1:
		_, e = d.s.replaceScript(d.request(body), c, "sprocs", name())
	default:
		_, e = d.s.deleteScript(d.request(""), c, "sprocs", name())
	}
	if e != nil && e.Status != http.StatusNotFound && e.Status != http.StatusConflict {
		d.t.Fatal(e)
	}
}

// TestEverythingSurvives kills a server after many random things: what comes back is all of it, versions and events
// that are past too.
func TestEverythingSurvives(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, retention := range []time.Duration{0, 10 * time.Second} {
		for round := range uint64(6) {
			now := time.Unix(1_800_000_000, 5)
			o := Options{Dir: filepath.Join(t.TempDir(), "data"), Retention: retention, Clock: func() time.Time { return now }}
			s := open(t, o)
			d := &driver{t: t, s: s, random: rand.New(rand.NewPCG(seed, round))}
			if _, e := s.createDatabase(d.request(`{"id":"db"}`)); e != nil {
				t.Fatal(e)
			}
			d.create("c")
			for i := range 300 {
				d.step()
				now = now.Add(time.Duration(d.random.IntN(300)) * time.Millisecond)
				if i%60 != 59 {
					continue
				}
				o.Dir = killed(t, s.options.Dir)
				again := open(t, o)
				if got, want := imageOf(t, again), imageOf(t, s); got != want {
					t.Fatalf("seed %d, retention %s, round %d, step %d: got\n%s\nwant\n%s", seed, retention, round, i, got, want)
				}
				if err := again.Close(); err != nil {
					t.Fatal(err)
				}
				third := open(t, o) // from what the second one wrote at its start
				if got, want := imageOf(t, third), imageOf(t, s); got != want {
					t.Fatalf("seed %d, retention %s, round %d, step %d, again: got\n%s\nwant\n%s", seed, retention, round, i, got, want)
				}
			}
		}
	}
}

// TestFoldWhileWriting lets journals be folded again and again under several writers.
func TestFoldWhileWriting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, Options{Dir: dir})
	s.journal.least, s.journal.limit = 4<<10, 4<<10
	d := &driver{t: t, s: s}
	if _, e := s.createDatabase(d.request(`{"id":"db"}`)); e != nil {
		t.Fatal(e)
	}
	d.create("c")
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := 0; i < 20_000 && fewFolds(s.journal); i++ {
				line := fmt.Sprintf(`{"id":"%d","pk":%d,"n":%d,"filler":"%s"}`, i%20, w, i, strings.Repeat("x", 200))
				if _, err := s.Load("db", "c", strings.NewReader(line)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s.journal.folds.Wait()
	if fewFolds(s.journal) || s.journal.failed != nil {
		t.Errorf("got journal %d (%v), want many folds", s.journal.number, s.journal.failed)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Errorf("got %v (%v), want a lock, an authority, a snapshot, a journal", files, err)
	}
	again := open(t, Options{Dir: killed(t, dir)})
	if got, want := imageOf(t, again), imageOf(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func fewFolds(j *journal) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.number < 5
}

// TestTornLine cuts the journal at many places in its last line, which is then as if it never was, and elsewhere, which is
// refused.
func TestTornLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, Options{Dir: dir})
	d := &driver{t: t, s: s}
	if _, e := s.createDatabase(d.request(`{"id":"db"}`)); e != nil {
		t.Fatal(e)
	}
	d.create("c")
	want := imageOf(t, s)
	name := fmt.Sprintf("%010d.journal", s.journal.number)
	before := s.journal.size
	if _, err := s.Load("db", "c", strings.NewReader(`{"id":"1","pk":"a"}`)); err != nil {
		t.Fatal(err)
	}
	for size := before; size < s.journal.size; size += 19 {
		torn := killed(t, dir)
		if err := os.Truncate(filepath.Join(torn, name), size); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			again := open(t, Options{Dir: torn})
			if got := imageOf(t, again); got != want {
				t.Fatalf("cut at %d of %d to %d: got\n%s\nwant\n%s", size, before, s.journal.size, got, want)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	torn := killed(t, dir)
	if err := os.Truncate(filepath.Join(torn, name), s.journal.size-1); err != nil {
		t.Fatal(err)
	}
	f, err := openFolder(torn)
	if err != nil {
		t.Fatal(err)
	}
	number, err := f.read(func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	next, err := f.create(number + 1) // and is killed before there is a snapshot
	if err = errors.Join(err, next.Close(), f.unlock()); err != nil {
		t.Fatal(err)
	}
	if got := imageOf(t, open(t, Options{Dir: torn})); got != want {
		t.Errorf("killed at its start: got\n%s\nwant\n%s", got, want)
	}
	for what, damage := range map[string]func(dir string, journal []byte) error{
		"a byte that is missing": func(dir string, journal []byte) error {
			return os.WriteFile(filepath.Join(dir, name), bytes.Replace(journal, []byte(`"database"`), []byte(`"database`), 1), 0o600)
		},
		"a line twice": func(dir string, journal []byte) error {
			return os.WriteFile(filepath.Join(dir, name), append(journal, journal[before:]...), 0o600)
		},
		"no journal": func(dir string, _ []byte) error { return os.Remove(filepath.Join(dir, name)) },
	} {
		bad := killed(t, dir)
		journal, err := os.ReadFile(filepath.Join(bad, name))
		if err == nil {
			err = damage(bad, journal)
		}
		if err != nil {
			t.Fatal(err)
		}
		if broken, err := New(Options{Dir: bad}); err == nil {
			_ = broken.Close()
			t.Errorf("%s: a server started", what)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want the file named", what, err)
		}
	}
}

// TestKilledWhileFolding starts from every state that a fold leaves behind in the directory.
func TestKilledWhileFolding(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, Options{Dir: dir})
	d := &driver{t: t, s: s, random: rand.New(rand.NewPCG(1, 1))}
	if _, e := s.createDatabase(d.request(`{"id":"db"}`)); e != nil {
		t.Fatal(e)
	}
	d.create("c")
	write := func() {
		for range 20 {
			d.transact()
		}
	}
	write()
	before := killed(t, dir)
	image, number, err := s.image(s.journal.turn) // the new journal is there, the snapshot is not
	d.must(err)
	write()
	begun := killed(t, dir)
	_, err = s.journal.folder.write(number, image)
	d.must(err)
	left := killed(t, dir) // what it took the place of is there still
	for _, suffix := range []string{snapshotSuffix, journalSuffix} {
		name := fmt.Sprintf("%010d%s", number-1, suffix)
		d.must(os.Link(filepath.Join(before, name), filepath.Join(left, name)))
	}
	half := killed(t, left)
	d.must(os.Remove(filepath.Join(half, fmt.Sprintf("%010d%s", number-1, snapshotSuffix))))
	d.must(os.WriteFile(filepath.Join(begun, "snapshot-1.tmp"), []byte(`{"account":`), 0o600))
	want := imageOf(t, s)
	for _, state := range []string{begun, left, half, killed(t, dir)} {
		again := open(t, Options{Dir: state})
		if got := imageOf(t, again); !sameButNumbers(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", state, got, want)
		}
		if files, err := os.ReadDir(state); err != nil || len(files) != 4 {
			t.Errorf("%s: got %v (%v), want a lock, an authority, a snapshot, a journal", state, files, err)
		}
	}
}

// TestOneServer: a second one does not get the directory while the first has it.
func TestOneServer(t *testing.T) {
	dir := t.TempDir()
	first := open(t, Options{Dir: dir})
	if second, err := New(Options{Dir: dir}); err == nil {
		_ = second.Close()
		t.Error("two servers have one directory")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir})
}

// TestLimitSurvives: a container is limited by its own offer after a restart too.
func TestLimitSurvives(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "data"), Throughput: 1000}
	s := open(t, o)
	d := &driver{t: t, s: s}
	if _, e := s.createDatabase(d.request(`{"id":"db"}`)); e != nil {
		t.Fatal(e)
	}
	d.create("c")
	o.Dir = killed(t, o.Dir)
	d.s = open(t, o)
	if got := d.container().throughput.get(); got != 500 {
		t.Errorf("got %v RU/s, want the 500 of its offer", got)
	}
}

// TestJournalRefused: what cannot be written into the journal, or after it into the ledger, is not done, and not there
// after a restart.
func TestJournalRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	ledger := &failing{}
	s := open(t, Options{Dir: dir, Ledger: ledger})
	d := &driver{t: t, s: s}
	if _, e := s.createDatabase(d.request(`{"id":"db"}`)); e != nil {
		t.Fatal(e)
	}
	d.create("c")
	load := func(id string) error {
		_, err := s.Load("db", "c", strings.NewReader(`{"id":"`+id+`","pk":"a"}`))
		return err
	}
	d.must(load("1"))
	ledger.err = errors.New("full")
	if err := load("2"); err == nil {
		t.Error("a write was done without its ledger line")
	}
	ledger.err = nil
	d.must(load("3"))
	want := imageOf(t, s)
	again := open(t, Options{Dir: killed(t, dir)})
	if got := imageOf(t, again); !sameButNumbers(got, want) || strings.Contains(got, `"id":"2"`) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	write := again.note(&record{Drop: &dropRecord{Database: "db"}})
	if write == nil || write.Status != http.StatusInternalServerError {
		t.Errorf("got %v, want a closed server to refuse", write)
	}
}

// sameButNumbers leaves out the numbers that a refused write took.
func sameButNumbers(a, b string) bool {
	numbers := regexp.MustCompile(`"(etags|rids)":\d+`)
	return numbers.ReplaceAllString(a, "") == numbers.ReplaceAllString(b, "")
}

type failing struct{ err error }

func (f *failing) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return len(b), nil
}
