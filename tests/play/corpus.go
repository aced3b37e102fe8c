package play

import (
	"fmt"
	"strings"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// key is a partition key: as a JSON array, and as the members of a document that has it, with a comma behind.
type key struct{ array, members string }

// document is one of a container.
type document struct {
	id   string
	key  key
	body []byte
}

// keysOf are keys of a container.
func keysOf(c harness.Container) []key {
	if len(c.Key) > 1 {
		return deepKeys()
	}
	return flatKeys()
}

// flatKeys are keys of a container that is keyed by /pk.
func flatKeys() []key {
	values := []string{
		`"eu"`, `"us"`, `"a/b?c"`, `""`, `"ключ"`, `"😀𝄞"`, `"\u00e9\ud83d\ude00\n\""`, `1`, `1.5`, `-0.25`, `1e21`, `9007199254740993`,
		`true`, `false`, `null`,
	}
	for i := range 25 {
		values = append(values, fmt.Sprintf(`"k-%02d"`, i))
	}
	keys := []key{{`[{}]`, ``}}
	for _, v := range values {
		keys = append(keys, key{"[" + v + "]", `"pk":` + v + `,`})
	}
	return keys
}

// deepKeys are keys of a container that is keyed by /tenant and /user.
func deepKeys() []key {
	keys := []key{
		{`[{},{}]`, ``},
		{`["alone",{}]`, `"tenant":"alone",`},
		{`[{},7]`, `"user":7,`},
		{`[null,"ü😀"]`, `"tenant":null,"user":"ü😀",`},
		{`["😀",false]`, `"user":false,"x":[1.0],"tenant":"😀",`},
	}
	for i := range 35 {
		tenant, user := fmt.Sprintf(`"t%d"`, i%7), fmt.Sprint(float64(i)/2)
		keys = append(keys, key{"[" + tenant + "," + user + "]", `"tenant":` + tenant + `,"user":` + user + `,`})
	}
	return keys
}

const largest = 2_000_000 // bytes; the service takes 2 MiB with its own properties

// corpus is documents that must survive byte for byte, below keys of the container.
func corpus(keys []key) []document {
	var out []document
	for i, one := range []struct{ id, body string }{
		{"c-long-integer", `{%k"id":"c-long-integer","n":9007199254740993123}`},
		{"c-one", `{%k"id":"c-one","n":1.0,"m":-0,"e":0.1E+1,"z":1e-7}`},
		{"c-huge", `{%k"id":"c-huge","n":1e400,"m":[-1e400,1E-400]}`},
		{"c-escapes", `{%k"id":"c-escapes","s":"\u00e9\/\b\f\n\r\t\"\\\u0000\u001f\ud83d\ude00<>&` + "\u2028\u007f" + `","\u0061\/":1}`},
		{"c-half-pair", `{%k"id":"c-half-pair","s":"\ud800 and \udc00\ud800"}`},
		{"c-twice", `{%k"id":"c-twice","a":1,"a":{"a":2,"a":3},"A":4,"a":1}`},
		{"c-blanks", "{ %k\n\t\"id\" : \"c-blanks\" ,\r\n \"x\" : [ 1 , { } , [ ] ]  }"},
		{"c-last", `{%k"x":{"_rid":"inner","y":1,"_rid":"in","_ts":3},"id":"c-last"}`},
		{"c-names", `{%k"id":"c-names","":0,"_lsn ":1,"_Ts":2,"__proto__":3,"\u005frid2":4}`},
		{"c-not-deleted", `{%k"id":"c-not-deleted","deleted":"true","Deleted":true,"x":{"deleted":true}}`},
		{"c-revived", `{%k"deleted":true,"id":"c-revived","deleted":false}`},
		{"ид-é-中-😀𝄞", `{%k"id":"ид-é-中-😀𝄞","😀":"𝄞"}`},
		{"c-é😀", `{%k"\u0069d":"c-\u00e9\ud83d\ude00"}`},
		{" c blank ", `{%k"id":" c blank "}`},
		{`c"%41+&='`, `{%k"id":"c\"%41+&='"}`},
		{"c-deep", `{%k"id":"c-deep","d":` + strings.Repeat(`[{"d":`, 60) + `0` + strings.Repeat(`}]`, 60) + `}`},
		{"c-large", `{%k"id":"c-large","s":"` + strings.Repeat("größe 9", largest/9) + `"}`},
	} {
		// One below the key that is missing, one below another.
		for n, k := range []key{keys[0], keys[1+i%(len(keys)-1)]} {
			if n == 0 && one.id == "c-large" {
				continue // one of its size is enough
			}
			out = append(out, document{one.id, k, []byte(strings.Replace(one.body, "%k", k.members, 1))})
		}
	}
	return out
}
