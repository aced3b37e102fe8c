package schemas

import (
	"testing"
	"time"
)

func TestFeedRange(t *testing.T) {
	r := FeedRange{Min: "05C1", Max: "1F"}
	if back, err := ParseFeedRange(r.String()); err != nil || back != r {
		t.Errorf("got %v, %v; want %v", back, err, r)
	}
	for epk, want := range map[string]bool{"05C0FF": false, "05C1": true, "05C100": true, "1EFF": true, "1F": false, "1F00": false, "1F01": false} {
		if got := r.Contains(epk); got != want {
			t.Errorf("contains %s: got %v, want %v", epk, got, want)
		}
	}
	padded := FeedRange{Min: "05C10000", Max: "1F00000000"}
	if !padded.Contains("05C1") || padded.Contains("1F") || !padded.Covers(r) || !r.Covers(padded) {
		t.Error("bounds padded with zeros must mean the same")
	}
	if !r.Overlaps(FeedRange{Min: "1E", Max: "FF"}) || r.Overlaps(FeedRange{Min: "1F", Max: "FF"}) || !WholeRange().Covers(r) {
		t.Error("ranges that touch must not overlap, and the whole covers all")
	}
	for _, bad := range []string{"", "05", "1F-05", "05-05", "0g-FF", "aa-FF"} {
		if _, err := ParseFeedRange(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestNextGeneration(t *testing.T) {
	now := time.UnixMilli(1000)
	for previous, want := range map[Generation]Generation{0: 1000, 999: 1000, 1000: 1001, 5000: 5001} {
		if got := NextGeneration(now, previous); got != want {
			t.Errorf("after %d: got %d, want %d", previous, got, want)
		}
	}
}

func TestOrder(t *testing.T) {
	ascending := []Order{{1, 0}, {1, 2}, {2, 0}, {2, 1}}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := a.Compare(b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%v to %v: got %d", a, b, got)
			}
		}
	}
}
