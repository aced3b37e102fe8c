package schemas

import (
	"strings"
	"testing"
)

func TestSegment(t *testing.T) {
	for name, want := range map[string]string{
		"shop.products": "shop.products", "a_b-C.9": "a_b-C.9", "aXkBAKqh5wo=": "aXkBAKqh5wo@3D", "s:h+o&p ü%~": "s@3Ah@2Bo@26p@20@C3@BC@25@7E", "a/b": "a@2Fb", "a@b": "a@40b",
	} {
		if got := segment(name); got != want {
			t.Errorf("%s: got %s want %s", name, got, want)
		}
	}
	long := segment(strings.Repeat("ü", 200))
	if other := segment(strings.Repeat("ü", 201)); len(long) != segmentLimit || long == other {
		t.Errorf("got %s and %s want two names of %d bytes", long, other, segmentLimit)
	}
}
