package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Op says what a record is. Its string is the `op` column of the archive; on the topic it is ce_type without the
// prefix "almanac." (and "document." for changes).
type Op string

// The operations of changes, of control events, and of rows that only the archiver writes.
const (
	OpCreated  Op = "created"
	OpReplaced Op = "replaced"
	OpUpserted Op = "upserted" // LatestVersion mode, where the feed does not tell
	OpDeleted  Op = "deleted"
	OpExpired  Op = "expired"
	OpRead     Op = "read" // a load

	OpMark       Op = "mark"
	OpDefinition Op = "definition"
	OpUnkeyed    Op = "unkeyed"

	OpQuarantined Op = "quarantined"
	OpGap         Op = "gap"
)

const (
	typePrefix       = "almanac."
	documentPrefix   = "almanac.document."
	cloudEventsSpec  = "1.0"
	jsonContentType  = "application/json"
	attributesHeader = "almanac"
)

// Change reports whether the operation is one of a document, and so a row of its container.
func (o Op) Change() bool {
	switch o {
	case OpCreated, OpReplaced, OpUpserted, OpDeleted, OpExpired, OpRead:
		return true
	}
	return false
}

// Deletion reports whether the change leaves no document behind.
func (o Op) Deletion() bool { return o == OpDeleted || o == OpExpired }

// Type is the CloudEvents type of the operation.
func (o Op) Type() string {
	if o.Change() {
		return documentPrefix + string(o)
	}
	return typePrefix + string(o)
}

// ParseType is the inverse of Type for what may stand on a topic.
func ParseType(ceType []byte) (Op, error) {
	switch string(ceType) { // a switch on string(bytes) does not allocate
	case "almanac.document.created":
		return OpCreated, nil
	case "almanac.document.replaced":
		return OpReplaced, nil
	case "almanac.document.upserted":
		return OpUpserted, nil
	case "almanac.document.deleted":
		return OpDeleted, nil
	case "almanac.document.expired":
		return OpExpired, nil
	case "almanac.document.read":
		return OpRead, nil
	case "almanac.mark":
		return OpMark, nil
	case "almanac.definition":
		return OpDefinition, nil
	case "almanac.unkeyed":
		return OpUnkeyed, nil
	}
	return "", fmt.Errorf("ce_type %q is not known to this version", ceType)
}

// Mode is how the change feed was read.
type Mode uint8

// The modes of the change feed.
const (
	LatestVersion         Mode = 1
	AllVersionsAndDeletes Mode = 2
)

