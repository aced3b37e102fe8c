package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Manifest describes a snapshot: the content of a container at a restore point, in sorted files of disjoint ranges. It
// is written once and never changes. The snapshot exists by the commit in `state`'s log that names it (SnapshotAppID); a
// manifest without one is an orphan.
type Manifest struct {
	Format  int             `json:"format"`
	Topic   schemas.UUID    `json:"topic"`
	Point   Point           `json:"point"`
	Rules   Rules           `json:"rules"` // as they were applied
	Rows    int64           `json:"rows"`
	Bytes   int64           `json:"bytes"`
	Files   []StateFile     `json:"files"`    // ascending and disjoint in (partition_key, id)
	LeftOut schemas.Offsets `json:"left_out"` // per topic partition the lowest offset of a row that a later point may still take
	Taken   time.Time       `json:"taken"`
}

// StateFile is one file of a snapshot.
type StateFile struct {
	Path     string          `json:"path"` // relative to the container's `state` table
	Size     int64           `json:"size"`
	Rows     int64           `json:"rows"`
	SHA256   string          `json:"sha256"`
	Modified time.Time       `json:"modified"` // by the store's clock
	First    Key             `json:"first"`
	Last     Key             `json:"last"`
	Stats    json.RawMessage `json:"stats"` // as in the table's log
}

// Key is a document's place in a container: files of state are sorted by it.
type Key struct {
	PartitionKey string `json:"partition_key"`
	ID           string `json:"id"`
}

// Compare orders keys as files are sorted.
func (k Key) Compare(other Key) int {
	if c := strings.Compare(k.PartitionKey, other.PartitionKey); c != 0 {
		return c
	}
	return strings.Compare(k.ID, other.ID)
}

// manifestLimit bounds a manifest, in bytes: the vector of thousands of ranges and the files of 25 TB.
const manifestLimit = 64 << 20

const snapshotApp = "almanac.snapshot."

// SnapshotAppID is the txn that a commit of `state` carries for the snapshot of that point; its version is the point's
// latest time in milliseconds. It stays in the log for good, so it says for good that the snapshot exists.
func SnapshotAppID(point string) string { return snapshotApp + point }

// ManifestFile names the manifest of the snapshot of a point.
func ManifestFile(topic string, point *Point) string {
	return schemas.SnapshotPrefix(topic, point.Container, point.Incarnation) + point.Name + ".json"
}

// PutManifest writes a manifest if there is none of that point yet, and answers the one that stands there: whoever is
// late goes on with the files of whoever was first.
func PutManifest(ctx context.Context, root blob.Store, topic string, m *Manifest) (*Manifest, error) {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write manifest of %s: %w", m.Point.Name, err)
	}
	_, putErr := root.Put(ctx, ManifestFile(topic, &m.Point), bytes.NewReader(body), blob.IfAbsent())
	stands, err := ReadManifest(ctx, root, topic, &m.Point) // after success as well: what is read is what counts
	if errors.Is(err, blob.ErrNotFound) && putErr != nil {
		return nil, fmt.Errorf("write manifest of %s: %w", m.Point.Name, putErr)
	}
	return stands, err
}

// ReadManifest reads the manifest of the snapshot of a point, whether the snapshot exists or not; blob.ErrNotFound when
// there is none.
func ReadManifest(ctx context.Context, root blob.Store, topic string, point *Point) (*Manifest, error) {
	return readManifest(ctx, root, ManifestFile(topic, point))
}

// ReadManifestOf is ReadManifest by the point's name. The point need not fold any more: its snapshot is what it was.
func ReadManifestOf(ctx context.Context, root blob.Store, topic, container, incarnation, point string) (*Manifest, error) {
	return readManifest(ctx, root, schemas.SnapshotPrefix(topic, container, incarnation)+point+".json")
}

