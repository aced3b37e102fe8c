package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

var shop = KeyDefinition{Paths: [][]string{{"category"}}}

const spliced = `,"_rid":"uN1VAKzZ1nEBAAAAAAAAAA==","_self":"dbs/x/","_etag":"\"00-1\"","_attachments":"attachments/","_ts":1763700000,"_lsn":42`

func TestScan(t *testing.T) {
	nested := KeyDefinition{Paths: [][]string{{"a", "b"}, {"a", "c"}}, Multi: true}
	tests := []struct {
		name, in    string
		def         KeyDefinition
		id, key     string
		ttl         TTL
		wantUnkeyed bool
	}{
		{name: "plain", def: shop, in: `{"id":"p1","category":"Books"` + spliced + `}`, id: "p1", key: `["Books"]`},
		{name: "no key property", def: shop, in: `{"id":"p1"` + spliced + `}`, id: "p1", key: `[{}]`},
		{name: "escaped names", def: shop, in: `{"\u0069d":"p\u0031","cat\u0065gory":1.50` + spliced + `}`, id: "p1", key: `[1.5]`},
		{name: "nested", def: nested, in: `{"a":{"c":null,"b":"x"},"id":"i"` + spliced + `}`, id: "i", key: `["x",null]`},
		{name: "nested missing", def: nested, in: `{"a":7,"id":"i"` + spliced + `}`, id: "i", key: `[{},{}]`},
		{name: "ttl", def: shop, in: `{"id":"i","ttl":-1` + spliced + `}`, id: "i", key: `[{}]`, ttl: TTL{Seconds: -1, Set: true}},
		{name: "ttl is text", def: shop, in: `{"id":"i","ttl":"5"` + spliced + `}`, id: "i", key: `[{}]`},
		{name: "id twice", def: shop, in: `{"id":"a","\u0069d":"b"` + spliced + `}`, wantUnkeyed: true},
		{name: "key twice", def: shop, in: `{"id":"a","category":1,"category":1` + spliced + `}`, wantUnkeyed: true},
		{name: "nested key twice", def: nested, in: `{"id":"a","a":{"b":1},"a":{}` + spliced + `}`, wantUnkeyed: true},
		{name: "no id", def: shop, in: `{"category":1` + spliced + `}`, wantUnkeyed: true},
		{name: "id is no text", def: shop, in: `{"id":1` + spliced + `}`, wantUnkeyed: true},
		{name: "half a surrogate", def: shop, in: `{"id":"\ud800"` + spliced + `}`, wantUnkeyed: true},
		{name: "key beyond float64", def: shop, in: `{"id":"a","category":1e400` + spliced + `}`, wantUnkeyed: true},
		{name: "empty id", def: shop, in: `{"id":""` + spliced + `}`, id: "", key: `[{}]`},
	}
	var d Document // one for all: what a scan leaves behind must not reach the next
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := d.Scan(tt.def, []byte(tt.in))
			if tt.wantUnkeyed {
				if !errors.Is(err, ErrUnkeyed) {
					t.Fatalf("got %v, want ErrUnkeyed", err)
				}
				if d.LSN != 42 {
					t.Errorf("lsn of the unkeyed document: got %d, want 42", d.LSN)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(d.ID) != tt.id || string(d.Key) != tt.key || d.TTL != tt.ttl {
				t.Errorf("got id %q key %s ttl %v; want %q %s %v", d.ID, d.Key, d.TTL, tt.id, tt.key, tt.ttl)
			}
			if d.LSN != 42 || d.TS != 1763700000 || string(d.ETag) != `"00-1"` || string(d.RID) != "uN1VAKzZ1nEBAAAAAAAAAA==" {
				t.Errorf("got lsn %d ts %d etag %s rid %s", d.LSN, d.TS, d.ETag, d.RID)
			}
		})
	}
}

