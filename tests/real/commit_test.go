package real_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob/azure"
	"github.com/cosmos-almanac/almanac/internal/delta"
	"github.com/cosmos-almanac/almanac/schemas"
)

const (
	committers = 8
	partitions = 3
	lastRecord = 30 // of each partition
)

// TestCommitsOverALossyNetwork races writers who each try to commit the next record of a partition, by compare-and-set upon
// the version just below (INV-3). Every record is in one version, whatever was lost, and foreign readers see the same.
func TestCommitsOverALossyNetwork(t *testing.T) {
	onRequest(t)
	ctx := within(t, 3*time.Minute)
	name := newContainer(t)
	p := newProxy(t, at(t, "").server())
	p.randomly(*seed, 0.02)
	metadata := &delta.Metadata{
		ID: schemas.NewUUID().String(), Schema: json.RawMessage(`{"type":"struct","fields":[{"name":"id","type":"string","nullable":true,"metadata":{}}]}`),
	}
	var writers sync.WaitGroup
	for i := range committers {
		s := at(t, p.URL).store(t, name+"/t", azure.Options{RetryDelay: 2 * time.Millisecond})
		writers.Go(func() {
			for turn := i; ; turn++ {
				done, err := commitNext(ctx, s, metadata, fmt.Sprint("partition-", turn%partitions), i)
				if done == partitions*(lastRecord+1) {
					return
				}
				var uncertain *delta.UncertainError
				if err != nil && !errors.As(err, &uncertain) && !isNetwork(err) {
					t.Errorf("writer %d: %v", i, err)
					return
				}
			}
		})
	}
	writers.Wait()
	p.on(nil)
	s, err := delta.Load(ctx, at(t, "").store(t, name+"/t", azure.Options{}), delta.Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, add := range s.Files {
		seen[add.Tags["record"]]++
	}
	for partition := range partitions {
		for record := range lastRecord + 1 {
			if n := seen[fmt.Sprintf("partition-%d/%d", partition, record)]; n != 1 {
				t.Errorf("record %d of partition %d: got it %d times want once", record, partition, n)
			}
		}
	}
	var opened struct{ Version, Files int64 }
	azureReaders()[0].ask(emulatedPlace(t, name+"/t"), "open", nil, &opened)
	if opened.Version != s.Version || opened.Files != int64(len(s.Files)) {
		t.Errorf("delta-rs: got %+v want version %d with %d files", opened, s.Version, len(s.Files))
	}
	t.Logf("%d versions; requests by fate: %v", s.Version+1, p.met)
}

// isNetwork says whether the way to the store failed, so that the writer tries again.
func isNetwork(err error) bool {
	var answered *azure.ServiceError
	var broke net.Error
	return errors.As(err, &answered) && answered.Status >= 500 || errors.As(err, &broke) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// commitNext commits a partition's next record and answers how many are there.
func commitNext(ctx context.Context, s *azure.Store, metadata *delta.Metadata, partition string, writer int) (done int64, err error) {
	_, err = delta.Commit(ctx, s, nil, func(_ context.Context, below *delta.Snapshot) (delta.Actions, error) {
		done = 0
		for _, last := range below.Txns {
			done += last + 1
		}
		next := int64(0)
		if last, ok := below.Txns[partition]; ok {
			next = last + 1
		}
		if next > lastRecord {
			return delta.Actions{}, delta.ErrNothing
		}
		actions := delta.Actions{
			Txns: []delta.Txn{{AppID: partition, Version: next}},
			Adds: []delta.Add{{
				Path: fmt.Sprintf("%d-%s-%d-%d.parquet", writer, partition, next, below.Version), Size: 1, Modified: time.Now(), DataChange: true,
				Tags: map[string]string{"record": fmt.Sprintf("%s/%d", partition, next)},
			}},
		}
		if below.Version < 0 {
			actions.Metadata = metadata
		}
		return actions, nil
	}, delta.Options{CheckpointEvery: 10})
	if errors.Is(err, delta.ErrNothing) {
		err = nil
	}
	return done, err
}
