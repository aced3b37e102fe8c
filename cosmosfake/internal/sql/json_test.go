package sql

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"
)

// plain makes of a value what encoding/json would.
func plain(v value) any {
	switch v.kind {
	case isBool:
		return v.isTrue()
	case isNumber:
		return v.num
	case isText:
		return v.text
	case isArray:
		list := []any{}
		v.each(func(element value) bool {
			list = append(list, plain(element))
			return true
		})
		return list
	case isObject:
		object := map[string]any{}
		v.eachMember(func(name string, member value) bool {
			object[name] = plain(member)
			return true
		})
		return object
	}
	return nil
}

// FuzzDecode: JSON is read as encoding/json reads it, member by member too, and written so that it is read again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-2.5e3,"x\"\\\u00e9\ud83d\ude00"],"b\n":{"":null,"c":[[],{}]},"a b":true}`, ` [ { "a" : "]}" , "b" : "\\" } , false ] `, `"\ud800"`, `1e999`, `-0`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := decode(s)
		var want any
		err := json.Unmarshal([]byte(s), &want)
		if !ok || err != nil || !utf8.ValidString(s) { // also a number beyond a float64
			if ok != json.Valid([]byte(s)) {
				t.Errorf("%q: got %t", s, ok)
			}
			return
		}
		if got := plain(v); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %#v want %#v", s, got, want)
		}
		object, _ := want.(map[string]any)
		seen := map[string]bool{}
		v.eachMember(func(name string, first value) bool {
			if got := v.field(name); !seen[name] && !equal(got, first) {
				t.Errorf("%q: member %q is %#v", s, name, plain(got))
			}
			seen[name] = true
			return true
		})
		if len(seen) != len(object) {
			t.Errorf("%q: got %d members, want %d", s, len(seen), len(object))
		}
		again, ok := decode(string(appendCanonical(nil, v)))
		if _, twice := json.Marshal(want); !ok || twice == nil && len(seen) == len(object) && !reflect.DeepEqual(plain(again), want) {
			t.Errorf("%q: written as %s", s, appendCanonical(nil, v))
		}
	})
}
