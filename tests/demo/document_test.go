package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
)

func sampled(t *testing.T) []*document {
	t.Helper()
	documents, err := samples()
	if err != nil {
		t.Fatal(err)
	}
	return documents
}

// TestSamplesAreCutAsTheyStand: between the documents of the file stand a bracket, commas and blanks, nothing else.
func TestSamplesAreCutAsTheyStand(t *testing.T) {
	documents := sampled(t)
	kinds := map[kind]int{}
	ids := map[string]bool{}
	rest := sample
	for i, d := range documents {
		kinds[d.kind]++
		ids[d.key+d.id] = true
		at := bytes.Index(rest, d.body)
		if at < 0 {
			t.Fatalf("document %d does not stand behind the one before it", i)
		}
		if got := string(bytes.Trim(rest[:at], " \r\n")); got != map[bool]string{true: "[", false: ","}[i == 0] {
			t.Fatalf("before document %d stands %q", i, got)
		}
		rest = rest[at+len(d.body):]
	}
	if got := string(bytes.Trim(rest, " \r\n")); got != "]" {
		t.Errorf("behind the last document stands %q", got)
	}
	if want := map[kind]int{product: 180, review: 652}; !reflect.DeepEqual(kinds, want) || len(ids) != 832 {
		t.Errorf("got %v, %d different names want %v, 832", kinds, len(ids), want)
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // nil: an error
	}{
		{"blanks and numbers stay", "[ {\"a\" : 1.0,\n \"b\":1e400}\n,{ }]", []string{"{\"a\" : 1.0,\n \"b\":1e400}", "{ }"}},
		{"nothing", "[]", []string{}},
		{"no array", `{"a":1}`, nil},
		{"no end", `[{"a":1}`, nil},
		{"half a document", `[{"a":`, nil},
		{"no text", ``, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			bodies, err := cut([]byte(test.text))
			if (err != nil) != (test.want == nil) {
				t.Fatalf("got error %v want %v", err, test.want == nil)
			}
			for i, body := range bodies {
				if string(body) != test.want[i] {
					t.Errorf("got %q want %q", body, test.want[i])
				}
			}
		})
	}
}

// changed are the members in which two documents differ.
func changed(t *testing.T, before, after []byte) []string {
	t.Helper()
	var a, b map[string]json.RawMessage
	for text, into := range map[*[]byte]*map[string]json.RawMessage{&before: &a, &after: &b} {
		if err := json.Unmarshal(*text, into); err != nil {
			t.Fatalf("%v: %s", err, *text)
		}
	}
	var out []string
	for name := range b {
		if !bytes.Equal(a[name], b[name]) {
			out = append(out, name)
		}
	}
	if len(a) > len(b) {
		t.Errorf("members are gone: %s", after)
	}
	return out
}

// TestBusinessLeavesOtherBytes: a good edit changes one number, a soft deletion adds one member.
func TestBusinessLeavesOtherBytes(t *testing.T) {
	c := catalog{random: rand.New(rand.NewPCG(1, 1))}
	documents := sampled(t)
	documents = append(documents, c.newProduct(documents[0]), c.newReview(documents[0]))
	for _, d := range documents {
		property := "currentPrice"
		if d.kind == review {
			property = "stars"
		}
		edited := withNumber(d.body, property, "17.10")
		if got := changed(t, d.body, edited); !reflect.DeepEqual(got, []string{property}) {
			t.Fatalf("%s %s: an edit changed %q want %s", d.kind, d.id, got, property)
		}
		if got := numberIn(edited, property); got != "17.10" {
			t.Errorf("%s %s: got %s want 17.10", d.kind, d.id, got)
		}
		if got := len(edited) - len(d.body); got != len("17.10")-len(numberIn(d.body, property)) {
			t.Errorf("%s %s: an edit changed the length by %d", d.kind, d.id, got)
		}
		if got := changed(t, d.body, softDeleted(d.body)); !reflect.DeepEqual(got, []string{"deleted"}) {
			t.Errorf("%s %s: a soft deletion changed %q", d.kind, d.id, got)
		}
	}
}

// TestBotchedDocumentsDiffer: whatever the deployment touches is not what it was.
func TestBotchedDocumentsDiffer(t *testing.T) {
	for _, d := range sampled(t) {
		body, err := botched(d)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(body, d.body) {
			t.Errorf("%s %s is as it was", d.kind, d.id)
		}
		want := "deleted"
		if d.kind == product {
			want = "currentPrice"
		}
		got := changed(t, d.body, body)
		found := false
		for _, name := range got {
			found = found || name == want
		}
		if !found {
			t.Errorf("%s %s: the deployment changed %q want %s among them", d.kind, d.id, got, want)
		}
	}
}
