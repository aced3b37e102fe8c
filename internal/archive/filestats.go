package archive

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/cosmos-almanac/almanac/schemas"
)

// FileStats is what a file holds, as its writer saw it.
type FileStats struct {
	Bytes       int64 // of the file
	Raw         int64 // of its rows (Row.Size)
	Fingerprint Fingerprint

	columns       Columns
	minTS, maxTS  int64
	minLSN        schemas.LSN
	maxLSN        schemas.LSN
	minGeneration schemas.Generation
	maxGeneration schemas.Generation
	minOffset     int64
	maxOffset     int64
	minKey        []byte
	maxKey        []byte
	minID, maxID  []byte
	nullTTL       int64
	nullDocument  int64
}

// Rows is the number of rows.
func (s *FileStats) Rows() int64 { return s.Fingerprint.Rows }

// Keys are the least and the greatest partition key.
func (s *FileStats) Keys() (least, greatest []byte) { return s.minKey, s.maxKey }

func (s *FileStats) add(r *Row) {
	if s.Fingerprint.Rows == 0 {
		s.minTS, s.maxTS = r.TS, r.TS
		s.minLSN, s.maxLSN = r.Order.LSN, r.Order.LSN
		s.minGeneration, s.maxGeneration = r.Generation, r.Generation
		s.minOffset, s.maxOffset = r.Offset, r.Offset
		s.minKey = append(s.minKey, r.PartitionKey...) // rows come sorted
		s.minID = append(s.minID, r.ID...)
		s.maxID = append(s.maxID, r.ID...)
	}
	s.minTS, s.maxTS = min(s.minTS, r.TS), max(s.maxTS, r.TS)
	s.minLSN, s.maxLSN = min(s.minLSN, r.Order.LSN), max(s.maxLSN, r.Order.LSN)
	s.minGeneration, s.maxGeneration = min(s.minGeneration, r.Generation), max(s.maxGeneration, r.Generation)
	s.minOffset, s.maxOffset = min(s.minOffset, r.Offset), max(s.maxOffset, r.Offset)
	s.maxKey = append(s.maxKey[:0], r.PartitionKey...)
	if string(r.ID) < string(s.minID) {
		s.minID = append(s.minID[:0], r.ID...)
	}
	if string(r.ID) > string(s.maxID) {
		s.maxID = append(s.maxID[:0], r.ID...)
	}
	if !r.TTL.Set {
		s.nullTTL++
	}
	if r.Document == nil {
		s.nullDocument++
	}
	s.Raw += r.Size()
	s.Fingerprint.Add(r, s.columns)
}

// Delta is the file's statistics as a Delta log holds them: bounds of the columns that queries select by. Text is cut
// soundly, so that the bounds stay bounds.
func (s *FileStats) Delta() (json.RawMessage, error) {
	least, greatest, nulls := map[string]any{}, map[string]any{}, map[string]int64{}
	bound := func(f field, lo, hi any) {
		if s.columns.has(f) {
			least[f.name()], greatest[f.name()], nulls[f.name()] = lo, hi, 0
		}
	}
	if s.Rows() > 0 {
		bound(fieldTS, deltaTime(s.minTS), deltaTime(ceilMilli(s.maxTS)))
		bound(fieldLSN, s.minLSN, s.maxLSN)
		bound(fieldGeneration, s.minGeneration, s.maxGeneration)
		bound(fieldOffset, s.minOffset, s.maxOffset)
		boundText(s, bound, fieldPartitionKey, s.minKey, s.maxKey)
		boundText(s, bound, fieldID, s.minID, s.maxID)
	}
	for f, n := range map[field]int64{fieldTTL: s.nullTTL, fieldDocument: s.nullDocument} {
		if s.columns.has(f) {
			nulls[f.name()] = n
		}
	}
	return json.Marshal(map[string]any{"numRecords": s.Rows(), "minValues": least, "maxValues": greatest, "nullCount": nulls})
}

func boundText(s *FileStats, bound func(field, any, any), f field, least, greatest []byte) {
	if hi, ok := upperBound(greatest); ok {
		bound(f, lowerBound(least), hi)
	}
}

// statText is the number of bytes that a bound keeps of a text.
const statText = 64

// lowerBound is a prefix: it sorts at or before the text.
func lowerBound(text []byte) string { return string(cutText(text)) }

// upperBound is a prefix and the greatest character, so it sorts after the text; ok is false where the text goes on with
// that very character.
func upperBound(text []byte) (string, bool) {
	prefix := cutText(text)
	if len(prefix) == len(text) {
		return string(text), true
	}
	if r, _ := utf8.DecodeRune(text[len(prefix):]); r == utf8.MaxRune {
		return "", false
	}
	return string(utf8.AppendRune(prefix[:len(prefix):len(prefix)], utf8.MaxRune)), true
}

// cutText cuts at a character's beginning.
func cutText(text []byte) []byte {
	if len(text) <= statText {
		return text
	}
	n := statText
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// deltaTime is a timestamp in a log's statistics, which hold milliseconds; ceilMilli makes an upper bound of it.
func deltaTime(micro int64) string { return schemas.FormatTime(time.UnixMicro(micro)) }

func ceilMilli(micro int64) int64 {
	if rest := micro % 1000; rest > 0 {
		return micro + 1000 - rest
	}
	return micro
}
