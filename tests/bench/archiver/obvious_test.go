package archiver_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/schemas"
)

// obviousRow is what the obvious loop writes.
type obviousRow struct {
	PartitionKey string `parquet:"partition_key,dict"`
	ID           string `parquet:"id"`
	Op           string `parquet:"op,dict"`
	TS           int64  `parquet:"ts,timestamp(microsecond)"`
	Generation   int64  `parquet:"generation"`
	LSN          int64  `parquet:"lsn"`
	EPK          string `parquet:"epk"`
	Incarnation  string `parquet:"incarnation,dict"`
	RID          string `parquet:"rid"`
	ETag         string `parquet:"etag"`
	Document     string `parquet:"document"`
	Partition    int32  `parquet:"topic_partition"`
	Offset       int64  `parquet:"offset"`
	PublishedAt  int64  `parquet:"published_at,timestamp(microsecond)"`
}

// obvious is the role: its arguments are the number of records, the folder to write to and the brokers.
func obvious(ctx context.Context, args []string) error {
	records, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(args[2], ",")...), kgo.ConsumeTopics(topicName))
	if err != nil {
		return err
	}
	defer client.Close()
	var rows []obviousRow
	size, files := 0, 0
	write := func() error {
		slices.SortFunc(rows, func(x, y obviousRow) int {
			return cmp.Or(cmp.Compare(x.PartitionKey, y.PartitionKey), cmp.Compare(x.ID, y.ID), cmp.Compare(x.LSN, y.LSN))
		})
		var file bytes.Buffer
		w := parquet.NewGenericWriter[obviousRow](&file, parquet.Compression(&parquet.Zstd))
		if _, err := w.Write(rows); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		name := filepath.Join(args[1], fmt.Sprintf("file-%d.parquet", files))
		rows, size, files = rows[:0], 0, files+1
		return os.WriteFile(name, file.Bytes(), 0o600)
	}
	for records > 0 {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return err
		}
		for r := range fetched.RecordsAll() {
			records--
			row, err := rowOf(r)
			if err != nil {
				return err
			}
			rows = append(rows, row)
			if size += len(row.Document); size < 64<<20 {
				continue
			}
			if err := write(); err != nil {
				return err
			}
		}
	}
	return write()
}

type headers []kgo.RecordHeader

func (h headers) Header(name string) []byte {
	for _, one := range h {
		if one.Key == name {
			return one.Value
		}
	}
	return nil
}

func rowOf(r *kgo.Record) (obviousRow, error) {
	var e schemas.Received
	if err := schemas.DecodeHeaders(headers(r.Headers), &e); err != nil {
		return obviousRow{}, err
	}
	return obviousRow{
		PartitionKey: string(r.Key), ID: string(e.Subject), Op: string(e.Op), TS: e.Time.UnixMicro(), Generation: int64(e.Attributes.Generation),
		LSN: int64(e.Attributes.Order.LSN), EPK: schemas.HexEPK(e.Attributes.EPK), Incarnation: string(e.Attributes.Incarnation), RID: string(e.Attributes.RID),
		ETag: string(e.Attributes.ETag), Document: string(r.Value), Partition: r.Partition, Offset: r.Offset, PublishedAt: r.Timestamp.UnixMicro(),
	}, nil
}
