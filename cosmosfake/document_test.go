package cosmosfake

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/cosmos-almanac/almanac/schemas"
)

func TestWithoutSystem(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing to drop", `{"id":"1"}`, `{"id":"1"}`},
		{"blanks around", " \n{\"id\":\"1\"}\r\n\t", `{"id":"1"}`},
		{"blanks inside stay", "{ \"id\" : \"1\" ,\n\"a\":[ 1 ] \n }", "{ \"id\" : \"1\" ,\n\"a\":[ 1 ] \n }"},
		{"last", `{"id":"1","_ts":5}`, `{"id":"1"}`},
		{"last, with blanks", `{"id":"1" , "_ts" : 5 }`, `{"id":"1"  }`},
		{"in the middle", `{"id":"1","_rid":"x","a":2}`, `{"id":"1","a":2}`},
		{"first", `{"_rid":"x","id":"1"}`, `{"id":"1"}`},
		{"first two, with blanks", `{ "_rid" : "x" , "_self":"y" , "id":"1" }`, `{ "id":"1" }`},
		{"all kinds", `{"_lsn":1,"id":"1","_self":"s","_etag":"e","b":{},"_attachments":"a","_ts":1,"_rid":"r"}`, `{"_lsn":1,"id":"1","b":{}}`},
		{"twice", `{"id":"1","_ts":1,"_ts":2}`, `{"id":"1"}`},
		{"escaped name", `{"id":"1","\u005frid":"x"}`, `{"id":"1"}`},
		{"inner ones stay", `{"id":"1","a":{"_rid":"x","_ts":1}}`, `{"id":"1","a":{"_rid":"x","_ts":1}}`},
		{"alike names stay", `{"id":"1","_rids":1,"_TS":2,"ts":3}`, `{"id":"1","_rids":1,"_TS":2,"ts":3}`},
		{"values with structure", `{"id":"1","_etag":{"a":["}",",\""]},"s":"{\"_ts\":1,}"}`, `{"id":"1","s":"{\"_ts\":1,}"}`},
		{"numbers and duplicates", `{"id":"1","n":9007199254740993123,"e":1e400,"f":1.0,"n":2,"_ts":1e400}`, `{"id":"1","n":9007199254740993123,"e":1e400,"f":1.0,"n":2}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := withoutSystem([]byte(test.in), isSystemProperty)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func testContainer() *container {
	return &container{self: "dbs/AAAA/colls/BBBB/", ridBytes: []byte{1, 2, 3, 4, 5, 6, 7, 8}}
}

// FuzzSplice proves INV-6 from the emulator's side: what a client strips from a document that it read is what was
// kept, by this package's code and by the product's.
func FuzzSplice(f *testing.F) {
	for _, seed := range []string{
		`{"id":"1"}`, "{\"id\":\"1\"\n\t }", `{"id":"}","a":{"b":{}}}`, `{"id":"1","_ts":1,"n":1e400,"n":9007199254740993123}`,
		`{"_rid":"x","id":"a\"b"}`, `{"id":"😀","😀":"\ud83d\ude00"}`, `{ "_lsn":1, "id":"1" , "_lsn":2 }`,
	} {
		f.Add([]byte(seed), int64(7), int64(1700000000), uint64(9))
	}
	def := schemas.KeyDefinition{Paths: [][]string{{"pk"}}}
	f.Fuzz(func(t *testing.T, raw []byte, lsn, ts int64, etag uint64) {
		s := &Server{ledger: new(ledger)}
		var scan schemas.Document
		d, e := s.parseDocument(&container{key: def}, &scan, raw)
		if e != nil {
			return
		}
		if lsn < 1 {
			lsn = 1
		}
		v := &version{key: string(d.key), pkLen: len(d.pk), body: d.body, lsn: lsn, ts: ts & 0xffffffff, etag: etag & 0xffffffffffff}
		spliced := v.appendSpliced(nil, testContainer(), lsn)
		if !json.Valid(spliced) {
			t.Fatalf("spliced document is no JSON: %s", spliced)
		}
		read := v.spliced(testContainer())
		if back, err := withoutSystem(read, isSystemProperty); err != nil || !bytes.Equal(back, d.body) {
			t.Errorf("got %s (%v), want %s", back, err, d.body)
		}
		for _, one := range [][]byte{spliced, read} {
			if back, err := schemas.AppendWithoutSystem(nil, one); err != nil || !bytes.Equal(back, d.body) {
				t.Errorf("by schemas: got %s (%v), want %s", back, err, d.body)
			}
		}
		if err := scan.Scan(def, spliced); err != nil {
			t.Fatalf("scan %s: %v", spliced, err)
		}
		if string(scan.ID) != v.id() || string(scan.Key) != v.pk() || int64(scan.LSN) != lsn || string(scan.ETag) != v.etagText() || scan.TS != v.ts {
			t.Errorf("got id %q key %s lsn %d etag %s ts %d, want %q %s %d %s %d", scan.ID, scan.Key, scan.LSN, scan.ETag, scan.TS,
				v.id(), v.pk(), lsn, v.etagText(), v.ts)
		}
	})
}

func TestWriteCharge(t *testing.T) {
	for _, test := range []struct {
		size int
		want float64
	}{{100, 4.95}, {1 << 10, 4.95}, {4 << 10, 6.67}, {16 << 10, 9.52}, {128 << 10, 48}, {1 << 20, 625}} {
		if got := writeCharge(test.size); got != test.want {
			t.Errorf("%d bytes: got %v, want %v", test.size, got, test.want)
		}
	}
}

func TestCutRanges(t *testing.T) {
	for _, n := range []int{1, 2, 5, 7, MaxRanges} {
		ranges := hashingV2.cut(n)
		if len(ranges) != n || ranges[0].Min != schemas.MinEPK || ranges[n-1].Max != schemas.MaxEPK {
			t.Fatalf("%d: got %v", n, ranges)
		}
		for i, r := range ranges {
			if err := r.Validate(); err != nil {
				t.Error(err)
			}
			if i > 0 && ranges[i-1].Max != r.Min {
				t.Errorf("%d: got %v after %v", n, r, ranges[i-1])
			}
		}
	}
}
