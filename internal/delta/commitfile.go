package delta

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob"
)

// maxCommit bounds one version's JSON. Foreign programs that rewrite a whole table write large ones.
const maxCommit = 256 << 20

// commitFile is one version as it stands in the log.
type commitFile struct {
	lines []wireLine
	info  blob.Info
}

func readCommit(ctx context.Context, store blob.Store, version int64) (commitFile, error) {
	data, info, err := blob.ReadAll(ctx, store, commitName(version), maxCommit)
	if err != nil {
		return commitFile{}, fmt.Errorf("read version %d: %w", version, err)
	}
	lines, err := parseCommit(data)
	if err != nil {
		return commitFile{}, fmt.Errorf("parse version %d (%s): %w", version, commitName(version), err)
	}
	return commitFile{lines: lines, info: info}, nil
}

func parseCommit(data []byte) ([]wireLine, error) {
	var lines []wireLine
	for raw := range bytes.SplitSeq(data, []byte("\n")) {
		if len(bytes.TrimSpace(raw)) == 0 {
			continue
		}
		var line wireLine
		if err := json.Unmarshal(raw, &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(lines)+1, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// txnID tells whose commit it is; empty when its writer gave none.
func (c commitFile) txnID() string {
	for _, line := range c.lines {
		if line.CommitInfo != nil {
			return line.CommitInfo.TxnID
		}
	}
	return ""
}

// encodeCommit writes a version's JSON: one action a line, the commit info first.
func encodeCommit(a Actions, id, engine string, now time.Time) ([]byte, error) {
	info := wireCommitInfo{
		Timestamp: millis(now), Operation: a.Info.Operation, Parameters: make(map[string]any, len(a.Info.Parameters)), EngineInfo: engine, TxnID: id,
	}
	for name, value := range a.Info.Parameters {
		info.Parameters[name] = value
	}
	if info.Operation == "" {
		info.Operation = "WRITE"
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, line := range append([]wireLine{{CommitInfo: &info}}, a.lines()...) {
		if err := encoder.Encode(line); err != nil {
			return nil, fmt.Errorf("encode commit: %w", err)
		}
	}
	return out.Bytes(), nil
}

func (a Actions) lines() []wireLine {
	lines := make([]wireLine, 0, 2+len(a.Txns)+len(a.Removes)+len(a.Adds))
	if a.Protocol != nil {
		lines = append(lines, wireLine{Protocol: a.Protocol.wire()})
	}
	if a.Metadata != nil {
		lines = append(lines, wireLine{MetaData: a.Metadata.wire()})
	}
	for _, t := range a.Txns {
		lines = append(lines, wireLine{Txn: t.wire()})
	}
	for _, r := range a.Removes {
		lines = append(lines, wireLine{Remove: r.wire()})
	}
	for _, add := range a.Adds {
		lines = append(lines, wireLine{Add: add.wire()})
	}
	return lines
}
