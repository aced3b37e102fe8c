package real_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/internal/blob/azure"
	"github.com/cosmos-almanac/almanac/internal/blob/dir"
	"github.com/cosmos-almanac/almanac/schemas"
)

// place is where a table lies, as a foreign reader names it.
type place struct {
	t       *testing.T
	table   string
	options map[string]any
}

// reader is a foreign one.
type reader struct {
	name   string
	worker func() (*worker, error)
}

func allReaders() []reader { return append(azureReaders(), polarsReader(), sparkReader()) }

// azureReaders read from Azure as they are.
func azureReaders() []reader {
	return []reader{{"delta-rs", components.readers}, {"DuckDB", components.readers}}
}

func polarsReader() reader { return reader{"Polars", components.readers} }
func sparkReader() reader  { return reader{"Spark", components.spark} }

func (r reader) ask(p place, do string, more request, result any) time.Duration {
	p.t.Helper()
	q := request{"do": do, "reader": r.name, "table": p.table, "options": p.options}
	for key, value := range more {
		q[key] = value
	}
	return must(p.t, r.worker).mustAsk(p.t, q, result)
}

// rows reads the whole table and compares it column by column with what must be in it.
func (r reader) rows(p place, want *table) {
	p.t.Helper()
	out := filepath.Join(p.t.TempDir(), "rows")
	var got struct {
		Schema [][2]string
		Rows   int
	}
	took := r.ask(p, "rows", request{"order": want.order, "out": out}, &got)
	var columns [][2]string
	for _, column := range want.columns {
		columns = append(columns, [2]string{column.Name, string(column.Type)})
	}
	bySchema := func(a, b [2]string) int { return strings.Compare(a[0], b[0]) }
	slices.SortFunc(columns, bySchema)
	slices.SortFunc(got.Schema, bySchema)
	if !reflect.DeepEqual(got.Schema, columns) {
		p.t.Errorf("columns: got %v want %v", got.Schema, columns)
	}
	compareRows(p.t, out, want)
	p.t.Logf("%s read %d rows in %v", r.name, got.Rows, took.Round(time.Millisecond))
}

