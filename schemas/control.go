package schemas

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Basis says from where on a range's rows in the archive are complete.
type Basis string

// The states of a basis. A start from "now" stays BasisNone: it gives history, never restore points.
const (
	BasisNone     Basis = "none"
	BasisLoading  Basis = "loading"
	BasisComplete Basis = "complete"
)

// Offsets holds the highest offset of each topic partition, -1 or absence meaning none.
type Offsets map[int32]int64

// Raise sets the partition's offset unless it is higher already.
func (o Offsets) Raise(partition int32, offset int64) {
	if have, ok := o[partition]; !ok || have < offset {
		o[partition] = offset
	}
}

// Mark is a statement of the reader of a range, published as an almanac.mark event: everything that the range
// published up to Offsets is acknowledged, and its rows hold every live document in its version at LSN when Basis
// is complete and, in LatestVersion mode, Drained is set.
type Mark struct {
	Container   string     `json:"container"` // database.container
	Incarnation string     `json:"incarnation"`
	Range       FeedRange  `json:"range"`
	Mode        Mode       `json:"mode"`
	Generation  Generation `json:"generation"`
	Basis       Basis      `json:"basis"`
	BasisFrom   LSN        `json:"basis_from"` // complete from this LSN on
	LSN         LSN        `json:"lsn"`        // the position; the cut when drained
	Newest      LSN        `json:"newest"`     // the greatest LSN that any response of the generation reported
	Drained     bool       `json:"drained"`
	CompleteTo  time.Time  `json:"complete_to"` // everything acknowledged before is in
	Latest      time.Time  `json:"latest"`      // nothing in it is later
	Offsets     Offsets    `json:"offsets"`
}

// Cut is the mark's position as a cut.
func (m *Mark) Cut() Cut { return Cut{Range: m.Range, Generation: m.Generation, LSN: m.LSN} }

// Encode is the value of a mark's record.
func (m *Mark) Encode() ([]byte, error) { return json.Marshal(m) }

// DecodeMark reads the value of a mark's record.
func DecodeMark(value []byte) (*Mark, error) {
	m := new(Mark)
	if err := json.Unmarshal(value, m); err != nil {
		return nil, fmt.Errorf("decode mark: %w", err)
	}
	if err := m.Range.Validate(); err != nil {
		return nil, fmt.Errorf("decode mark: %w", err)
	}
	if m.Container == "" || m.Incarnation == "" || m.Generation <= 0 || m.Latest.IsZero() {
		return nil, errors.New("decode mark: container, incarnation, generation and latest are required")
	}
	return m, nil
}

// ControlKey is the key of a control event: its kind, the container, and for events of a range the range. Control
// events are ordered per range or container only.
func ControlKey(op Op, container string, r FeedRange) []byte {
	if op == OpDefinition {
		return fmt.Appendf(nil, "almanac:%s:%s", op, container)
	}
	return fmt.Appendf(nil, "almanac:%s:%s:%s", op, container, r)
}

// ClaimCheck is the value of an event whose document stands in the store, because it is larger than the broker
// takes: the object's name below the topic's folder, its length and its SHA-256.
type ClaimCheck struct {
	Name   string `json:"name"`
	Length int64  `json:"length"`
	SHA256 string `json:"sha256"`
}

// NewClaimCheck describes document under name.
func NewClaimCheck(name string, document []byte) ClaimCheck {
	sum := sha256.Sum256(document)
	return ClaimCheck{Name: name, Length: int64(len(document)), SHA256: hex.EncodeToString(sum[:])}
}

// Encode is the value of the event's record.
func (c ClaimCheck) Encode() ([]byte, error) { return json.Marshal(c) }

// DecodeClaimCheck reads the value, and refuses a name that leads out of large/ or a length above the greatest
// document by far.
func DecodeClaimCheck(value []byte) (ClaimCheck, error) {
	var c ClaimCheck
	if err := json.Unmarshal(value, &c); err != nil {
		return c, fmt.Errorf("decode claim check: %w", err)
	}
	if !strings.HasPrefix(c.Name, "large/") || strings.Contains(c.Name, "..") || c.Length < 0 || c.Length > LargeLimit {
		return c, fmt.Errorf("decode claim check: name %q or length %d is not possible", c.Name, c.Length)
	}
	return c, nil
}

// LargeLimit bounds a document behind a claim check, in bytes: the service's 2 MB and what it splices in.
const LargeLimit = 4 << 20

// Verify reports a document that is not the one that the check was made for.
func (c ClaimCheck) Verify(document []byte) error {
	if got := NewClaimCheck(c.Name, document); got != c {
		return fmt.Errorf("object %s has %d bytes with SHA-256 %s, its claim check says %d with %s",
			c.Name, got.Length, got.SHA256, c.Length, c.SHA256)
	}
	return nil
}

// Topic is topic.json: the identity of a topic, put if absent by whoever comes first.
type Topic struct {
	UUID   UUID `json:"uuid"`
	Format int  `json:"format"`
}

// Halt is a stop of the smallest unit: a feed range, a topic partition or a container. It survives restarts until
// an operator clears it (INV-10).
type Halt struct {
	Unit     string    `json:"unit"`     // what stands still, such as `range shop.products 05-1F`
	Reason   string    `json:"reason"`   // one sentence, with the remedy
	Evidence string    `json:"evidence"` // what was seen
	Since    time.Time `json:"since"`
}

// Error makes a halt an error, for the programs that stop because of it.
func (h *Halt) Error() string {
	return fmt.Sprintf("%s is halted since %s: %s (%s)", h.Unit, FormatTime(h.Since), h.Reason, h.Evidence)
}

// ExitCode is the process exit code of a halt.
func (h *Halt) ExitCode() int { return 3 }

// Gap is the document of a gap row: offsets From up to and including To were gone before they were archived, and
// an operator accepted that.
type Gap struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Quarantine is the document of a quarantined row: a record that could not be decoded, in base64.
type Quarantine struct {
	Reason  string             `json:"reason"`
	Key     []byte             `json:"key"`
	Value   []byte             `json:"value"`
	Headers []QuarantineHeader `json:"headers"`
	Foreign bool               `json:"foreign,omitempty"` // nothing on it claimed to be Almanac's, so it taints nothing
}

// QuarantineHeader is one header of a quarantined record.
type QuarantineHeader struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// decodeStrict reads JSON and refuses members that this version does not know: a checkpoint of a newer program
// must stop an older one.
func decodeStrict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
