package cosmos

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestSplitPage(t *testing.T) {
	for _, test := range []struct {
		name, page string
		rid        string
		items      []string
		bad        bool
	}{
		{name: "empty", page: `{"_rid":"x","Documents":[],"_count":0}`, rid: `"x"`},
		{
			name: "items", page: `{"_rid":"x","Documents":[{"id":"a"},{"id":"b","n":1e400}],"_count":2}`, rid: `"x"`,
			items: []string{`{"id":"a"}`, `{"id":"b","n":1e400}`},
		},
		{
			name: "blanks stay inside items only", page: " {\n \"Documents\" : [ { \"id\" : 1.0 } ,\t{} ] , \"_rid\" : \"y\" } ", rid: `"y"`,
			items: []string{`{ "id" : 1.0 }`, `{}`},
		},
		{
			name: "brackets and quotation marks in strings", page: `{"Documents":[{"a":"]}\"","b":"\\"},{"c":["[{"]}]}`,
			items: []string{`{"a":"]}\"","b":"\\"}`, `{"c":["[{"]}`},
		},
		{name: "torn item", page: `{"Documents":[{"a":1`, bad: true},
		{name: "torn string", page: `{"Documents":["a\"`, bad: true},
		{name: "torn page", page: `{"Documents":[]`, bad: true},
		{name: "no documents", page: `{"_rid":"x"}`, bad: true},
		{name: "documents are no array", page: `{"Documents":{}}`, bad: true},
		{name: "no object", page: `[]`, bad: true},
		{name: "nothing", page: ``, bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := splitPage([]byte(test.page))
			if (err != nil) != test.bad {
				t.Fatalf("got error %v, want one: %v", err, test.bad)
			}
			if test.bad {
				return
			}
			if string(got.rid) != test.rid || len(got.items) != len(test.items) {
				t.Fatalf("got _rid %s and %d items, want %s and %d", got.rid, len(got.items), test.rid, len(test.items))
			}
			for i, want := range test.items {
				if string(got.items[i]) != want {
					t.Errorf("item %d: got %s, want %s", i, got.items[i], want)
				}
			}
		})
	}
}

// FuzzSplitPage holds the scanner against encoding/json: what that can read must be cut in the same places.
func FuzzSplitPage(f *testing.F) {
	f.Add([]byte(`{"_rid":"x","Documents":[{"id":"a","t":"\\\"]"},[1,[2]],null,1e5,"s"],"_count":2}`))
	f.Add([]byte(` { "Documents" : [ ] } `))
	f.Add([]byte(`{"Documents":[{"a":"\\"}]}`))
	f.Fuzz(func(t *testing.T, page []byte) {
		got, err := splitPage(page)
		var want map[string]json.RawMessage
		if json.Unmarshal(page, &want) != nil {
			return // without a panic is all that is asked for
		}
		var items []json.RawMessage
		if want["Documents"] == nil || json.Unmarshal(want["Documents"], &items) != nil || items == nil || bytes.Count(page, []byte(`Documents"`)) > 1 {
			return
		}
		if err != nil {
			t.Fatalf("got error %v of %q, want %d items", err, page, len(items))
		}
		if len(got.items) != len(items) {
			t.Fatalf("got %d items of %q, want %d", len(got.items), page, len(items))
		}
		for i := range items {
			if !bytes.Equal(got.items[i], items[i]) {
				t.Errorf("item %d: got %q, want %q", i, got.items[i], items[i])
			}
		}
	})
}

func BenchmarkSplitPage(b *testing.B) {
	page := append([]byte(`{"_rid":"x","Documents":[`), bytes.Repeat([]byte(`{"id":"some-document","text":"`+string(bytes.Repeat([]byte("lorem ipsum "), 80))+`","n":[1,2,3]},`), 999)...)
	page = append(page, `{}],"_count":1000}`...)
	b.Run("split", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			if _, err := splitPage(page); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			var p struct{ Documents []json.RawMessage }
			if err := json.Unmarshal(page, &p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
