package cosmosfake

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzScanObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : [1, -0.5e+7, true, null, {"b":"\u00e9\n"}] } `, `{"a":1,}`, `{"a":01}`, `{"a":1.}`, `{"a":"\x"}`,
		`{"a":+1}`, `{"a" 1}`, `[]`, `{"a":tru}`, `{"a":"` + "\x01" + `"}`, `{"a":1e400}`, `{"a":-}`, `{}{}`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Count(b, []byte("[")) >= maxDepth || bytes.Count(b, []byte("{")) >= maxDepth {
			return
		}
		trimmed := bytes.TrimLeft(b, " \t\r\n")
		want := json.Valid(b) && utf8.Valid(b) && len(trimmed) > 0 && trimmed[0] == '{'
		err := scanObject(b, nil)
		if got := err == nil; got != want {
			t.Errorf("%q: got valid %v (%v), want %v", b, got, err, want)
		}
	})
}

func TestScanDepth(t *testing.T) {
	nest := func(n int) []byte {
		return []byte(strings.Repeat(`{"a":`, n) + `1` + strings.Repeat(`}`, n))
	}
	if err := scanObject(nest(maxDepth), nil); err != nil {
		t.Errorf("%d levels: got %v, want none", maxDepth, err)
	}
	if err := scanObject(nest(maxDepth+1), nil); err == nil {
		t.Errorf("%d levels: got no error", maxDepth+1)
	}
}