func TestScanRefusesWhatIsNoObject(t *testing.T) {
	var d Document
	for _, bad := range []string{``, `[]`, `{"id":"a"`, `{"id":"a"}x`, `{"id" "a"}`, `{"a":[}]`, `{"id":"a",}`, `{"_lsn":-1}`} {
		if err := d.Scan(shop, []byte(bad)); err == nil || errors.Is(err, ErrUnkeyed) {
			t.Errorf("%s: got %v, want an error that is not ErrUnkeyed", bad, err)
		}
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	var d Document
	text := []byte(`{"id":"p1","category":"Books","n":{"x":[1,2,{"y":"}"}]},"ttl":60` + spliced + `}`)
	if n := testing.AllocsPerRun(100, func() {
		if err := d.Scan(shop, text); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations a document, want none", n)
	}
}

func TestAppendWithoutSystem(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"spliced", `{"id":"1","a":1e400` + spliced + `}`, `{"id":"1","a":1e400}`},
		{"blank before brace", `{ "id" : "x" ` + spliced + `}`, `{ "id" : "x" }`},
		{"newline before brace", "{\n  \"id\": \"x\"\n" + spliced + "}", "{\n  \"id\": \"x\"\n}"},
		{"none", `{"id":"1"}`, `{"id":"1"}`},
		{"nested kept", `{"id":"1","n":{"_ts":1},"_ts":1}`, `{"id":"1","n":{"_ts":1}}`},
		{"first", `{"_rid":"r","id":"1","_ts":4}`, `{"id":"1"}`},
		{"first two", `{ "_rid":"r", "_ts":4, "id":"1"}`, `{ "id":"1"}`},
		{"only", `{"_rid":"r"}`, `{}`},
		{"middle", `{"id":"1", "_ts":4 , "b":2}`, `{"id":"1" , "b":2}`},
		{"brace in string", `{"id":"}{\"","_ts":4}`, `{"id":"}{\""}`},
		{"duplicates kept", `{"id":"1","a":1,"a":2` + spliced + `}`, `{"id":"1","a":1,"a":2}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppendWithoutSystem([]byte("kept:"), []byte(tt.in))
			if err != nil || string(got) != "kept:"+tt.want {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestLookupScalar(t *testing.T) {
	tests := []struct{ doc, path, want string }{
		{`{"deleted":true}`, "/deleted", `true`},
		{`{"m":{"gone":"y"}}`, "/m/gone", `"y"`},
		{`{"m":1}`, "/m/gone", ``},
		{`{"a":1,"a":2}`, "/a", `2`},
		{`{}`, "/a", ``},
	}
	for _, tt := range tests {
		path, err := ParsePath(tt.path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := LookupScalar([]byte(tt.doc), path); err != nil || string(got) != tt.want {
			t.Errorf("%s in %s: got %s, %v; want %s", tt.path, tt.doc, got, err, tt.want)
		}
	}
}

// FuzzDocument: whatever encoding/json takes for an object can be scanned or is unkeyed, and splicing system
// properties in before the last brace is undone exactly (INV-6).
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{`{"id":"a"}`, `{ "id" : "x" , "a":[{"b":"}"}]  }`, `{"id":"\ud83d\ude00","category":-0}`, `{"a":1e400,"id":"1"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var d Document
		scanErr := d.Scan(shop, text)
		var object map[string]json.RawMessage
		if json.Unmarshal(text, &object) != nil || object == nil {
			return // only: it must not panic
		}
		if scanErr != nil && !errors.Is(scanErr, ErrUnkeyed) && !strings.Contains(scanErr.Error(), "property _") && !strings.Contains(scanErr.Error(), "deeper") {
			t.Fatalf("scan: %v", scanErr)
		}
		for _, name := range SystemProperties() {
			if bytes.Contains(text, []byte(name)) {
				return
			}
		}
		if len(object) == 0 || strings.Contains(string(text), `\u005f`) || strings.Contains(string(text), `\u005F`) {
			return
		}
		brace := bytes.LastIndexByte(text, '}')
		with := append(append(append([]byte(nil), text[:brace]...), spliced...), text[brace:]...)
		got, err := AppendWithoutSystem(nil, with)
		if err != nil || !bytes.Equal(got, text) {
			t.Fatalf("got %s, %v; want %s", got, err, text)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	text := []byte(`{"id":"77be013f-4036-4311-9b5a-dab0c3d022be","docType":"review","category":"Computers, Laptops","customerName":"Alex Carter","reviewText":"` + strings.Repeat("could be better ", 40) + `"` + spliced + `}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var d Document
	for b.Loop() {
		if err := d.Scan(shop, text); err != nil {
			b.Fatal(err)
		}
	}
}
