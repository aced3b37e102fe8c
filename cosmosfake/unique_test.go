package cosmosfake

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"
)

// TestUniqueIndex does random things to a container with unique keys: each write is refused if and only if the documents,
// looked through one by one, say so.
func TestUniqueIndex(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	now := time.Unix(1_800_000_000, 0)
	s := open(t, Options{Clock: func() time.Time { return now }})
	d := &driver{t: t, s: s, random: rand.New(rand.NewPCG(seed, 1))}
	if _, e := s.createDatabase(d.request(`{"id":"db"}`)); e != nil {
		t.Fatal(e)
	}
	definition := `{"id":"c","partitionKey":{"paths":["/pk"]},"defaultTtl":-1,"uniqueKeyPolicy":{"uniqueKeys":[{"paths":["/a"]},{"paths":["/b","/c/d"]}]}}`
	if _, e := s.createContainer(d.request(definition), "db"); e != nil {
		t.Fatal(e)
	}
	refused := 0
	for step := range 4000 {
		now = now.Add(time.Duration(d.random.IntN(2)) * time.Second)
		at, p := d.someRange()
		switch d.random.IntN(60) {
		case 0:
			_, err := s.Failover(at, d.random.Int64N(min(5, p.newest-p.floor+1)))
			d.must(err)
		case 1:
			if _, err := s.Split(at, SplitOptions{}); err != nil && !errors.Is(err, errOneKey) {
				t.Fatal(err)
			}
		case 2:
			if all := d.container().partitions(); len(all) > 1 {
				_, err := s.Merge("db", "c", all[0].id, all[1].id)
				d.must(err)
			}
		default:
			if got, want := d.unique(); got != want {
				t.Fatalf("seed %d, step %d: refused %v, want %v", seed, step, got, want)
			} else if slices.Contains(got[:], true) {
				refused++
			}
		}
	}
	if refused < 100 || refused > 3000 {
		t.Errorf("seed %d: %d transactions had refusals", seed, refused)
	}
}

// unique does a transaction of three operations; it tells which of them were refused and which should have been.
func (d *driver) unique() (got, want [3]bool) {
	c := d.container()
	pk := fmt.Sprintf("[%d]", d.random.IntN(3))
	_, epk, err := c.hashing.parse(c.key, []byte(pk))
	d.must(err)
	tx, e := d.s.begin(c, epk, priorityHigh)
	if e != nil {
		d.t.Fatal(e)
	}
	for i := range got {
		id := fmt.Sprint(d.random.IntN(8))
		n := func() int { return d.random.IntN(12) }
		body := fmt.Sprintf(`{"id":%q,"pk":%s,"a":%d,"b":%d,"c":{"d":%d}}`, id, pk[1:len(pk)-1], n(), n()/4, n()/4)
		op := &operation{verb: verbUpsert, key: []byte(pk + id)}
		op.doc = document{body: []byte(body), key: op.key, pk: op.key[:len(pk)], id: op.key[len(pk):], ttl: int32(1 + d.random.IntN(40))}
		if d.random.IntN(3) == 0 {
			op.verb = verbDelete
		}
		want[i] = op.verb == verbUpsert && d.taken(tx, op)
		_, e := tx.do(op)
		if got[i] = e != nil && e.Status == http.StatusConflict; e != nil && !got[i] && e.Status != http.StatusNotFound {
			d.t.Fatal(e)
		}
	}
	if _, e := tx.commit(); e != nil {
		d.t.Fatal(e)
	}
	return got, want
}

// taken looks through all documents that the key may have.
func (d *driver) taken(tx *transaction, op *operation) bool {
	for other := range 8 {
		key := fmt.Sprintf("%s%d", op.doc.pk, other)
		v := tx.current([]byte(key))
		if v == nil || key == string(op.key) {
			continue
		}
		for _, unique := range tx.c.unique {
			if unique.values(v.body) == unique.values(op.doc.body) {
				return true
			}
		}
	}
	return false
}

func BenchmarkUniqueKeys(b *testing.B) {
	s, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	d := &driver{s: s}
	if _, e := s.createDatabase(d.request(`{"id":"db"}`)); e != nil {
		b.Fatal(e)
	}
	if _, e := s.createContainer(d.request(`{"id":"c","partitionKey":{"paths":["/pk"]},"uniqueKeyPolicy":{"uniqueKeys":[{"paths":["/a"]}]}}`), "db"); e != nil {
		b.Fatal(e)
	}
	c := d.container()
	key := []byte(`["x"]`)
	_, epk, err := c.hashing.parse(c.key, key)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		tx, e := s.begin(c, epk, priorityHigh)
		if e != nil {
			b.Fatal(e)
		}
		id := fmt.Appendf(nil, "%d", i)
		doc := document{body: fmt.Appendf(nil, `{"id":"%d","pk":"x","a":%d}`, i, i), key: append(slices.Clone(key), id...), pk: key, id: id}
		if _, e := tx.do(&operation{verb: verbCreate, doc: doc, key: doc.key}); e != nil {
			b.Fatal(e)
		}
		if _, e := tx.commit(); e != nil {
			b.Fatal(e)
		}
	}
}
