package restorer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/replay"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/schemas"
)

// Version is one row of the archive about a document. Document is a string, because JSON printers reformat JSON.
type Version struct {
	PartitionKey   string             `json:"partition_key"`
	ID             string             `json:"id"`
	Op             schemas.Op         `json:"op,omitempty"`
	Time           time.Time          `json:"ts"`
	Generation     schemas.Generation `json:"generation"`
	LSN            schemas.LSN        `json:"lsn"`
	Ordinal        int32              `json:"ordinal"`
	ETag           string             `json:"etag"`
	Incarnation    string             `json:"incarnation,omitempty"`
	TopicPartition int32              `json:"topic_partition"`
	Offset         int64              `json:"offset"`
	Size           int                `json:"size"`               // of the document, the user's own bytes
	Document       *string            `json:"document,omitempty"` // the user's own bytes
	SoftDeleted    bool               `json:"soft_deleted,omitempty"`
	Points         *PointSpan         `json:"points,omitempty"` // in which it is the newest version; absent: in none

	epk string
}

// PointSpan is the first and the last of some points, and how many they are.
type PointSpan struct {
	First string `json:"first"`
	Last  string `json:"last"`
	Count int64  `json:"count"`
}

// key makes the canonical key of the document that the command line names, under the container's definition.
func (o one) key(definition []byte) (archive.Key, error) {
	d, err := schemas.ParseKeyDefinition(definition)
	if err != nil {
		return archive.Key{}, fmt.Errorf("read archived definition: %w", err)
	}
	canonical, _, err := d.ParsePartitionKey([]byte(o.PartitionKey))
	if err != nil {
		return archive.Key{}, usage("--partition-key: %w", err)
	}
	return archive.Key{PartitionKey: canonical, ID: o.ID}, nil
}

// found is one document at a point, as `get` prints it.
type found struct {
	Point string `json:"point"`
	Version
}

// get finds one document in a point, through the same fold as a restore.
func (s *session) get(ctx context.Context, point *archive.Point, o one) (*found, error) {
	key, err := o.key(point.Definition)
	if err != nil {
		return nil, err
	}
	base, _, err := s.findSource(ctx, point)
	if err != nil {
		return nil, err
	}
	var v *found
	err = s.withBase(base, func(base *archive.Manifest) error {
		v, err = s.getFrom(ctx, point, base, key)
		return err
	})
	return v, err
}

func (s *session) getFrom(ctx context.Context, point *archive.Point, base *archive.Manifest, key archive.Key) (*found, error) {
	limits := s.env.Config.Restorer
	it, err := replay.Open(ctx, replay.Options{
		Changes: s.changes, Point: *point, Rules: s.rules, Base: base, From: &key, To: &key,
		Memory: int64(limits.Memory), Spill: limits.Spill,
	})
	if err != nil {
		return nil, err
	}
	row, err := it.Next()
	var v *found
	switch {
	case errors.Is(err, io.EOF):
		err = service.Differ(fmt.Errorf("no document %q with partition key %s stood in %s at point %s (%s)",
			key.ID, key.PartitionKey, s.container.Name(), point.Name, s.rules.String()))
	case err == nil:
		v = &found{Point: point.Name}
		v.Version, err = versionOf(row, withDocument)
	}
	return v, errors.Join(err, it.Close())
}

// detail says how much of a row a Version holds.
type detail uint8

const (
	withoutDocument detail = iota
	withDocument
)

func versionOf(row *archive.Row, detail detail) (Version, error) {
	v := Version{
		PartitionKey: string(row.PartitionKey), ID: string(row.ID), Op: row.Op, Time: microTime(row.TS),
		Generation: row.Generation, LSN: row.Order.LSN, Ordinal: row.Order.Ordinal, ETag: string(row.ETag),
		Incarnation: string(row.Incarnation), TopicPartition: row.TopicPartition, Offset: row.Offset, epk: string(row.EPK),
	}
	if row.Document == nil {
		return v, nil
	}
	body, err := schemas.AppendWithoutSystem(nil, row.Document)
	if err != nil {
		return v, fmt.Errorf("document %s %q: %w", row.PartitionKey, row.ID, err)
	}
	v.Size = len(body)
	if detail == withDocument {
		text := string(body)
		v.Document = &text
	}
	return v, nil
}

// History is all versions of one document that the archive holds.
type History struct {
	Container  string     `json:"container"`
	Total      int64      `json:"total"`       // rows, repeats of one change included
	Versions   []Version  `json:"versions"`    // the newest ones by (generation, lsn, ordinal), oldest first
	CompleteTo *time.Time `json:"complete_to"` // the newest exact point's: later changes may not be archived yet; null: no point is exact
}

