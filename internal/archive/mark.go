package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/schemas"
)

// Control is what the control rows of a topic say about one container: the input of Fold. Rows of other containers of
// the topic are left out, but for losses, of which nobody knows whose records they were.
type Control struct {
	Container   string
	Archived    schemas.Offsets // the last archived offsets: every record up to there is a row
	Marks       []MarkRow
	Definitions []DefinitionRow
	Losses      []LossRow
	Unkeyed     []UnkeyedRow

	texts map[string]string // one copy of every range and incarnation
}

// Place is where a control row stood on the topic.
type Place struct {
	Partition int32
	Offset    int64
}

// within tells whether a row of that place is at or below the offsets.
func (p Place) within(offsets schemas.Offsets) bool { return covers(offsets, p.Partition, p.Offset) }

func covers(offsets schemas.Offsets, partition int32, offset int64) bool {
	last, ok := offsets[partition]
	return ok && offset <= last
}

// MarkRow is a mark in the form that the fold holds it in: a history has millions.
type MarkRow struct {
	Place
	Incarnation string
	Range       schemas.FeedRange
	Mode        schemas.Mode
	Drained     bool
	Basis       schemas.Basis
	Generation  schemas.Generation
	LSN         schemas.LSN
	Newest      schemas.LSN
	Latest      int64   // nanoseconds since 1970
	CompleteTo  int64   // nanoseconds since 1970
	Offsets     []int64 // by topic partition, -1 is none
}

// usable tells whether the mark may be part of a point: it says that everything up to its LSN is on the topic.
func (m *MarkRow) usable() bool {
	return m.Mode == schemas.LatestVersion && m.Basis == schemas.BasisComplete && m.Drained
}

// begins tells whether this is a mark of a generation of which nothing had been read yet. Its Offsets are then what the
// range had acknowledged before the generation.
func (m *MarkRow) begins() bool { return m.Basis == schemas.BasisLoading && m.LSN == 0 }

func (m *MarkRow) acknowledged(partition int32) int64 {
	if int(partition) < len(m.Offsets) {
		return m.Offsets[partition]
	}
	return -1
}

// DefinitionRow is a container's definition as the service sent it.
type DefinitionRow struct {
	Place
	Incarnation string
	Observed    time.Time
	Changed     time.Time // the second in which it came into force, by its `_ts`; zero: it says none
	Resource    []byte
	TimeToLive  bool // it has a defaultTtl: documents may have vanished without a trace
}

// begins are the earliest and the latest moment at which the definition may have come into force.
func (d *DefinitionRow) begins() (from, by time.Time) {
	if d.Changed.IsZero() {
		return time.Time{}, d.Observed
	}
	return d.Changed, d.Changed.Add(time.Second - 1)
}

// LossRow is a span of offsets that are rows of nothing: a gap that an operator accepted, or a record or a control row that
// claimed to be Almanac's and could not be decoded.
type LossRow struct {
	Partition int32
	From, To  int64 // inclusive
	Reason    string
}

// UnkeyedRow is a document that could not be archived, because it could not be keyed.
type UnkeyedRow struct {
	Place
	Incarnation string
	Range       schemas.FeedRange
	Generation  schemas.Generation
	LSN         schemas.LSN
}

// NewControl is a container without control rows.
func NewControl(container string, archived schemas.Offsets) *Control {
	return &Control{Container: container, Archived: archived, texts: map[string]string{}}
}

// CheckControl says why a mark, a definition or an unkeyed document cannot be taken in. The archiver quarantines such a
// record; Control.Add takes one that is archived already as a loss.
func CheckControl(row *Row) error {
	if len(row.ID) == 0 {
		return fmt.Errorf("the event of operation %q names no container", row.Op)
	}
	return NewControl(string(row.ID), nil).addOwn(row, Place{})
}

// Add takes one control row in. It keeps nothing of the row's. One of the container that cannot be read is a loss, as if
// its record had been quarantined: nobody can take it out of the table again, and it may have said anything.
func (c *Control) Add(row *Row) error {
	place := Place{Partition: row.TopicPartition, Offset: row.Offset}
	if c.Container != string(row.ID) && (row.Op == schemas.OpMark || row.Op == schemas.OpDefinition || row.Op == schemas.OpUnkeyed) {
		return nil
	}
	var err error
	switch row.Op {
	case schemas.OpMark, schemas.OpDefinition, schemas.OpUnkeyed:
		if lost := c.addOwn(row, place); lost != nil {
			c.addUnread(place, lost.Error())
		}
	case schemas.OpGap:
		err = c.addGap(row)
	case schemas.OpQuarantined:
		err = c.addQuarantined(row)
	default:
		err = fmt.Errorf("operation %q is not known to this version", row.Op)
	}
	if err != nil {
		return fmt.Errorf("read control row %d of topic partition %d: %w", row.Offset, row.TopicPartition, err)
	}
	return nil
}

// addOwn takes in what a producer said of the container, or says why it cannot be read.
func (c *Control) addOwn(row *Row, place Place) error {
	switch row.Op {
	case schemas.OpMark:
		return c.addMark(row, place)
	case schemas.OpDefinition:
		return c.addDefinition(row, place)
	default:
		return c.addUnkeyed(row, place)
	}
}

