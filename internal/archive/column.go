package archive

import (
	"fmt"
	"slices"

	"github.com/cosmos-almanac/almanac/schemas"
)

// field is a column that this version knows, in the order of schemas.ChangeColumns.
type field uint8

const (
	fieldPartitionKey field = iota
	fieldID
	fieldOp
	fieldTS
	fieldGeneration
	fieldLSN
	fieldOrdinal
	fieldEPK
	fieldIncarnation
	fieldRID
	fieldETag
	fieldTTL
	fieldDocument
	fieldTopic
	fieldTopicPartition
	fieldOffset
	fieldPublishedAt
	fieldCount
)

// names are the fields' names in files.
func (f field) name() string {
	switch f {
	case fieldPartitionKey:
		return "partition_key"
	case fieldID:
		return "id"
	case fieldOp:
		return "op"
	case fieldTS:
		return "ts"
	case fieldGeneration:
		return "generation"
	case fieldLSN:
		return "lsn"
	case fieldOrdinal:
		return "ordinal"
	case fieldEPK:
		return "epk"
	case fieldIncarnation:
		return "incarnation"
	case fieldRID:
		return "rid"
	case fieldETag:
		return "etag"
	case fieldTTL:
		return "ttl"
	case fieldDocument:
		return "document"
	case fieldTopic:
		return "topic"
	case fieldTopicPartition:
		return "topic_partition"
	case fieldOffset:
		return "offset"
	case fieldPublishedAt:
		return "published_at"
	}
	return fmt.Sprintf("field %d", uint8(f))
}

func fieldOf(name string) (field, bool) {
	for f := range fieldCount {
		if f.name() == name {
			return f, true
		}
	}
	return 0, false
}

// appendText appends the row's value of a column of text; it says whether that is null, and whether the column is one.
func (r *Row) appendText(dst []byte, f field) (out []byte, null, text bool) {
	switch f {
	case fieldPartitionKey:
		return append(dst, r.PartitionKey...), false, true
	case fieldID:
		return append(dst, r.ID...), false, true
	case fieldOp:
		return append(dst, r.Op...), false, true
	case fieldEPK:
		return append(dst, r.EPK...), false, true
	case fieldIncarnation:
		return append(dst, r.Incarnation...), false, true
	case fieldRID:
		return append(dst, r.RID...), false, true
	case fieldETag:
		return append(dst, r.ETag...), false, true
	case fieldDocument:
		return append(dst, r.Document...), r.Document == nil, true
	case fieldTopic:
		return append(dst, r.Topic...), false, true
	}
	return dst, true, false
}

// number is the row's value of a column of numbers.
func (r *Row) number(f field) (value int64, null bool) {
	switch f {
	case fieldTS:
		return r.TS, false
	case fieldGeneration:
		return int64(r.Generation), false
	case fieldLSN:
		return int64(r.Order.LSN), false
	case fieldOrdinal:
		return int64(r.Order.Ordinal), false
	case fieldTTL:
		return int64(r.TTL.Seconds), !r.TTL.Set
	case fieldTopicPartition:
		return int64(r.TopicPartition), false
	case fieldOffset:
		return r.Offset, false
	case fieldPublishedAt:
		return r.PublishedAt, false
	}
	return 0, true
}

func (f field) nullable() bool { return f == fieldTTL || f == fieldDocument }

// setText and setNumber are the inverse of appendText and number.
func (r *Row) setText(f field, value []byte) {
	switch f {
	case fieldPartitionKey:
		r.PartitionKey = value
	case fieldID:
		r.ID = value
	case fieldOp:
		r.Op = opOf(value)
	case fieldEPK:
		r.EPK = value
	case fieldIncarnation:
		r.Incarnation = value
	case fieldRID:
		r.RID = value
	case fieldETag:
		r.ETag = value
	case fieldDocument:
		r.Document = value
	case fieldTopic:
		r.Topic = value
	}
}

func (r *Row) setNumber(f field, value int64, null bool) {
	switch f {
	case fieldTS:
		r.TS = value
	case fieldGeneration:
		r.Generation = schemas.Generation(value)
	case fieldLSN:
		r.Order.LSN = schemas.LSN(value)
	case fieldOrdinal:
		r.Order.Ordinal = int32(value)
	case fieldTTL:
		r.TTL = schemas.TTL{Seconds: int32(value), Set: !null}
	case fieldTopicPartition:
		r.TopicPartition = int32(value)
	case fieldOffset:
		r.Offset = value
	case fieldPublishedAt:
		r.PublishedAt = value
	}
}

// opOf is the operation of a column's text, without an allocation for those that are known.
func opOf(text []byte) schemas.Op {
	switch string(text) {
	case string(schemas.OpCreated):
		return schemas.OpCreated
	case string(schemas.OpReplaced):
		return schemas.OpReplaced
	case string(schemas.OpUpserted):
		return schemas.OpUpserted
	case string(schemas.OpDeleted):
		return schemas.OpDeleted
	case string(schemas.OpExpired):
		return schemas.OpExpired
	case string(schemas.OpRead):
		return schemas.OpRead
	case string(schemas.OpMark):
		return schemas.OpMark
	case string(schemas.OpDefinition):
		return schemas.OpDefinition
	case string(schemas.OpUnkeyed):
		return schemas.OpUnkeyed
	case string(schemas.OpQuarantined):
		return schemas.OpQuarantined
	case string(schemas.OpGap):
		return schemas.OpGap
	}
	return schemas.Op(text)
}

// Columns is a set of columns by name. Its zero value is every column that the file holds.
type Columns struct{ set uint32 }

// NewColumns is the set of these columns; an unknown name is a mistake of the caller's.
func NewColumns(names ...string) (Columns, error) {
	var c Columns
	for _, name := range names {
		f, ok := fieldOf(name)
		if !ok {
			return Columns{}, fmt.Errorf("column %q is not known", name)
		}
		c.set |= 1 << f
	}
	return c, nil
}

// Without is every column but these.
func Without(names ...string) (Columns, error) {
	c, err := NewColumns(names...)
	return Columns{set: ^c.set & (1<<fieldCount - 1)}, err
}

func (c Columns) has(f field) bool { return c.set == 0 || c.set&(1<<f) != 0 }

// sortColumns are the columns that files are sorted by.
func sortColumns(all []schemas.Column) []string {
	var names []string
	for _, f := range []field{fieldPartitionKey, fieldID, fieldGeneration, fieldLSN, fieldOrdinal} {
		if slices.ContainsFunc(all, func(c schemas.Column) bool { return c.Name == f.name() }) {
			names = append(names, f.name())
		}
	}
	return names
}
