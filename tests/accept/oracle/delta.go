package oracle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Table is a Delta table in a folder: every version of its log from 0 on, and what is active at the newest.
type Table struct {
	Dir     string
	Commits []Commit // index is the version
	Active  map[string]Add
	Txns    map[string]int64
	Reader  int
	Writer  int
	Columns []string
	Keys    []string // partition columns
	// Checkpoints are the versions that have one.
	Checkpoints []int64
}

// Commit is one version of the log.
type Commit struct {
	Adds    []Add
	Removes []string
	Txns    map[string]int64
}

// Add is an active file.
type Add struct {
	Path      string            `json:"path"`
	Partition map[string]string `json:"partitionValues"`
	Size      int64             `json:"size"`
	Stats     string            `json:"stats"`
}

type action struct {
	Add    *Add                   `json:"add"`
	Remove *struct{ Path string } `json:"remove"`
	Txn    *struct {
		AppID   string
		Version int64
	} `json:"txn"`
	Protocol *struct {
		MinReaderVersion int
		MinWriterVersion int
		ReaderFeatures   []string
		WriterFeatures   []string
	} `json:"protocol"`
	MetaData *struct {
		SchemaString     string
		PartitionColumns []string
	} `json:"metaData"`
}

var commitName = regexp.MustCompile(`^(\d{20})\.json$`)

// ReadTable replays the log and compares every checkpoint in it with the replay.
func ReadTable(dir string, report *Report) (*Table, error) {
	t := &Table{Dir: dir, Active: map[string]Add{}, Txns: map[string]int64{}}
	logDir := filepath.Join(dir, "_delta_log")
	entries, err := os.ReadDir(logDir)
	if err != nil {
		return nil, fmt.Errorf("list delta log: %w", err)
	}
	checkpoints := map[int64][]string{}
	for _, e := range entries { // ReadDir sorts by name, and so by version
		name := e.Name()
		if m := commitName.FindStringSubmatch(name); m != nil {
			version, _ := strconv.ParseInt(m[1], 10, 64)
			if version != int64(len(t.Commits)) {
				return nil, fmt.Errorf("delta log %s: version %d stands where %d must", dir, version, len(t.Commits))
			}
			if err := t.replay(filepath.Join(logDir, name), report); err != nil {
				return nil, err
			}
			continue
		}
		if before, _, ok := strings.Cut(name, ".checkpoint."); ok && strings.HasSuffix(name, ".parquet") {
			version, err := strconv.ParseInt(before, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("delta log %s: name %s: %w", dir, name, err)
			}
			checkpoints[version] = append(checkpoints[version], filepath.Join(logDir, name))
		}
	}
	t.Checkpoints = slices.Sorted(maps.Keys(checkpoints))
	for _, version := range t.Checkpoints {
		if err := t.compareCheckpoint(version, checkpoints[version], report); err != nil {
			return nil, err
		}
	}
	if t.Reader != 1 || t.Writer != 2 {
		report.Add("delta", "%s: protocol is reader %d, writer %d; want 1 and 2", dir, t.Reader, t.Writer)
	}
	return t, nil
}

