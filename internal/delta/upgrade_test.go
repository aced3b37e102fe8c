package delta

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
)

// putVersion writes a version as another program would.
func putVersion(t *testing.T, store blob.Store, version int64, lines ...string) {
	t.Helper()
	if _, err := store.Put(t.Context(), commitName(version), strings.NewReader(strings.Join(lines, "\n")), blob.IfAbsent()); err != nil {
		t.Fatal(err)
	}
}

// TestUpgradeIsRefusedAndItsUndoingIsNot: what counts is the newest protocol, whatever stood between.
func TestUpgradeIsRefusedAndItsUndoingIsNot(t *testing.T) {
	for _, test := range []struct{ name, protocol, want string }{
		{"features", `{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["invariants","deletionVectors","appendOnly"]}`, `table features ["deletionVectors"] since version 1`},
		{"writer feature", `{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["invariants","changeDataFeed"]}`, `table features ["changeDataFeed"]`},
		{"versions", `{"minReaderVersion":2,"minWriterVersion":5}`, "minReaderVersion 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := mem.New()
			first := mustCommit(t, store, nil, addTo("a"), Options{})
			putVersion(t, store, 1, `{"protocol":`+test.protocol+`}`)
			_, loadErr := Load(t.Context(), store, Options{})
			_, refreshErr := first.Refresh(t.Context())
			_, commitErr := Commit(t.Context(), store, first, addTo("b"), Options{})
			for how, err := range map[string]error{"load": loadErr, "refresh": refreshErr, "commit": commitErr} {
				var unsupported *UnsupportedError
				if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "TO VERSION AS OF 0") {
					t.Errorf("%s: got %v want %s and how to undo it", how, err, test.want)
				}
			}
			putVersion(t, store, 2, `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`)
			for how, load := range map[string]func() (*Snapshot, error){
				"load":    func() (*Snapshot, error) { return Load(t.Context(), store, Options{}) },
				"refresh": func() (*Snapshot, error) { return first.Refresh(t.Context()) },
			} {
				s, err := load()
				if err != nil || s.Version != 2 || len(s.Files) != 1 || s.Protocol != first.Protocol {
					t.Errorf("%s after it was undone: got %+v, %v want version 2 with one file", how, s, err)
				}
			}
			if _, err := LoadAt(t.Context(), store, 1, Options{}); err == nil {
				t.Error("load the version between: got no error want a refusal")
			}
		})
	}
}

// TestFileThatGetsAndLosesADeletionVector is removed and added under one path, in any order of the actions.
func TestFileThatGetsAndLosesADeletionVector(t *testing.T) {
	store := mem.New()
	first := mustCommit(t, store, nil, addTo("a"), Options{})
	vector := `,"deletionVector":{"storageType":"u","pathOrInlineDv":"x","offset":1,"sizeInBytes":36,"cardinality":2}`
	add := func(more string) string {
		return fmt.Sprintf(`{"add":{"path":"a","partitionValues":{"day":"2026-11-20"},"size":10,"modificationTime":1795000000000,"dataChange":true%s}}`, more)
	}
	remove := func(more string) string {
		return fmt.Sprintf(`{"remove":{"path":"a","deletionTimestamp":1795000000000,"dataChange":true%s}}`, more)
	}
	putVersion(t, store, 1, `{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}`, add(vector), remove(""))
	putVersion(t, store, 2, `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`, add(""), remove(vector))
	s, err := first.Refresh(t.Context())
	if err != nil || len(s.Files) != 1 || s.Files[0].Path != "a" {
		t.Errorf("got %+v, %v want the file a", s, err)
	}
}

// TestForeignCommitInfo: what a commit says of itself has any form, and nothing depends on it.
func TestForeignCommitInfo(t *testing.T) {
	store := mem.New()
	first := mustCommit(t, store, nil, addTo("a"), Options{})
	putVersion(t, store, 1, `{"commitInfo":{"timestamp":1795000000000,"operation":"OPTIMIZE","operationParameters":{"predicate":"[]","auto":false,"n":1},"operationMetrics":{"numAddedFiles":"1"},"isBlindAppend":false}}`)
	if s, err := first.Refresh(t.Context()); err != nil || s.Version != 1 {
		t.Errorf("got %+v, %v want version 1", s, err)
	}
}