// String is the name in the service's documentation.
func (m Mode) String() string {
	switch m {
	case LatestVersion:
		return "LatestVersion"
	case AllVersionsAndDeletes:
		return "AllVersionsAndDeletes"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// MarshalText and UnmarshalText make String the form in JSON.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the name.
func (m *Mode) UnmarshalText(b []byte) error {
	for _, known := range []Mode{LatestVersion, AllVersionsAndDeletes} {
		if string(b) == known.String() {
			*m = known
			return nil
		}
	}
	return fmt.Errorf("change feed mode %q is not known", b)
}

// Header is one header of a Kafka record; it has the layout of franz-go's kgo.RecordHeader.
type Header struct {
	Key   string
	Value []byte
}

// Attributes is the binary `almanac` header: what a reader needs to route and rank a record without parsing its
// value. Slices of decoded attributes point into the header.
type Attributes struct {
	Topic       UUID
	Mode        Mode
	ClaimCheck  bool // the value is a ClaimCheck, the document stands in the store
	Incarnation []byte
	EPK         []byte // binary; for control events of a range the bytes of its lower bound
	Generation  Generation
	Order       Order
	RID         []byte // document's _rid
	ETag        []byte // document's _etag
	TTL         TTL
}

// AttributesLimit is the greatest length of the almanac header in bytes.
const AttributesLimit = 200

// fieldLimit is the greatest length of one of its fields: twice as many hexadecimal digits fit a byte of length.
const fieldLimit = 127

const (
	flagClaimCheck = 1 << iota
	flagTTL
)

// ErrAttributes reports an almanac header that cannot be written or read.
var ErrAttributes = errors.New("almanac header")

// AppendAttributes appends the binary form: version, flags, mode, topic uuid, then incarnation, epk, rid and etag
// each behind its length, then generation, lsn, ordinal and, when set, ttl as varints.
func AppendAttributes(dst []byte, a *Attributes) ([]byte, error) {
	start := len(dst)
	var flags byte
	if a.ClaimCheck {
		flags |= flagClaimCheck
	}
	if a.TTL.Set {
		flags |= flagTTL
	}
	dst = append(dst, FormatVersion, flags, byte(a.Mode))
	dst = append(dst, a.Topic[:]...)
	for _, field := range [4][]byte{a.Incarnation, a.EPK, a.RID, a.ETag} {
		if len(field) > fieldLimit {
			return dst[:start], fmt.Errorf("%w: a field of %d bytes is longer than %d", ErrAttributes, len(field), fieldLimit)
		}
		dst = append(dst, byte(len(field)))
		dst = append(dst, field...)
	}
	dst = binary.AppendUvarint(dst, uint64(a.Generation))
	dst = binary.AppendUvarint(dst, uint64(a.Order.LSN))
	dst = binary.AppendUvarint(dst, uint64(a.Order.Ordinal))
	if a.TTL.Set {
		dst = binary.AppendVarint(dst, int64(a.TTL.Seconds))
	}
	if n := len(dst) - start; n > AttributesLimit {
		return dst[:start], fmt.Errorf("%w: %d bytes are more than %d", ErrAttributes, n, AttributesLimit)
	}
	return dst, nil
}

// DecodeAttributes reads the binary form into a. Bytes behind the fields known here are ignored, so that a later
// minor version may append some.
func DecodeAttributes(b []byte, a *Attributes) error {
	if len(b) < 19 || len(b) > AttributesLimit {
		return fmt.Errorf("%w: %d bytes are not between 19 and %d", ErrAttributes, len(b), AttributesLimit)
	}
	if b[0] != FormatVersion {
		return fmt.Errorf("%w: version %d is not known, this program knows %d", ErrAttributes, b[0], FormatVersion)
	}
	flags, rest := b[1], b[19:]
	*a = Attributes{Mode: Mode(b[2]), ClaimCheck: flags&flagClaimCheck != 0, TTL: TTL{Set: flags&flagTTL != 0}}
	copy(a.Topic[:], b[3:19])
	for _, field := range [4]*[]byte{&a.Incarnation, &a.EPK, &a.RID, &a.ETag} {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return fmt.Errorf("%w: it ends early", ErrAttributes)
		}
		if rest[0] > fieldLimit {
			return fmt.Errorf("%w: a field of %d bytes is longer than %d", ErrAttributes, rest[0], fieldLimit)
		}
		*field = rest[1 : 1+rest[0]]
		rest = rest[1+rest[0]:]
	}
	var numbers [3]uint64
	for i := range numbers {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > 1<<63-1 {
			return fmt.Errorf("%w: number %d is torn or out of range", ErrAttributes, i)
		}
		numbers[i], rest = v, rest[n:]
	}
	if numbers[2] > 1<<31-1 {
		return fmt.Errorf("%w: ordinal %d is out of range", ErrAttributes, numbers[2])
	}
	a.Generation = Generation(numbers[0])
	a.Order = Order{LSN: LSN(numbers[1]), Ordinal: int32(numbers[2])}
	if a.TTL.Set {
		v, n := binary.Varint(rest)
		if n <= 0 || v < -1<<31 || v > 1<<31-1 {
			return fmt.Errorf("%w: ttl is torn or out of range", ErrAttributes)
		}
		a.TTL.Seconds = int32(v)
	}
	return nil
}

// Envelope is the CloudEvents 1.0 part of a record (binary content mode of its Kafka binding).
type Envelope struct {
	ID      []byte // unique per change
	Source  string // /<account>/<database>/<container>
	Op      Op
	Time    time.Time // of the change (whole seconds for documents), or of the observation
	Subject []byte    // document id; container name for control events
}

// timeFormat is RFC 3339 in UTC with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// FormatTime is how Almanac writes times everywhere: RFC 3339, UTC, milliseconds.
func FormatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// AppendHeaders appends the headers of a record: CloudEvents' and almanac's, whose bytes the caller made with
// AppendAttributes. The values that vary are copied into *arena, which grows.
func AppendHeaders(dst []Header, arena *[]byte, e *Envelope, attributes []byte) []Header {
	take := func(add func([]byte) []byte) []byte {
		n := len(*arena)
		*arena = add(*arena)
		return (*arena)[n:len(*arena):len(*arena)]
	}
	return append(
		dst,
		Header{"ce_specversion", take(func(b []byte) []byte { return append(b, cloudEventsSpec...) })},
		Header{"ce_id", take(func(b []byte) []byte { return append(b, e.ID...) })},
		Header{"ce_source", take(func(b []byte) []byte { return append(b, e.Source...) })},
		Header{"ce_type", take(func(b []byte) []byte { return append(b, e.Op.Type()...) })},
		Header{"ce_time", take(func(b []byte) []byte { return e.Time.UTC().AppendFormat(b, timeFormat) })},
		Header{"ce_subject", take(func(b []byte) []byte { return append(b, e.Subject...) })},
		Header{"content-type", take(func(b []byte) []byte { return append(b, jsonContentType...) })},
		Header{attributesHeader, attributes},
	)
}

// Received is a record's headers as read. Slices point into the headers.
type Received struct {
	Attributes Attributes
	Op         Op
	Database   []byte
	Container  []byte
	Account    []byte
	Time       time.Time
	Subject    []byte
}

// ErrForeign reports a record that carries neither an almanac header nor an almanac type: it is not one of ours.
var ErrForeign = errors.New("record is not an Almanac event")

// HeaderReader hands a decoder the value of a header by name, nil when it is absent.
type HeaderReader interface {
	Header(name string) []byte
}

// DecodeHeaders reads a record's headers into r. An error that wraps ErrForeign means that nothing on the record
// claims to be Almanac's.
func DecodeHeaders(h HeaderReader, r *Received) error {
	attributes, ceType := h.Header(attributesHeader), h.Header("ce_type")
	if attributes == nil && !strings.HasPrefix(string(ceType), typePrefix) {
		return ErrForeign
	}
	*r = Received{Subject: h.Header("ce_subject")}
	var err error
	if r.Op, err = ParseType(ceType); err != nil {
		return err
	}
	if err := DecodeAttributes(attributes, &r.Attributes); err != nil {
		return err
	}
	if v := h.Header("ce_specversion"); string(v) != cloudEventsSpec {
		return fmt.Errorf("ce_specversion %q is not %s", v, cloudEventsSpec)
	}
	if err := r.splitSource(h.Header("ce_source")); err != nil {
		return err
	}
	if r.Time, err = time.Parse(time.RFC3339Nano, string(h.Header("ce_time"))); err != nil {
		return fmt.Errorf("ce_time: %w", err)
	}
	return nil
}

func (r *Received) splitSource(source []byte) error {
	fields := [3]*[]byte{&r.Account, &r.Database, &r.Container}
	rest := source
	for i, f := range fields {
		if len(rest) < 2 || rest[0] != '/' {
			return fmt.Errorf("ce_source %q is not /account/database/container", source)
		}
		rest = rest[1:]
		end := len(rest)
		for j, c := range rest {
			if c == '/' {
				end = j
				break
			}
		}
		*f, rest = rest[:end], rest[end:]
		if end == 0 || i == 2 && len(rest) > 0 {
			return fmt.Errorf("ce_source %q is not /account/database/container", source)
		}
	}
	return nil
}

// AppendChangeID appends the ce_id of a change: incarnation, document, generation, LSN and ordinal. Reading the
// same change twice gives the same id.
func AppendChangeID(dst []byte, a *Attributes) []byte {
	dst = append(dst, a.Incarnation...)
	dst = append(dst, ':')
	dst = append(dst, a.RID...)
	for _, n := range [...]int64{int64(a.Generation), int64(a.Order.LSN), int64(a.Order.Ordinal)} {
		dst = strconv.AppendInt(append(dst, ':'), n, 10)
	}
	return dst
}
