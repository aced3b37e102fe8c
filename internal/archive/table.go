package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/internal/topicid"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Changes is the `changes` table of a topic at one version.
type Changes struct {
	Topic    string       // name
	UUID     schemas.UUID // of the topic, as topic.json has it
	Snapshot *delta.Snapshot

	root blob.Store
}

// OpenChanges reads the newest version of a topic's table. A topic of which nothing was archived yet is a table without
// files; one that nobody identified yet is topicid.ErrNoTopic. root is the archive's.
func OpenChanges(ctx context.Context, root blob.Store, topic string) (*Changes, error) {
	identity, err := topicid.Read(ctx, root, topic)
	if err != nil {
		return nil, err
	}
	snapshot, err := delta.Load(ctx, blob.Prefixed(root, schemas.ChangesPrefix(topic)), delta.Options{})
	if err != nil {
		return nil, fmt.Errorf("open changes of topic %s: %w", topic, err)
	}
	return &Changes{Topic: topic, UUID: identity.UUID, Snapshot: snapshot, root: root}, nil
}

// Refresh is the table at its newest version.
func (c *Changes) Refresh(ctx context.Context) (*Changes, error) {
	snapshot, err := c.Snapshot.Refresh(ctx)
	if err != nil {
		return nil, fmt.Errorf("refresh changes of topic %s: %w", c.Topic, err)
	}
	next := *c
	next.Snapshot = snapshot
	return &next, nil
}

// Root is the archive's root.
func (c *Changes) Root() blob.Store { return c.root }

// Store is the table's folder; the paths of Files are names in it.
func (c *Changes) Store() blob.Store { return blob.Prefixed(c.root, schemas.ChangesPrefix(c.Topic)) }

// Files are the files of one container (schemas.ControlContainer for control rows), in the order of their paths.
func (c *Changes) Files(container string) []delta.Add {
	var files []delta.Add
	for _, add := range c.Snapshot.Files {
		if add.Partition["container"] == container {
			files = append(files, add)
		}
	}
	return files
}

// Open reads one of Files.
func (c *Changes) Open(ctx context.Context, file delta.Add, want Columns) (*FileReader, error) {
	return OpenFile(ctx, c.Store(), file.Path, file.Size, want)
}

// Offsets are the last archived offsets of the topic's partitions: every record up to there is a row (INV-3).
func (c *Changes) Offsets() schemas.Offsets { return ArchivedOffsets(c.Snapshot, c.UUID) }

// ArchivedOffsets reads the last archived offsets out of a version of the table.
func ArchivedOffsets(snapshot *delta.Snapshot, topic schemas.UUID) schemas.Offsets {
	offsets := schemas.Offsets{}
	for app, last := range snapshot.Txns {
		if uuid, partition, ok := ParseTxnAppID(app); ok && uuid == topic {
			offsets[partition] = last
		}
	}
	return offsets
}

// ParseTxnAppID is the inverse of schemas.TxnAppID; ok is false for the txns of others.
func ParseTxnAppID(app string) (topic schemas.UUID, partition int32, ok bool) {
	const uuidText = 36
	if len(app) <= uuidText+1 || app[uuidText] != '-' {
		return topic, 0, false
	}
	topic, err := schemas.ParseUUID(app[:uuidText])
	if err != nil {
		return topic, 0, false
	}
	n, err := strconv.ParseInt(app[uuidText+1:], 10, 32)
	return topic, int32(n), err == nil && n >= 0 && strconv.FormatInt(n, 10) == app[uuidText+1:]
}

// CheckUUID refuses a table that was begun under another uuid than the topic has now: topic.json was lost or replaced,
// or the table is another topic's.
func CheckUUID(snapshot *delta.Snapshot, topic schemas.UUID) error {
	for app := range snapshot.Txns {
		if uuid, _, ok := ParseTxnAppID(app); ok && uuid != topic {
			return fmt.Errorf("the table holds records of topic uuid %s, topic.json says %s", uuid, topic)
		}
	}
	return nil
}

// logRetention is how long the table's log and its tombstones are kept.
const logRetention = "interval 7 days"

// ChangesMetadata is what a new `changes` table is. The table's id is the topic's uuid.
func ChangesMetadata(topic string, uuid schemas.UUID) (*delta.Metadata, error) {
	schema, err := TableSchema(append(schemas.ChangeColumns(), schemas.PartitionColumns()...))
	if err != nil {
		return nil, err
	}
	return &delta.Metadata{
		ID:               uuid.String(),
		Name:             "changes",
		Description:      "every record of the topic " + topic,
		Schema:           schema,
		PartitionColumns: []string{"container", "date"},
		Configuration: map[string]string{
			"delta.logRetentionDuration":         logRetention,
			"delta.deletedFileRetentionDuration": logRetention,
		},
	}, nil
}

// TableSchema writes columns as Delta's schema, in this order.
func TableSchema(columns []schemas.Column) (json.RawMessage, error) {
	type column struct {
		Name     string            `json:"name"`
		Type     string            `json:"type"`
		Nullable bool              `json:"nullable"`
		Metadata map[string]string `json:"metadata"`
	}
	fields := make([]column, len(columns))
	for i, c := range columns {
		fields[i] = column{c.Name, string(c.Type), c.Nullable, map[string]string{"comment": c.Comment}}
	}
	return json.Marshal(map[string]any{"type": "struct", "fields": fields})
}

// ChangeFile names a new file of `changes`, relative to the table: time and a random part, so that no two writers ever
// mean the same one. Its date is the UTC day by the store's clock.
func ChangeFile(container string, now time.Time, id schemas.UUID) (path string, partition map[string]string) {
	date := now.UTC().Format(time.DateOnly)
	path = "container=" + escapeValue(container) + "/date=" + date + "/" +
		now.UTC().Format("20060102T150405.000Z") + "-" + strings.ReplaceAll(id.String(), "-", "")[:16] + ".parquet"
	return path, map[string]string{"container": container, "date": date}
}

// longestValue bounds a partition value in a path; a store takes 255 bytes per segment.
const longestValue = 200

// escapeValue writes a partition value as a part of a folder's name: as Hive does and more, because Polars takes values from
// the path, where a second `=` ends them, and Hadoop takes what stands before a colon for a scheme. Names that are too long
// are cut and told apart by a hash: all other readers take the value from the log.
func escapeValue(value string) string {
	escaped := strings.NewReplacer("+", "%20", "~", "%7E").Replace(url.QueryEscape(value))
	if len(escaped) <= longestValue {
		return escaped
	}
	sum := sha256.Sum256([]byte(value))
	cut := longestValue - 17
	for i := 1; i <= 2; i++ { // not within %XX
		if escaped[cut-i] == '%' {
			cut -= i
			break
		}
	}
	return escaped[:cut] + "_" + hex.EncodeToString(sum[:8])
}