func compareRows(t *testing.T, path string, want *table) {
	t.Helper()
	expected := make([]string, len(want.rows))
	for i, r := range want.rows {
		expected[i] = r.line(t)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var got []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r row
		decoder := json.NewDecoder(strings.NewReader(lines.Text()))
		decoder.UseNumber()
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		got = append(got, r.line(t))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(expected)
	if len(got) != len(expected) {
		t.Errorf("got %d rows want %d", len(got), len(expected))
	}
	different := 0
	for i := range min(len(got), len(expected)) {
		if got[i] != expected[i] {
			if different++; different <= 3 {
				t.Errorf("row %d: got %.600s want %.600s", i, got[i], expected[i])
			}
		}
	}
}

// folder is a table on this machine's disk.
func folder(t *testing.T, path string) place {
	return place{t: t, table: path, options: map[string]any{}}
}

// emulatedPlace is a table in Azurite.
func emulatedPlace(t *testing.T, name string) place {
	return at(t, "").place(t, name)
}

func (e emulated) place(t *testing.T, name string) place {
	return place{t: t, table: "az://" + name, options: map[string]any{
		"connection_string": e.connection, "emulator": e.server(),
		"storage": map[string]string{"account_name": e.account, "account_key": e.key, "endpoint": e.endpoint, "allow_http": "true"},
	}}
}

func TestForeignReadersReadAFolder(t *testing.T) {
	onRequest(t)
	root := t.TempDir()
	store := must(t, func() (*dir.Store, error) { return dir.New(root, dir.Options{}) })
	for _, written := range []struct {
		name string
		path string
		*table
	}{
		{"changes", schemas.ChangesPrefix(topicName), writeChanges(t, store, *seed)},
		{"state", schemas.StatePrefix(topicName, odd()[1], "aXkBAKqh5wo="), writeState(t, store, *seed)},
	} {
		for _, r := range allReaders() {
			t.Run(written.name+"/"+r.name, func(t *testing.T) {
				p := folder(t, filepath.Join(root, filepath.FromSlash(written.path)))
				r.rows(p, written.table)
				predicates(p, r, written.table)
			})
		}
		t.Run(written.name+"/log", func(t *testing.T) {
			checkLog(folder(t, filepath.Join(root, filepath.FromSlash(written.path))), written.table)
		})
	}
}

func TestForeignReadersReadAzure(t *testing.T) {
	onRequest(t)
	name := newContainer(t)
	store := at(t, "").store(t, name+"/an/archive", azure.Options{})
	for _, written := range []struct {
		name string
		path string
		*table
	}{
		{"changes", schemas.ChangesPrefix(topicName), writeChanges(t, store, *seed)},
		{"state", schemas.StatePrefix(topicName, odd()[1], "aXkBAKqh5wo="), writeState(t, store, *seed)},
	} {
		for _, r := range azureReaders() {
			t.Run(written.name+"/"+r.name, func(t *testing.T) {
				p := emulatedPlace(t, name+"/an/archive/"+strings.TrimSuffix(written.path, "/"))
				r.rows(p, written.table)
				predicates(p, r, written.table)
			})
		}
	}
}

// predicates ask for some rows, so that a bound in the statistics that lies would hide one.
func predicates(p place, r reader, in *table) {
	p.t.Helper()
	text := func(s any) string { return "'" + strings.ReplaceAll(fmt.Sprint(s), "'", "''") + "'" }
	moment := map[string]string{"delta-rs": "arrow_cast(%s, 'Timestamp(Microsecond, Some(\"UTC\"))')", "DuckDB": "TIMESTAMPTZ %s", "Spark": "TIMESTAMP %s"}[r.name]
	for i := 0; i < len(in.rows); i += 1 + len(in.rows)/8 {
		one := in.rows[i]
		where := map[string]func(row) bool{
			"id = " + text(one["id"]):                       func(o row) bool { return o["id"] == one["id"] },
			"partition_key = " + text(one["partition_key"]): func(o row) bool { return o["partition_key"] == one["partition_key"] },
			fmt.Sprintf("lsn >= %d", one["lsn"]):            func(o row) bool { return o["lsn"].(int64) >= one["lsn"].(int64) },
			"document IS NULL":                              func(o row) bool { return o["document"] == nil },
		}
		if one["container"] != nil {
			where["container = "+text(one["container"])] = func(o row) bool { return o["container"] == one["container"] }
		}
		if moment != "" {
			at := time.UnixMicro(one["ts"].(int64)).UTC().Format("2006-01-02T15:04:05.000000Z")
			where["ts >= "+fmt.Sprintf(moment, text(at))] = func(o row) bool { return o["ts"].(int64) >= one["ts"].(int64) }
		}
		for text, holds := range where {
			want := 0
			for _, other := range in.rows {
				if holds(other) {
					want++
				}
			}
			var got int
			if r.ask(p, "count", request{"where": text}, &got); got != want {
				p.t.Errorf("%s: got %d rows want %d", text, got, want)
			}
		}
	}
}

// checkLog reads what the log says beside files.
func checkLog(p place, in *table) {
	p.t.Helper()
	deltaRS := azureReaders()[0]
	var apps []string
	for app := range in.offsets {
		apps = append(apps, app)
	}
	var offsets map[string]int64
	must(p.t, deltaRS.worker).mustAsk(p.t, request{"do": "transactions", "table": p.table, "apps": apps, "options": p.options}, &offsets)
	if len(offsets) == 0 || !reflect.DeepEqual(offsets, in.offsets) {
		p.t.Errorf("transaction_version: got %v want %v", offsets, in.offsets)
	}
	var opened struct{ Version, Files int64 }
	deltaRS.ask(p, "open", nil, &opened)
	if opened.Version != in.versions-1 || opened.Files != int64(len(in.snapshot.Files)) {
		p.t.Errorf("delta-rs: got %+v want version %d with %d files", opened, in.versions-1, len(in.snapshot.Files))
	}
	for _, r := range []reader{deltaRS, sparkReader()} {
		var history []struct {
			Version   int64
			Operation string
			Engine    string
		}
		must(p.t, r.worker).mustAsk(p.t, request{"do": "history", "table": p.table, "options": p.options}, &history)
		if int64(len(history)) != in.versions || history[0].Version != in.versions-1 || history[0].Operation == "" {
			p.t.Errorf("history in %s: got %d versions, newest %+v want %d", r.name, len(history), history[0], in.versions)
		}
		var gone []string
		must(p.t, r.worker).mustAsk(p.t, request{"do": "vacuum", "table": p.table, "options": p.options}, &gone)
		if len(gone) != 0 {
			p.t.Errorf("VACUUM in %s: got %v want nothing removed: all tombstones are young", r.name, gone)
		}
	}
	var detail struct {
		Name, Description                  string
		PartitionColumns                   []string
		NumFiles                           int64
		MinReaderVersion, MinWriterVersion int
		Properties                         map[string]string
	}
	must(p.t, components.spark).mustAsk(p.t, request{"do": "detail", "table": p.table}, &detail)
	m := in.snapshot.Metadata
	if detail.Name != m.Name || detail.Description != m.Description || detail.MinReaderVersion != 1 || detail.MinWriterVersion != 2 ||
		detail.NumFiles != int64(len(in.snapshot.Files)) || !slices.Equal(detail.PartitionColumns, m.PartitionColumns) || !reflect.DeepEqual(detail.Properties, m.Configuration) {
		p.t.Errorf("DESCRIBE DETAIL: got %+v want that of %+v", detail, m)
	}
}