func (c *Control) addMark(row *Row, place Place) error {
	m, err := schemas.DecodeMark(row.Document)
	if err != nil {
		return err
	}
	if m.Container != c.Container {
		return fmt.Errorf("mark is one of container %q, its row is of %q", m.Container, c.Container)
	}
	out := MarkRow{
		Place: place, Incarnation: c.text(m.Incarnation), Range: c.feedRange(m.Range), Mode: m.Mode, Drained: m.Drained,
		Basis: schemas.Basis(c.text(string(m.Basis))), Generation: m.Generation, LSN: m.LSN, Newest: m.Newest,
		Latest: m.Latest.UnixNano(), CompleteTo: m.CompleteTo.UnixNano(), Offsets: dense(m.Offsets),
	}
	c.Marks = append(c.Marks, out)
	return nil
}

// partitionLimit bounds the topic partitions of one topic: ten times what Event Hubs offers at most.
const partitionLimit = 20_000

func dense(offsets schemas.Offsets) []int64 {
	n := int32(0)
	for partition := range offsets {
		if partition >= 0 && partition < partitionLimit {
			n = max(n, partition+1)
		}
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = -1
		if offset, ok := offsets[int32(i)]; ok {
			out[i] = offset
		}
	}
	return out
}

const changedLimit = 1 << 36 // seconds: the year 4147

func (c *Control) addDefinition(row *Row, place Place) error {
	var resource *struct {
		DefaultTTL *json.Number `json:"defaultTtl"`
		Changed    int64        `json:"_ts"`
	}
	if err := json.Unmarshal(row.Document, &resource); err != nil {
		return fmt.Errorf("decode definition: %w", err)
	}
	if resource == nil || resource.Changed < 0 || resource.Changed > changedLimit {
		return errors.New("decode definition: it is null, or its _ts is no time")
	}
	var changed time.Time
	if resource.Changed > 0 {
		changed = time.Unix(resource.Changed, 0).UTC()
	}
	c.Definitions = append(c.Definitions, DefinitionRow{
		Place: place, Incarnation: c.text(string(row.Incarnation)), Observed: time.UnixMicro(row.TS).UTC(), Changed: changed,
		Resource: append([]byte{}, row.Document...), TimeToLive: resource.DefaultTTL != nil,
	})
	return nil
}

func (c *Control) addUnkeyed(row *Row, place Place) error {
	prefix := fmt.Sprintf("almanac:%s:%s:", schemas.OpUnkeyed, c.Container) // schemas.ControlKey
	name, ok := strings.CutPrefix(string(row.PartitionKey), prefix)
	r, err := schemas.ParseFeedRange(name)
	if !ok || err != nil {
		return fmt.Errorf("key %q of an unkeyed document names no range of %s", row.PartitionKey, c.Container)
	}
	c.Unkeyed = append(c.Unkeyed, UnkeyedRow{
		Place: place, Incarnation: c.text(string(row.Incarnation)), Range: c.feedRange(r),
		Generation: row.Generation, LSN: row.Order.LSN,
	})
	return nil
}

func (c *Control) addGap(row *Row) error {
	var gap schemas.Gap
	if err := json.Unmarshal(row.Document, &gap); err != nil {
		return fmt.Errorf("decode gap: %w", err)
	}
	c.Losses = append(c.Losses, LossRow{
		Partition: row.TopicPartition, From: gap.From, To: gap.To,
		Reason: fmt.Sprintf("offsets %d to %d of topic partition %d were lost before they were archived", gap.From, gap.To, row.TopicPartition),
	})
	return nil
}

func (c *Control) addQuarantined(row *Row) error {
	var q schemas.Quarantine
	if err := json.Unmarshal(row.Document, &q); err != nil {
		return fmt.Errorf("decode quarantined record: %w", err)
	}
	if q.Foreign {
		return nil
	}
	c.addUnread(Place{Partition: row.TopicPartition, Offset: row.Offset}, q.Reason)
	return nil
}

func (c *Control) addUnread(place Place, reason string) {
	c.Losses = append(c.Losses, LossRow{
		Partition: place.Partition, From: place.Offset, To: place.Offset,
		Reason: fmt.Sprintf("the record at offset %d of topic partition %d could not be decoded (%s)", place.Offset, place.Partition, reason),
	})
}

func (c *Control) text(s string) string {
	if have, ok := c.texts[s]; ok {
		return have
	}
	s = strings.Clone(s)
	c.texts[s] = s
	return s
}

func (c *Control) feedRange(r schemas.FeedRange) schemas.FeedRange {
	return schemas.FeedRange{Min: c.text(r.Min), Max: c.text(r.Max)}
}

// Incarnations are those that the marks speak of, in the order of their texts.
func (c *Control) Incarnations() []string {
	var all []string
	for i := range c.Marks {
		if !slices.Contains(all, c.Marks[i].Incarnation) {
			all = append(all, c.Marks[i].Incarnation)
		}
	}
	slices.Sort(all)
	return all
}