func readManifest(ctx context.Context, root blob.Store, name string) (*Manifest, error) {
	body, _, err := blob.ReadAll(ctx, root, name, manifestLimit)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	m := new(Manifest)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", name, err)
	}
	if m.Format != schemas.FormatVersion {
		return nil, fmt.Errorf("read manifest %s: it has format %d, this program knows %d: use a newer program", name, m.Format, schemas.FormatVersion)
	}
	if want := m.Point.nameOf(); m.Point.Name != want || !strings.HasSuffix(name, "/"+want+".json") {
		return nil, fmt.Errorf("read manifest %s: its vector is that of %s: the object was changed or moved", name, want)
	}
	return m, nil
}

// Snapshots are the names of the points of which a container has snapshots, oldest first.
func Snapshots(ctx context.Context, root blob.Store, topic, container, incarnation string) ([]string, error) {
	state, err := delta.Load(ctx, blob.Prefixed(root, schemas.StatePrefix(topic, container, incarnation)), delta.Options{WithoutFiles: true})
	if err != nil {
		return nil, fmt.Errorf("list snapshots of %s: %w", container, err)
	}
	return SnapshotNames(state), nil
}

// baseTries bounds the manifests that are read in search of a base.
const baseTries = 24

// FindBase is the manifest of the newest snapshot that rows may be merged with to make the point; nil when there is none.
func FindBase(ctx context.Context, changes *Changes, timeline *Timeline, point *Point) (*Manifest, error) {
	names, err := Snapshots(ctx, changes.root, changes.Topic, point.Container, point.Incarnation)
	if err != nil {
		return nil, err
	}
	return FindBaseAmong(ctx, changes, names, timeline, point)
}

// FindBaseAmong is FindBase among the snapshots of these names, oldest first. A snapshot was exact when it was taken; the
// timeline, which is the container's of now, says whether it still is.
func FindBaseAmong(ctx context.Context, changes *Changes, names []string, timeline *Timeline, point *Point) (*Manifest, error) {
	limit := point.Latest.UTC().Format(nameTime) + "~"
	tries := 0
	for _, name := range slices.Backward(names) {
		if name > limit {
			continue
		}
		if tries++; tries > baseTries {
			break
		}
		m, err := ReadManifestOf(ctx, changes.root, changes.Topic, point.Container, point.Incarnation, name)
		if errors.Is(err, blob.ErrNotFound) {
			continue // removed after its snapshot: no base, and nothing that rows cannot replace
		}
		if err != nil {
			return nil, err
		}
		if m.Usable(changes.UUID, point, &timeline.rules) == nil && timeline.claim(&m.Point).Exact() {
			return m, nil
		}
	}
	return nil, nil
}

// ErrNoBase says that a snapshot is no base for a point. The point can be made from rows alone.
var ErrNoBase = errors.New("snapshot is no base for the point")

// Usable says why the snapshot is no base for a point, or nil: it is at or below the point in every range and topic
// partition, of the same generation in each, of the same topic and incarnation, under the same rules, and exact.
func (m *Manifest) Usable(topic schemas.UUID, point *Point, rules *Rules) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s below %s: %s", ErrNoBase, m.Point.Name, point.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case m.Topic != topic:
		return refuse("its topic has uuid %s, not %s", m.Topic, topic)
	case m.Point.Container != point.Container || m.Point.Incarnation != point.Incarnation:
		return refuse("it is of container %s, incarnation %s", m.Point.Container, m.Point.Incarnation)
	case !m.Rules.Equal(rules):
		return refuse("its rules are %s, now they are %s", m.Rules.String(), rules.String())
	case !m.Point.Claim.Exact():
		return refuse("it is %s", m.Point.Claim)
	}
	for partition, offset := range m.Point.Offsets {
		if offset >= 0 && !covers(point.Offsets, partition, offset) {
			return refuse("it holds offset %d of topic partition %d", offset, partition)
		}
	}
	for _, old := range m.Point.Cuts {
		for _, cut := range point.Cuts {
			if old.Range.Overlaps(cut.Range) && !cut.Includes(old.Generation, old.LSN) {
				return refuse("its cut %s is not at or below %s in one generation", old, cut)
			}
		}
	}
	return nil
}

// SnapshotNames are the points whose snapshots a version of `state` says exist, oldest first.
func SnapshotNames(state *delta.Snapshot) []string {
	var names []string
	for app := range state.Txns {
		if name, ok := strings.CutPrefix(app, snapshotApp); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
