package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Point is a restore point: a moment of a container that the archive holds. It is its vector, Cuts and Offsets; the
// same vector always holds the same rows, and its Name ends in the vector's hash.
type Point struct {
	Name        string          `json:"name"`
	Container   string          `json:"container"`
	Incarnation string          `json:"incarnation"`
	Earliest    time.Time       `json:"earliest"`    // the least latest time of its marks
	Latest      time.Time       `json:"latest"`      // nothing in it is later
	CompleteTo  time.Time       `json:"complete_to"` // everything acknowledged before is in
	Cuts        []schemas.Cut   `json:"cuts"`        // by range, ascending; they tile the key space
	Offsets     schemas.Offsets `json:"offsets"`     // greatest offset that belongs to it, per topic partition
	Definition  []byte          `json:"definition"`  // the container's, as the service sent it (base64 in JSON)
	Claim       Claim           `json:"claim"`
}

// Claim says what a point is worth. It is computed from what the archive holds, never assumed.
type Claim struct {
	Declared string   `json:"declared"`         // the declaration of the container's owner that it stands on
	Taints   []string `json:"taints,omitempty"` // why it is not exact
}

// Exact tells whether the point is the container as it was.
func (c Claim) Exact() bool { return len(c.Taints) == 0 }

// String is `exact`, or `tainted: ` and the reasons.
func (c Claim) String() string {
	if c.Exact() {
		return "exact"
	}
	return "tainted: " + strings.Join(c.Taints, "; ")
}

// CutOf is the cut of the range that contains an effective partition key; false where no range does.
func (p *Point) CutOf(epk string) (schemas.Cut, bool) {
	i, found := slices.BinarySearchFunc(p.Cuts, epk, func(c schemas.Cut, epk string) int { return schemas.CompareEPK(c.Range.Min, epk) })
	if !found {
		i--
	}
	if i < 0 || !p.Cuts[i].Range.Contains(epk) {
		return schemas.Cut{}, false
	}
	return p.Cuts[i], true
}

// nameTime is the time in a point's name: UTC with milliseconds, so that names sort as times do.
const nameTime = "20060102T150405.000Z"

const nameHash = 8 // hexadecimal digits of the vector's hash

// ParsePointName reads the latest time out of a point's name.
func ParsePointName(name string) (latest time.Time, err error) {
	text, hash, ok := strings.Cut(name, "-")
	latest, err = time.Parse(nameTime, text)
	if !ok || err != nil || len(hash) != nameHash || strings.Trim(hash, "0123456789abcdef") != "" {
		return time.Time{}, fmt.Errorf("%q is no name of a point, such as 20261120T101500.000Z-1a2b3c4d", name)
	}
	return latest, nil
}

// nameOf is the point's name: its latest time and the beginning of the SHA-256 of its vector in this encoding, which is
// normative (docs/format.md). UTF-8 text, every line ended by a line feed:
//
//	almanac point 1
//	container <database.container>
//	incarnation <resource id>
//	cut <min>-<max> <generation> <lsn>        for each cut, ascending by min
//	offset <topic partition> <offset>         for each topic partition with an offset of 0 or above, ascending
//
// Bounds are upper-case hexadecimal as the mark has them, numbers are decimal.
func (p *Point) nameOf() string {
	var b strings.Builder
	fmt.Fprintf(&b, "almanac point 1\ncontainer %s\nincarnation %s\n", p.Container, p.Incarnation)
	for _, c := range p.Cuts {
		fmt.Fprintf(&b, "cut %s %d %d\n", c.Range, c.Generation, c.LSN)
	}
	for _, partition := range sortedPartitions(p.Offsets) {
		if offset := p.Offsets[partition]; offset >= 0 {
			fmt.Fprintf(&b, "offset %d %d\n", partition, offset)
		}
	}
	sum := sha256.Sum256([]byte(b.String()))
	return p.Latest.UTC().Format(nameTime) + "-" + hex.EncodeToString(sum[:])[:nameHash]
}

func sortedPartitions(offsets schemas.Offsets) []int32 {
	partitions := make([]int32, 0, len(offsets))
	for partition := range offsets {
		partitions = append(partitions, partition)
	}
	slices.Sort(partitions)
	return partitions
}

// RefusedError says that there is no such point, and which ones are nearest (INV-5).
type RefusedError struct {
	Reason  string
	Nearest []Point // at most two, in order of time; exact ones
	Remedy  string  // what to do with them; empty: it is plain
}

// Error names the reason, the nearest points and the remedy.
func (e *RefusedError) Error() string {
	if len(e.Nearest) == 0 {
		return e.Reason
	}
	names := make([]string, len(e.Nearest))
	for i := range e.Nearest {
		names[i] = e.Nearest[i].Name
	}
	text := fmt.Sprintf("%s; nearest: %s", e.Reason, strings.Join(names, ", "))
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// ExitCode is the process exit code of a refusal: the same command fails again.
func (e *RefusedError) ExitCode() int { return 2 }