func (t *Table) replay(path string, report *Report) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read commit: %w", err)
	}
	c := Commit{Txns: map[string]int64{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<28)
	for lines.Scan() {
		var a action
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return fmt.Errorf("read commit %s: %w", path, err)
		}
		if err := t.apply(&c, &a, report); err != nil {
			return fmt.Errorf("read commit %s: %w", path, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read commit %s: %w", path, err)
	}
	t.Commits = append(t.Commits, c)
	return nil
}

func (t *Table) apply(c *Commit, a *action, report *Report) error {
	version := len(t.Commits)
	switch {
	case a.Add != nil:
		name, err := url.PathUnescape(a.Add.Path)
		if err != nil {
			return fmt.Errorf("path %q: %w", a.Add.Path, err)
		}
		if _, twice := t.Active[name]; twice {
			report.Add("delta", "%s: version %d adds %s, which is active already", t.Dir, version, name)
		}
		a.Add.Path = name
		t.Active[name] = *a.Add
		c.Adds = append(c.Adds, *a.Add)
	case a.Remove != nil:
		name, err := url.PathUnescape(a.Remove.Path)
		if err != nil {
			return fmt.Errorf("path %q: %w", a.Remove.Path, err)
		}
		if _, ok := t.Active[name]; !ok {
			report.Add("delta", "%s: version %d removes %s, which is not active", t.Dir, version, name)
		}
		delete(t.Active, name)
		c.Removes = append(c.Removes, name)
	case a.Txn != nil:
		if have, ok := t.Txns[a.Txn.AppID]; ok && have >= a.Txn.Version {
			report.Add("delta", "%s: version %d sets txn %s from %d to %d", t.Dir, version, a.Txn.AppID, have, a.Txn.Version)
		}
		t.Txns[a.Txn.AppID] = a.Txn.Version
		c.Txns[a.Txn.AppID] = a.Txn.Version
	case a.Protocol != nil:
		t.Reader, t.Writer = a.Protocol.MinReaderVersion, a.Protocol.MinWriterVersion
		if len(a.Protocol.ReaderFeatures)+len(a.Protocol.WriterFeatures) > 0 {
			report.Add("delta", "%s: version %d asks for table features", t.Dir, version)
		}
	case a.MetaData != nil:
		var schema struct{ Fields []struct{ Name string } }
		if err := json.Unmarshal([]byte(a.MetaData.SchemaString), &schema); err != nil {
			return fmt.Errorf("schema: %w", err)
		}
		t.Columns = nil
		for _, f := range schema.Fields {
			t.Columns = append(t.Columns, f.Name)
		}
		t.Keys = a.MetaData.PartitionColumns
	}
	return nil
}

// checkpointRow is the part of a checkpoint that must agree with the log.
type checkpointRow struct {
	Add *struct {
		Path string `parquet:"path,optional"`
		Size int64  `parquet:"size,optional"`
	} `parquet:"add,optional"`
	Txn *struct {
		AppID   string `parquet:"appId,optional"`
		Version int64  `parquet:"version,optional"`
	} `parquet:"txn,optional"`
}

func (t *Table) compareCheckpoint(version int64, parts []string, report *Report) error {
	if version >= int64(len(t.Commits)) {
		report.Add("delta", "%s: a checkpoint of version %d stands in a log that ends at %d", t.Dir, version, len(t.Commits)-1)
		return nil
	}
	active, txns := map[string]int64{}, map[string]int64{}
	for _, part := range parts {
		rows, err := parquet.ReadFile[checkpointRow](part)
		if err != nil {
			return fmt.Errorf("read checkpoint %s: %w", part, err)
		}
		for _, row := range rows {
			if row.Add != nil && row.Add.Path != "" {
				name, err := url.PathUnescape(row.Add.Path)
				if err != nil {
					return fmt.Errorf("read checkpoint %s: path %q: %w", part, row.Add.Path, err)
				}
				active[name] = row.Add.Size
			}
			if row.Txn != nil && row.Txn.AppID != "" {
				txns[row.Txn.AppID] = row.Txn.Version
			}
		}
	}
	wantActive, wantTxns := map[string]int64{}, map[string]int64{}
	for _, c := range t.Commits[:version+1] {
		for _, name := range c.Removes {
			delete(wantActive, name)
		}
		for _, a := range c.Adds {
			wantActive[a.Path] = a.Size
		}
		maps.Copy(wantTxns, c.Txns)
	}
	if !maps.Equal(active, wantActive) {
		report.Add("delta", "%s: the checkpoint of version %d has %d files, the log has %d, or they differ in name or size",
			t.Dir, version, len(active), len(wantActive))
	}
	if !maps.Equal(txns, wantTxns) {
		report.Add("delta", "%s: the checkpoint of version %d has txns %v, the log has %v", t.Dir, version, txns, wantTxns)
	}
	return nil
}

// CheckFiles compares the active files with those on disk.
func (t *Table) CheckFiles(report *Report) {
	for _, name := range slices.Sorted(maps.Keys(t.Active)) {
		info, err := os.Stat(filepath.Join(t.Dir, filepath.FromSlash(name)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			report.Add("delta", "%s: active file %s is not there", t.Dir, name)
		case err != nil:
			report.Add("delta", "%s: active file %s: %v", t.Dir, name, err)
		case info.Size() != t.Active[name].Size:
			report.Add("delta", "%s: active file %s has %d bytes, the log says %d", t.Dir, name, info.Size(), t.Active[name].Size)
		}
	}
}
