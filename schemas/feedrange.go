package schemas

import (
	"cmp"
	"fmt"
	"strings"
)

// MinEPK and MaxEPK are the bounds of the whole key space, as the service writes them.
const (
	MinEPK = ""
	MaxEPK = "FF"
)

// FeedRange is a span [Min, Max) of effective partition keys in upper-case hexadecimal. Bounds may be shorter than
// the keys, or padded with zeros (hierarchical keys): both compare as if padded to the same length.
type FeedRange struct {
	Min string `json:"min"`
	Max string `json:"max"`
}

// WholeRange spans the whole key space.
func WholeRange() FeedRange { return FeedRange{Min: MinEPK, Max: MaxEPK} }

// String is `min-max`; it names the range in object names, keys and logs, and ParseFeedRange reads it back.
func (r FeedRange) String() string { return r.Min + "-" + r.Max }

// ParseFeedRange reads what String wrote.
func ParseFeedRange(s string) (FeedRange, error) {
	lo, hi, ok := strings.Cut(s, "-")
	r := FeedRange{Min: lo, Max: hi}
	if !ok {
		return FeedRange{}, fmt.Errorf("parse feed range %q: want min-max in hexadecimal", s)
	}
	return r, r.Validate()
}

// Validate reports bounds that are not upper-case hexadecimal or do not ascend.
func (r FeedRange) Validate() error {
	for _, b := range [2]string{r.Min, r.Max} {
		for i := range len(b) {
			if !isHexDigit(b[i]) {
				return fmt.Errorf("feed range %q: bound %q is not upper-case hexadecimal", r.String(), b)
			}
		}
	}
	if CompareEPK(r.Min, r.Max) >= 0 {
		return fmt.Errorf("feed range %q: the bounds do not ascend", r.String())
	}
	return nil
}

// Contains reports whether the effective partition key lies in the range.
func (r FeedRange) Contains(epk string) bool {
	return CompareEPK(r.Min, epk) <= 0 && CompareEPK(epk, r.Max) < 0
}

// Covers reports whether all of other lies in the range.
func (r FeedRange) Covers(other FeedRange) bool {
	return CompareEPK(r.Min, other.Min) <= 0 && CompareEPK(other.Max, r.Max) <= 0
}

// Overlaps reports whether some key lies in both ranges.
func (r FeedRange) Overlaps(other FeedRange) bool {
	return CompareEPK(r.Min, other.Max) < 0 && CompareEPK(other.Min, r.Max) < 0
}

// CompareEPK compares two keys or bounds in upper-case hexadecimal as if the shorter were padded with zeros, which
// is how the service compares bounds of hierarchical keys (.NET SDK pull request 5260).
func CompareEPK(a, b string) int {
	n := min(len(a), len(b))
	if c := cmp.Compare(a[:n], b[:n]); c != 0 { // strings.Compare would let its arguments escape
		return c
	}
	if onlyZeros(a[n:]) && onlyZeros(b[n:]) {
		return 0
	}
	if len(a) > n {
		return 1
	}
	return -1
}

func onlyZeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

func isHexDigit(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }
