package real_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

const (
	manyCommits = 10_000
	perHour     = 240 // at the default cadence, a flush every 15 s
	mayTake     = 500 * time.Millisecond
)

// TestManyCommitsOpenFast: a table of 10,000 commits, with our checkpoints, opens at once in other people's readers; as it
// is flushed, and with every full hour compacted.
func TestManyCommitsOpenFast(t *testing.T) {
	onRequest(t)
	for _, test := range []struct {
		name  string
		hours bool
	}{{"as flushed", false}, {"hours compacted", true}} {
		t.Run(test.name, func(t *testing.T) {
			path := t.TempDir()
			began := time.Now()
			s := commitOften(t, path, test.hours)
			t.Logf("%d commits in %v, %d live files", s.Version+1, time.Since(began).Round(time.Second), len(s.Files))
			began = time.Now()
			if _, err := delta.Load(t.Context(), openFolder(t, path), delta.Options{}); err != nil {
				t.Fatal(err)
			}
			t.Logf("internal/delta loads it in %v", time.Since(began).Round(time.Millisecond))
			for _, r := range azureReaders() {
				best := time.Hour
				for range 3 { // on a machine that does other things too
					best = min(best, r.ask(folder(t, path), "open", nil, nil))
				}
				if best > mayTake {
					t.Errorf("%s: opened in %v want at most %v", r.name, best.Round(time.Millisecond), mayTake)
				}
				var rows int64
				took := r.ask(folder(t, path), "count", request{"where": "lsn >= 0"}, &rows)
				if rows != manyCommits {
					t.Errorf("%s: got %d rows want %d", r.name, rows, manyCommits)
				}
				t.Logf("%s opens it in %v, counts its rows in %v", r.name, best.Round(time.Millisecond), took.Round(time.Millisecond))
			}
		})
	}
}

// commitOften makes the log of two days: every commit one row in one file.
func commitOften(t *testing.T, path string, hours bool) *delta.Snapshot {
	t.Helper()
	ctx := within(t, 10*time.Minute)
	store := unsynced{openFolder(t, path), path}
	uuid := schemas.NewUUID()
	metadata, err := archive.ChangesMetadata(topicName, uuid)
	if err != nil {
		t.Fatal(err)
	}
	w := &changesWriter{t: t, ctx: ctx, store: store}
	row := func(i int) archive.Row {
		return archive.Row{
			PartitionKey: fmt.Appendf(nil, `["%d"]`, i), ID: fmt.Appendf(nil, "%d", i), Op: schemas.OpUpserted, TS: time.Now().UnixMicro(),
			Order: schemas.Order{LSN: schemas.LSN(i)}, EPK: []byte("05"), Topic: []byte(uuid.String()), Offset: int64(i), PublishedAt: time.Now().UnixMicro(),
		}
	}
	var s *delta.Snapshot
	var rows []archive.Row
	var hour []delta.Add
	commit := func(actions delta.Actions) {
		if s, err = delta.Commit(ctx, store, s, func(_ context.Context, below *delta.Snapshot) (delta.Actions, error) {
			if below.Version < 0 {
				actions.Metadata = metadata
			}
			return actions, nil
		}, delta.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range manyCommits {
		name, partition := archive.ChangeFile("shop.products", time.Now(), schemas.NewUUID())
		rows = append(rows, row(i))
		add := w.upload(name, partition, rows[i:i+1:i+1], schemas.ChangeColumns())
		hour = append(hour, add)
		commit(delta.Actions{Adds: []delta.Add{add}, Txns: []delta.Txn{{AppID: schemas.TxnAppID(uuid, 0), Version: int64(i)}}})
		if !hours || len(hour) < perHour {
			continue
		}
		name, _ = archive.ChangeFile("shop.products", time.Now(), schemas.NewUUID())
		merged := w.upload(name, partition, append([]archive.Row(nil), rows[i+1-len(hour):]...), schemas.ChangeColumns())
		merged.DataChange = false
		actions := delta.Actions{Adds: []delta.Add{merged}}
		for _, old := range hour {
			remove := delta.RemoveOf(old)
			remove.DataChange = false
			actions.Removes = append(actions.Removes, remove)
		}
		commit(actions)
		hour = hour[:0]
	}
	return s
}

// unsynced is a folder without fsync, which would make this test minutes longer and proves nothing here.
type unsynced struct {
	*dir.Store

	root string
}

func (u unsynced) Put(ctx context.Context, name string, body io.Reader, cond blob.Condition) (blob.Info, error) {
	if !cond.Absent() {
		return u.Store.Put(ctx, name, body, cond)
	}
	var data bytes.Buffer
	if _, err := data.ReadFrom(body); err != nil {
		return blob.Info{}, err
	}
	path := filepath.Join(u.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return blob.Info{}, err
	}
	if _, err := os.Stat(path); err == nil {
		return blob.Info{}, blob.ErrCondition
	}
	if err := os.WriteFile(path, data.Bytes(), 0o644); err != nil {
		return blob.Info{}, err
	}
	return blob.Stat(ctx, u.Store, name)
}