// history reads the newest last versions of a document.
func (s *session) history(ctx context.Context, o one, last int, detail detail) (*History, error) {
	control, err := archive.LoadControl(ctx, s.changes, s.container.Name())
	if err != nil {
		return nil, fmt.Errorf("load timeline of %s: %w", s.container.Name(), err)
	}
	definition, err := definitionFor(control, o.PartitionKey)
	if err != nil {
		return nil, err
	}
	key, err := o.key(definition)
	if err != nil {
		return nil, err
	}
	rows, err := replay.History(ctx, s.changes, s.container.Name(), key)
	if err != nil {
		return nil, err
	}
	h := &History{Container: s.container.Name(), Versions: []Version{}}
	err = errors.Join(h.read(rows, &s.rules, last, detail), rows.Close())
	if err != nil {
		return nil, err
	}
	if h.Total == 0 {
		return nil, service.Differ(fmt.Errorf("the archive of %s holds nothing of a document %q with partition key %s", h.Container, key.ID, key.PartitionKey))
	}
	timeline := archive.Fold(control, s.rules)
	h.locate(timeline)
	if newest, ok := timeline.NewestExact(); ok {
		h.CompleteTo = &newest.CompleteTo
	}
	return h, nil
}

// definitionFor is the newest definition in the archive; without one the key is taken to be of as many levels as it has.
func definitionFor(control *archive.Control, key string) ([]byte, error) {
	if n := len(control.Definitions); n > 0 {
		newest := slices.MaxFunc(control.Definitions, func(a, b archive.DefinitionRow) int { return a.Observed.Compare(b.Observed) })
		return newest.Resource, nil
	}
	var levels []json.RawMessage
	if err := json.Unmarshal([]byte(key), &levels); err != nil || len(levels) == 0 {
		_, _, err := schemas.KeyDefinition{}.ParsePartitionKey([]byte(key))
		if err == nil { // no level at all
			err = fmt.Errorf("parse partition key %s: it has no value", key)
		}
		return nil, usage("--partition-key: %w", err)
	}
	paths := bytes.Repeat([]byte(`"/k",`), len(levels))
	return fmt.Appendf(nil, `{"partitionKey":{"paths":[%s],"kind":"MultiHash","version":2}}`, paths[:len(paths)-1]), nil
}

func (h *History) read(rows *replay.Versions, rules *archive.Rules, last int, detail detail) error {
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		v, err := versionOf(row, detail)
		if err == nil && row.Document != nil {
			v.SoftDeleted, err = rules.Deleted(row.Document)
		}
		if err != nil {
			return err
		}
		h.Total++
		if len(h.Versions) == last {
			h.Versions = slices.Delete(h.Versions, 0, 1)
		}
		h.Versions = append(h.Versions, v)
	}
}

// locate tells in which points each version is the newest. It is orientation; `get` is the proof.
func (h *History) locate(timeline *archive.Timeline) {
	for p := range timeline.All() {
		cut, ok := p.CutOf(h.Versions[0].epk)
		if !ok {
			continue
		}
		after := sort.Search(len(h.Versions), func(i int) bool {
			v := &h.Versions[i]
			return v.Generation > cut.Generation || v.Generation == cut.Generation && v.LSN > cut.LSN
		})
		for i := after - 1; i >= 0 && h.Versions[i].Generation == cut.Generation; i-- {
			v := &h.Versions[i]
			offset, ok := p.Offsets[v.TopicPartition]
			if !ok || v.Offset > offset || v.Incarnation != p.Incarnation {
				continue
			}
			if v.Points == nil {
				v.Points = &PointSpan{First: p.Name}
			}
			v.Points.Last = p.Name
			v.Points.Count++
			break
		}
	}
}

func (h *History) write(w io.Writer) error {
	rows := [][]string{{"TIME", "OP", "GENERATION", "LSN", "PARTITION", "OFFSET", "SIZE", "NEWEST IN POINTS"}}
	for i := range h.Versions {
		v := &h.Versions[i]
		op, points, size := string(v.Op), "-", sized(int64(v.Size))
		if v.SoftDeleted {
			op += ", deleted softly"
		}
		if v.Points != nil {
			points = fmt.Sprintf("%s: %s to %s", grouped(v.Points.Count), v.Points.First, v.Points.Last)
		}
		if v.Op.Deletion() {
			size = "-"
		}
		lsn := v.LSN.String()
		if v.Ordinal != 0 {
			lsn = schemas.Order{LSN: v.LSN, Ordinal: v.Ordinal}.String()
		}
		rows = append(rows, []string{
			v.Time.Format(time.RFC3339), op, v.Generation.String(), lsn,
			strconv.Itoa(int(v.TopicPartition)), strconv.FormatInt(v.Offset, 10), size, points,
		})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	if older := h.Total - int64(len(h.Versions)); older > 0 {
		if _, err := fmt.Fprintf(w, "and %s older; --last shows more\n", grouped(older)); err != nil {
			return err
		}
	}
	if h.CompleteTo == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, "complete to %s: what was written later may not be archived yet\n", timeText(*h.CompleteTo))
	return err
}
