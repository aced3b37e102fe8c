package delta

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// The wire types are the actions as the log writes them, in JSON commits and in Parquet checkpoints alike. Names and
// optionality are those of the Delta protocol.

type wireLine struct {
	CommitInfo *wireCommitInfo `json:"commitInfo,omitempty" parquet:"-"`
	Protocol   *wireProtocol   `json:"protocol,omitempty" parquet:"protocol,optional"`
	MetaData   *wireMetadata   `json:"metaData,omitempty" parquet:"metaData,optional"`
	Txn        *wireTxn        `json:"txn,omitempty" parquet:"txn,optional"`
	Remove     *wireRemove     `json:"remove,omitempty" parquet:"remove,optional"`
	Add        *wireAdd        `json:"add,omitempty" parquet:"add,optional"`
}

type wireProtocol struct {
	MinReader      int32    `json:"minReaderVersion" parquet:"minReaderVersion"`
	MinWriter      int32    `json:"minWriterVersion" parquet:"minWriterVersion"`
	ReaderFeatures []string `json:"readerFeatures,omitempty" parquet:"-"`
	WriterFeatures []string `json:"writerFeatures,omitempty" parquet:"-"`
}

type wireMetadata struct {
	ID               string            `json:"id" parquet:"id"`
	Name             string            `json:"name,omitempty" parquet:"name,optional"`
	Description      string            `json:"description,omitempty" parquet:"description,optional"`
	Format           wireFormat        `json:"format" parquet:"format"`
	SchemaString     string            `json:"schemaString" parquet:"schemaString"`
	PartitionColumns []string          `json:"partitionColumns" parquet:"partitionColumns,list"`
	Configuration    map[string]string `json:"configuration" parquet:"configuration"`
	CreatedTime      int64             `json:"createdTime,omitempty" parquet:"createdTime,optional"`
}

type wireFormat struct {
	Provider string            `json:"provider" parquet:"provider"`
	Options  map[string]string `json:"options" parquet:"options"`
}

type wireTxn struct {
	AppID       string `json:"appId" parquet:"appId"`
	Version     int64  `json:"version" parquet:"version"`
	LastUpdated int64  `json:"lastUpdated,omitempty" parquet:"lastUpdated,optional"`
}

type wireAdd struct {
	Path             string            `json:"path" parquet:"path"`
	PartitionValues  map[string]string `json:"partitionValues" parquet:"partitionValues"`
	Size             int64             `json:"size" parquet:"size"`
	ModificationTime int64             `json:"modificationTime" parquet:"modificationTime"`
	DataChange       bool              `json:"dataChange" parquet:"dataChange"`
	Stats            string            `json:"stats,omitempty" parquet:"stats,optional"`
	Tags             map[string]string `json:"tags,omitempty" parquet:"tags,optional"`
	DeletionVector   json.RawMessage   `json:"deletionVector,omitempty" parquet:"-"`
}

type wireRemove struct {
	Path                 string            `json:"path" parquet:"path"`
	DeletionTimestamp    int64             `json:"deletionTimestamp,omitempty" parquet:"deletionTimestamp,optional"`
	DataChange           bool              `json:"dataChange" parquet:"dataChange"`
	ExtendedFileMetadata bool              `json:"extendedFileMetadata,omitempty" parquet:"extendedFileMetadata,optional"`
	PartitionValues      map[string]string `json:"partitionValues" parquet:"partitionValues,optional"`
	Size                 int64             `json:"size,omitempty" parquet:"size,optional"`
}

type wireCommitInfo struct {
	Timestamp  int64          `json:"timestamp"`
	Operation  string         `json:"operation"`
	Parameters map[string]any `json:"operationParameters"` // Spark writes booleans among them
	EngineInfo string         `json:"engineInfo,omitempty"`
	TxnID      string         `json:"txnId,omitempty"`
}

func (p Protocol) wire() *wireProtocol {
	return &wireProtocol{MinReader: p.MinReader, MinWriter: p.MinWriter}
}

func (w *wireProtocol) protocol() (Protocol, error) {
	features := slices.Compact(slices.Sorted(slices.Values(slices.Concat(w.ReaderFeatures, w.WriterFeatures))))
	// Two come along with any other, and are what writer version 2 is made of.
	others := slices.DeleteFunc(slices.Clone(features), func(name string) bool { return name == "appendOnly" || name == "invariants" })
	if len(others) > 0 {
		features = others
	}
	if len(features) > 0 {
		return Protocol{}, &UnsupportedError{Property: fmt.Sprintf("table features %q", features)}
	}
	if w.MinReader > 1 {
		return Protocol{}, &UnsupportedError{Property: fmt.Sprintf("minReaderVersion %d", w.MinReader)}
	}
	if w.MinWriter > 2 {
		return Protocol{}, &UnsupportedError{Property: fmt.Sprintf("minWriterVersion %d", w.MinWriter)}
	}
	return Protocol{MinReader: w.MinReader, MinWriter: w.MinWriter}, nil
}

func (m Metadata) wire() *wireMetadata {
	w := &wireMetadata{
		ID: m.ID, Name: m.Name, Description: m.Description,
		Format:       wireFormat{Provider: "parquet", Options: map[string]string{}},
		SchemaString: string(m.Schema), PartitionColumns: m.PartitionColumns, Configuration: m.Configuration,
		CreatedTime: millis(m.Created),
	}
	if w.PartitionColumns == nil {
		w.PartitionColumns = []string{}
	}
	if w.Configuration == nil {
		w.Configuration = map[string]string{}
	}
	return w
}

func (w *wireMetadata) metadata() (Metadata, error) {
	if w.Format.Provider != "parquet" {
		return Metadata{}, &UnsupportedError{Property: fmt.Sprintf("data files of format %q", w.Format.Provider)}
	}
	return Metadata{
		ID: w.ID, Name: w.Name, Description: w.Description, Schema: json.RawMessage(w.SchemaString),
		PartitionColumns: w.PartitionColumns, Configuration: w.Configuration, Created: fromMillis(w.CreatedTime),
	}, nil
}

func (t Txn) wire() *wireTxn {
	return &wireTxn{AppID: t.AppID, Version: t.Version, LastUpdated: millis(t.Updated)}
}

func (a Add) wire() *wireAdd {
	w := &wireAdd{
		Path: escapePath(a.Path), PartitionValues: a.Partition, Size: a.Size, ModificationTime: millis(a.Modified),
		DataChange: a.DataChange, Stats: string(a.Stats), Tags: a.Tags,
	}
	if w.PartitionValues == nil {
		w.PartitionValues = map[string]string{}
	}
	return w
}

func (w *wireAdd) add() (Add, error) {
	if len(w.DeletionVector) > 0 && string(w.DeletionVector) != "null" {
		return Add{}, &UnsupportedError{Property: "deletion vectors (file " + w.Path + ")"}
	}
	path, err := unescapePath(w.Path)
	if err != nil {
		return Add{}, err
	}
	return Add{
		Path: path, Partition: w.PartitionValues, Size: w.Size, Modified: fromMillis(w.ModificationTime),
		DataChange: w.DataChange, Stats: rawOrNil(w.Stats), Tags: w.Tags,
	}, nil
}

func (r Remove) wire() *wireRemove {
	return &wireRemove{
		Path: escapePath(r.Path), DeletionTimestamp: millis(r.Deleted), DataChange: r.DataChange,
		ExtendedFileMetadata: r.Partition != nil, PartitionValues: r.Partition, Size: r.Size,
	}
}

func rawOrNil(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
