package schemas

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LSN is the logical sequence number of a transaction in a physical partition. All documents of one transaction
// share it. It means something only inside one generation of one range.
type LSN int64

// String is the decimal form, as the service writes it in `_lsn`, etags and session tokens.
func (l LSN) String() string { return strconv.FormatInt(int64(l), 10) }

// ParseLSN reads a non-negative decimal number. Anything else is an error: an LSN that ceased to be a number must
// stop restore points, never be guessed.
func ParseLSN(s string) (LSN, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("parse lsn %q: not a non-negative decimal number", strings.Clone(s)) // s itself must not escape
	}
	return LSN(n), nil
}

// Generation numbers a span of a range's history in which an LSN means one thing: the service's time in
// milliseconds since 1970 at its start, and above every earlier generation of the range.
type Generation int64

// String is the decimal form.
func (g Generation) String() string { return strconv.FormatInt(int64(g), 10) }

// NextGeneration is the generation that starts at the service's time now, after previous (zero when there is none).
func NextGeneration(now time.Time, previous Generation) Generation {
	return max(Generation(now.UnixMilli()), previous+1)
}

// Order ranks the changes of one document inside one generation. Ordinal is 0 in LatestVersion mode and for loads;
// in AllVersionsAndDeletes it counts from 1 the changes of one document inside one transaction, as delivered.
type Order struct {
	LSN     LSN
	Ordinal int32
}

// Compare is negative when o is earlier than p, 0 when they are the same place, positive when it is later.
func (o Order) Compare(p Order) int {
	if c := cmp.Compare(o.LSN, p.LSN); c != 0 {
		return c
	}
	return cmp.Compare(o.Ordinal, p.Ordinal)
}

// String is `lsn.ordinal`.
func (o Order) String() string { return fmt.Sprintf("%d.%d", o.LSN, o.Ordinal) }

// Cut is the position up to which a restore point takes a range: every change of Generation whose LSN is at or
// below LSN.
type Cut struct {
	Range      FeedRange  `json:"range"`
	Generation Generation `json:"generation"`
	LSN        LSN        `json:"lsn"`
}

// Includes reports whether a change of this cut's range stands within the cut.
func (c Cut) Includes(g Generation, lsn LSN) bool { return g == c.Generation && lsn <= c.LSN }

// String is `min-max@generation/lsn`.
func (c Cut) String() string { return fmt.Sprintf("%s@%d/%d", c.Range, c.Generation, c.LSN) }
