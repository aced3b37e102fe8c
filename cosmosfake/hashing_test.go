package cosmosfake

import (
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/schemas"
)

// TestHashingV1 compares with what the clients for Java and JavaScript compute; zero is from a query plan of the service.
func TestHashingV1(t *testing.T) {
	for _, test := range []struct{ key, want string }{
		{`[""]`, "05C1CF33970FF80800"},
		{`["partitionKey"]`, "05C1E1B3D9CD2608716273756A756A706F4C667A00"},
		{`["` + strings.Repeat("a", 1024) + `"]`, "05C1EB5921F70608" + strings.Repeat("62", 100) + "00"},
		{`[null]`, "05C1ED45D7475601"},
		{`[{}]`, "05C1D529E345DC00"},
		{`[true]`, "05C1D7C5A903D803"},
		{`[false]`, "05C1DB857D857C02"},
		{`[-128]`, "05C1D73349F54C053FA0"},
		{`[127]`, "05C1DD539DDFCC05C05FE0"},
		{`[-9223372036854775808]`, "05C1DB35F33D1C053C20"},
		{`[9223372036854775807]`, "05C1B799AB2DD005C3E0"},
		{`[0]`, "05C1BF6DA11560058000"},
		{`[-0]`, "05C1E703ED99A0058000"},
		{`[1.7976931348623157e308]`, "05C1CBE367C53005FFEFFFFFFFFFFFFFFE"},
	} {
		t.Run(test.key[:min(len(test.key), 30)], func(t *testing.T) {
			def := schemas.KeyDefinition{Paths: [][]string{{"pk"}}}
			_, epk, err := hashingV1.parse(def, []byte(test.key))
			if got := schemas.HexEPK(epk); err != nil || got != test.want {
				t.Errorf("got %s (%v), want %s", got, err, test.want)
			}
		})
	}
}

func TestCutV1(t *testing.T) {
	counts := make([]int, 4)
	def := schemas.KeyDefinition{Paths: [][]string{{"pk"}}}
	ranges := hashingV1.cut(len(counts))
	for i := range 400 {
		epk := hashingV1.epk(def, `["`+strings.Repeat("k", i%7)+string(rune('A'+i%26))+string(rune('a'+i/26))+`"]`)
		for j, r := range ranges {
			if r.Contains(epk) {
				counts[j]++
			}
		}
	}
	sum := 0
	for i, n := range counts {
		sum += n
		if n < 60 {
			t.Errorf("got %v in %v: range %d has less than its share", counts, ranges, i)
		}
	}
	if sum != 400 {
		t.Errorf("got %v, want each of 400 keys in one range", counts)
	}
}
