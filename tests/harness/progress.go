package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Progress follows the log of a topic's table: how far the archive has come.
type Progress struct {
	Commits int
	Files   int
	Bytes   int64            // of Parquet
	Rows    map[string]int64 // by container
	Last    map[int32]int64  // archived offset by topic partition

	read func(ctx context.Context, name string) ([]byte, error)
	log  string // folder of the table's log in the archive
}

// Progress begins to follow a topic.
func (s *Stack) Progress(topic string) *Progress {
	return &Progress{
		read: s.Read, log: topic + "/changes/_delta_log/", Rows: map[string]int64{}, Last: map[int32]int64{},
	}
}

// Refresh reads the commits that came since.
func (p *Progress) Refresh(ctx context.Context) error {
	for {
		text, err := p.read(ctx, fmt.Sprintf("%s%020d.json", p.log, p.Commits))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow archive: %w", err)
		}
		for line := range bytes.Lines(text) {
			if err := p.action(line); err != nil {
				return fmt.Errorf("follow archive: commit %d: %w", p.Commits, err)
			}
		}
		p.Commits++
	}
}

func (p *Progress) action(line []byte) error {
	var a struct {
		Add *struct {
			Size            int64
			Stats           string
			PartitionValues map[string]string
		}
		Txn *struct {
			AppID   string
			Version int64
		}
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return err
	}
	if a.Add != nil {
		var stats struct{ NumRecords int64 }
		if err := json.Unmarshal([]byte(a.Add.Stats), &stats); err != nil {
			return err
		}
		p.Files++
		p.Bytes += a.Add.Size
		p.Rows[a.Add.PartitionValues["container"]] += stats.NumRecords
	}
	if a.Txn != nil {
		if partition, err := strconv.Atoi(a.Txn.AppID[strings.LastIndexByte(a.Txn.AppID, '-')+1:]); err == nil {
			p.Last[int32(partition)] = a.Txn.Version
		}
	}
	return nil
}

// Missing is what stands between the archive and the ends of the topic, empty when nothing does.
func (p *Progress) Missing(ends map[int32]int64) string {
	var missing []string
	for partition, end := range ends {
		last, ok := p.Last[partition]
		if !ok {
			last = -1
		}
		if last < end-1 {
			missing = append(missing, fmt.Sprintf("partition %d stands at %d of %d", partition, last, end-1))
		}
	}
	return strings.Join(missing, ", ")
}
