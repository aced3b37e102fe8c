package schemas

// ColumnType is a column's type in Delta's schema language.
type ColumnType string

// The types of this version.
const (
	StringColumn    ColumnType = "string"
	LongColumn      ColumnType = "long"
	IntegerColumn   ColumnType = "integer"
	TimestampColumn ColumnType = "timestamp" // microseconds, UTC
	DateColumn      ColumnType = "date"
)

// Column is one column of an archive table.
type Column struct {
	Name     string
	Type     ColumnType
	Nullable bool
	Comment  string
}

// ChangeColumns are the columns of the `changes` table as they stand in its files, without the partition columns.
func ChangeColumns() []Column {
	return []Column{
		{"partition_key", StringColumn, false, "partition key values as a canonical JSON array; the record's key for control rows"},
		{"id", StringColumn, false, "document id; container name for control rows"},
		{"op", StringColumn, false, "created, replaced, upserted, deleted, expired, read; mark, definition, unkeyed, quarantined, gap"},
		{"ts", TimestampColumn, false, "time of the change by the service, whole seconds; of the observation for control rows"},
		{"generation", LongColumn, false, "span of the range's history in which an LSN means one thing"},
		{"lsn", LongColumn, false, "transaction in the feed range"},
		{"ordinal", IntegerColumn, false, "rank of the change inside its transaction"},
		{"epk", StringColumn, false, "effective partition key, hexadecimal"},
		{"incarnation", StringColumn, false, "resource id of the container"},
		{"rid", StringColumn, false, "resource id of the document"},
		{"etag", StringColumn, false, "_etag of the document"},
		{"ttl", IntegerColumn, true, "the item's own time to live in seconds"},
		{"document", StringColumn, true, "the document byte for byte as the feed delivered it; null for a deletion"},
		{"topic", StringColumn, false, "uuid of the topic"},
		{"topic_partition", IntegerColumn, false, "partition of the topic"},
		{"offset", LongColumn, false, "offset in the topic partition"},
		{"published_at", TimestampColumn, false, "time of the record on the topic"},
	}
}

// StateColumns are the columns of a container's `state` table and of its snapshots' files.
func StateColumns() []Column {
	var columns []Column
	for _, c := range ChangeColumns() {
		switch c.Name {
		case "partition_key", "id", "ts", "generation", "lsn", "ordinal", "epk", "rid", "etag", "ttl", "document":
			columns = append(columns, c)
		}
	}
	return columns
}

// PartitionColumns are the columns that stand in the paths of `changes`, not in its files.
func PartitionColumns() []Column {
	return []Column{
		{"container", StringColumn, false, "database.container, or _almanac for control rows"},
		{"date", DateColumn, false, "UTC day of archiving by the store's clock"},
	}
}
