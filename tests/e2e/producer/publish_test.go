package producer_test

import (
	"testing"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

func TestTwoProducersPublishAll(t *testing.T) {
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 5}
	w := newWorld(t, c)
	w.fill(c, 200, 1)
	first, second := w.run(), w.run()
	w.waitComplete(c)
	w.fill(c, 150, 2)
	w.waitComplete(c)
	if n := w.judge(c, nil); n < 2*c.Ranges {
		t.Errorf("got %d usable marks, want two per range at least", n)
	}
	for _, r := range []*running{first, second} {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
}
