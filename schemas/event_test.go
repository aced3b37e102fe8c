package schemas

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

func sampleAttributes() Attributes {
	topic, err := ParseUUID("0123c0de-1111-4222-8333-444455556666")
	if err != nil {
		panic(err)
	}
	return Attributes{
		Topic: topic, Mode: LatestVersion, ClaimCheck: true,
		Incarnation: []byte("uN1VAKzZ1nE="), EPK: bytes.Repeat([]byte{0x3F}, EPKLimit),
		Generation: 1763700000123, Order: Order{LSN: 1 << 40, Ordinal: 3},
		RID: []byte("uN1VAKzZ1nEBAAAAAAAAAA=="), ETag: []byte(`"00000000-0000-0000-5a5a-0123456789ab"`),
		TTL: TTL{Seconds: -1, Set: true},
	}
}

func TestAttributesGolden(t *testing.T) {
	const golden = "010301" + "0123c0de111142228333444455556666" +
		"0c754e3156414b7a5a316e453d" +
		"30" + "3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f" +
		"18754e3156414b7a5a316e4542414141414141414141413d3d" +
		"262230303030303030302d303030302d303030302d356135612d30313233343536373839616222" +
		"fb8ad9a5aa33" + "808080808020" + "03" + "01"
	a := sampleAttributes()
	got, err := AppendAttributes(nil, &a)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != golden {
		t.Errorf("got  %x\nwant %s", got, golden)
	}
	if len(got) > AttributesLimit {
		t.Errorf("the longest usual header has %d bytes, want at most %d", len(got), AttributesLimit)
	}
	var back Attributes
	if err := DecodeAttributes(append(got, 9, 9), &back); err != nil { // a later version may append fields
		t.Fatal(err)
	}
	again, err := AppendAttributes(nil, &back)
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("got %x, %v after decoding, want the same bytes", again, err)
	}
}

func TestAttributesRefused(t *testing.T) {
	a := sampleAttributes()
	whole, err := AppendAttributes(nil, &a)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := DecodeAttributes(whole[:n], &a); !errors.Is(err, ErrAttributes) {
			t.Errorf("first %d bytes: got %v, want ErrAttributes", n, err)
		}
	}
	newer := append([]byte{FormatVersion + 1}, whole[1:]...)
	if err := DecodeAttributes(newer, &a); !errors.Is(err, ErrAttributes) {
		t.Errorf("newer version: got %v, want ErrAttributes", err)
	}
	wide := append([]byte{FormatVersion, 0, 1}, make([]byte, 16)...)
	wide = append(append(wide, 0, 150), make([]byte, 150)...)
	wide = append(wide, 0, 0, 1, 1, 0)
	if err := DecodeAttributes(wide, &a); !errors.Is(err, ErrAttributes) {
		t.Errorf("an epk of 150 bytes: got %v, want ErrAttributes", err)
	}
	long := sampleAttributes()
	long.ETag = bytes.Repeat([]byte("e"), 120)
	if _, err := AppendAttributes(nil, &long); !errors.Is(err, ErrAttributes) {
		t.Errorf("header above the limit: got %v, want ErrAttributes", err)
	}
}

type headerMap map[string][]byte

func (m headerMap) Header(name string) []byte { return m[name] }

func sampleHeaders(t testing.TB) headerMap {
	a := sampleAttributes()
	attributes, err := AppendAttributes(nil, &a)
	if err != nil {
		t.Fatal(err)
	}
	var arena []byte
	m := headerMap{}
	for _, h := range AppendHeaders(nil, &arena, &Envelope{
		ID: AppendChangeID(nil, &a), Source: "/acct/shop/products", Op: OpUpserted,
		Time: time.Unix(1763700000, 0), Subject: []byte("p1"),
	}, attributes) {
		m[h.Key] = h.Value
	}
	return m
}

