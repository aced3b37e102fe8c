package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// TestDocumentsAreCutAsTheyStand: what is loaded is the file's own bytes, blanks included.
func TestDocumentsAreCutAsTheyStand(t *testing.T) {
	goods, err := readGoods()
	if err != nil {
		t.Fatal(err)
	}
	if len(goods) != 832 {
		t.Fatalf("got %d documents want 832", len(goods))
	}
	rest := sample
	for i, d := range goods {
		at := bytes.Index(rest, d.bytes)
		if at < 0 {
			t.Fatalf("document %d does not stand in the file behind the one before it", i)
		}
		if between := bytes.Trim(rest[:at], "[,\r\n "); len(between) > 0 {
			t.Fatalf("between documents %d and %d stands %q", i-1, i, between)
		}
		rest = rest[at+len(d.bytes):]
	}
	if left := string(bytes.Trim(rest, "\r\n ")); left != "]" {
		t.Errorf("behind the last document stands %q", left)
	}
}

// TestEditsLeaveEveryOtherByte: an edit changes one value, a soft deletion adds one member.
func TestEditsLeaveEveryOtherByte(t *testing.T) {
	goods, err := readGoods()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	goods = append(goods, order(random, 1))
	for _, d := range goods {
		for what, text := range map[string][]byte{"edit": edit(random, d), "soft deletion": softDeleted(d.bytes), "nonsense": withPrice(d.bytes, "-1")} {
			var before, after map[string]json.RawMessage
			if err := json.Unmarshal(d.bytes, &before); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &after); err != nil {
				t.Fatalf("%s of %s %s: %v", what, d.kind, d.id, err)
			}
			changed := 0
			for name, value := range after {
				if !bytes.Equal(before[name], value) {
					changed++
				}
			}
			if changed > 1 || len(after)-len(before) > 1 {
				t.Errorf("%s of %s %s changed %d members: %s", what, d.kind, d.id, changed, text)
			}
		}
		if !bytes.Contains(softDeleted(d.bytes), []byte(`"deleted": true`)) {
			t.Errorf("%s %s is not deleted softly", d.kind, d.id)
		}
	}
}