func TestHeaders(t *testing.T) {
	m := sampleHeaders(t)
	for name, want := range map[string]string{
		"ce_specversion": "1.0",
		"ce_id":          "uN1VAKzZ1nE=:uN1VAKzZ1nEBAAAAAAAAAA==:1763700000123:1099511627776:3",
		"ce_source":      "/acct/shop/products",
		"ce_type":        "almanac.document.upserted",
		"ce_time":        "2025-11-21T04:40:00.000Z",
		"ce_subject":     "p1",
		"content-type":   "application/json",
	} {
		if got := string(m[name]); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	var r Received
	if err := DecodeHeaders(m, &r); err != nil {
		t.Fatal(err)
	}
	if r.Op != OpUpserted || string(r.Account) != "acct" || string(r.Database) != "shop" || string(r.Container) != "products" ||
		string(r.Subject) != "p1" || r.Time.Unix() != 1763700000 || r.Attributes.Order.LSN != 1<<40 {
		t.Errorf("got %+v", r)
	}
	for _, op := range []Op{OpCreated, OpReplaced, OpUpserted, OpDeleted, OpExpired, OpRead, OpMark, OpDefinition, OpUnkeyed} {
		if got, err := ParseType([]byte(op.Type())); err != nil || got != op {
			t.Errorf("%s: got %s, %v after parsing its type", op, got, err)
		}
	}
}

func TestHeadersRefused(t *testing.T) {
	tests := []struct {
		name    string
		spoil   func(headerMap)
		foreign bool
	}{
		{"stranger", func(m headerMap) { clear(m); m["ce_type"] = []byte("com.example.order") }, true},
		{"no headers", func(m headerMap) { clear(m) }, true},
		{"almanac header missing", func(m headerMap) { delete(m, "almanac") }, false},
		{"type missing", func(m headerMap) { delete(m, "ce_type") }, false},
		{"type unknown", func(m headerMap) { m["ce_type"] = []byte("almanac.document.moved") }, false},
		{"version unknown", func(m headerMap) { m["ce_specversion"] = []byte("2.0") }, false},
		{"source short", func(m headerMap) { m["ce_source"] = []byte("/acct/shop") }, false},
		{"source long", func(m headerMap) { m["ce_source"] = []byte("/a/b/c/d") }, false},
		{"time", func(m headerMap) { m["ce_time"] = []byte("yesterday") }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := sampleHeaders(t)
			tt.spoil(m)
			var r Received
			err := DecodeHeaders(m, &r)
			if err == nil || errors.Is(err, ErrForeign) != tt.foreign {
				t.Errorf("got %v, want foreign %v", err, tt.foreign)
			}
		})
	}
}

func FuzzDecodeAttributes(f *testing.F) {
	a := sampleAttributes()
	seed, err := AppendAttributes(nil, &a)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var a, again Attributes
		if DecodeAttributes(b, &a) != nil {
			return
		}
		once, err := AppendAttributes(nil, &a)
		if err != nil {
			return // longer than the limit once varints are canonical cannot be; fields above 127 cannot be decoded
		}
		if err := DecodeAttributes(once, &again); err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		twice, err := AppendAttributes(nil, &again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("got %x, %v; want %x", twice, err, once)
		}
	})
}

func TestAttributesDoNotAllocate(t *testing.T) {
	a := sampleAttributes()
	buffer := make([]byte, 0, AttributesLimit)
	var back Attributes
	if n := testing.AllocsPerRun(100, func() {
		b, err := AppendAttributes(buffer, &a)
		if err == nil {
			err = DecodeAttributes(b, &back)
		}
		if err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations a header, want none", n)
	}
}

func TestClaimCheck(t *testing.T) {
	document := []byte(`{"id":"big"}`)
	name := LargeFile(time.Unix(1763700000, 0), sampleAttributes().Topic)
	c := NewClaimCheck(name, document)
	value, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeClaimCheck(value)
	if err != nil || got != c {
		t.Fatalf("got %+v, %v; want %+v", got, err, c)
	}
	if err := got.Verify(document); err != nil {
		t.Error(err)
	}
	if err := got.Verify([]byte(`{"id":"bih"}`)); err == nil {
		t.Error("another document of the same length passed")
	}
	for _, bad := range []string{`{}`, `{"name":"large/../topic.json","length":1}`, `{"name":"other/x","length":1}`, strings.Replace(string(value), `:12`, `:99999999`, 1)} {
		if _, err := DecodeClaimCheck([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
