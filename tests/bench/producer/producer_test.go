// Package producer_test measures the producer beside the obvious loop over the same libraries: azcosmos' change feed
// into franz-go, without keys from the documents, headers, checkpoints, marks or a fence.
package producer_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/producer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	documents  = 40_000
	partitions = 4
	ranges     = 5
	pageSize   = 1000
)

var products = harness.Container{Database: "shop", ID: "products", Key: []string{"/category"}, Ranges: ranges, Deletes: "none"}

// BenchmarkProducer reads a whole container from the beginning per round. Cosmos DB and Kafka run in the same process,
// so their part of the processor time is in both rates.
func BenchmarkProducer(b *testing.B) {
	server, raw := fill(b)
	for name, publishAll := range map[string]func(*testing.B, *cosmosfake.Server, *kfake.Cluster){"almanac": almanac, "obvious": obvious} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(raw)
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, products.TopicName()), kfake.GroupMinSessionTimeout(100*time.Millisecond))
				if err != nil {
					b.Fatal(err)
				}
				before := processorTime(b)
				b.StartTimer()
				publishAll(b, server, kafka)
				b.StopTimer()
				used += processorTime(b) - before
				kafka.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(documents*b.N)/used.Seconds(), "documents/s/core")
		})
	}
}

func fill(b *testing.B) (*cosmosfake.Server, int64) {
	b.Helper()
	server, err := cosmosfake.New(cosmosfake.Options{Ranges: ranges})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	})
	account := &harness.Account{URL: server.URL(), Key: server.Key(), Client: server.Client()}
	must(b, account.CreateDatabase(b.Context(), products.Database))
	must(b, account.CreateContainer(b.Context(), products.Database, []byte(`{"id":"products","partitionKey":{"paths":["/category"],"kind":"Hash","version":2}}`), ranges))
	raw := int64(0)
	for first := 0; first < documents; first += 100 {
		key := fmt.Sprintf(`["c-%d"]`, first/100)
		batch := make([]harness.Operation, 100)
		for i := range batch {
			body := fmt.Appendf(nil, `{"id":"p-%06d","category":"c-%d","price":%d.50,"review":%q}`, first+i, first/100, i, strings.Repeat("could be better for the price ", 25))
			batch[i] = harness.Operation{Type: "Create", Body: body}
			raw += int64(len(body))
		}
		must(b, account.Batch(b.Context(), products, key, batch))
	}
	return server, raw
}

func almanac(b *testing.B, server *cosmosfake.Server, kafka *kfake.Cluster) {
	b.Helper()
	authorities := filepath.Join(b.TempDir(), "ca.pem")
	must(b, os.WriteFile(authorities, server.CAPEM(), 0o600))
	cfg := &config.Config{
		Cosmos: config.Cosmos{Endpoint: server.URL(), Key: config.NewSecret(server.Key()), CAFile: authorities, Account: "emulator"},
		Kafka:  config.Kafka{Brokers: kafka.ListenAddrs(), SessionTimeout: 5 * time.Second, MaxMessageBytes: 1_000_000},
		Producer: config.Producer{
			Group: "producer", PollInterval: 10 * time.Millisecond, PageSize: pageSize, MarkInterval: time.Second, IdleMarkInterval: time.Second,
			CheckpointInterval: 15 * time.Second, IdleCheckpointInterval: time.Minute, DefinitionInterval: time.Minute, RewindGrace: time.Minute,
		},
		Service: config.Service{ShutdownGrace: 10 * time.Second},
		Containers: []config.Container{{
			Database: products.Database, Container: products.ID, Topic: products.TopicName(), Start: config.StartBeginning, Deletes: config.DeletesNone,
		}},
	}
	store := mem.New()
	p, err := producer.New(producer.Options{Config: cfg, Archive: store, Root: store, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	awaitRecords(b, kafka)
	cancel()
	must(b, <-ended)
}

// awaitRecords waits until the topic holds a record per document. Marks and the definition are a few more.
func awaitRecords(b *testing.B, kafka *kfake.Cluster) {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...))
	must(b, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(2 * time.Minute); ; <-ticker.C {
		ends, err := admin.ListEndOffsets(b.Context(), products.TopicName())
		must(b, err)
		sum := int64(0)
		ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
		if sum >= documents {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("got %d records want %d", sum, documents)
		}
	}
}

func obvious(b *testing.B, server *cosmosfake.Server, kafka *kfake.Cluster) {
	b.Helper()
	credential, err := azcosmos.NewKeyCredential(server.Key())
	must(b, err)
	client, err := azcosmos.NewClientWithKey(server.URL(), credential, &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: server.Client()}})
	must(b, err)
	defer client.Close()
	container, err := client.NewContainer(products.Database, products.ID)
	must(b, err)
	publisher, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.DefaultProduceTopic(products.TopicName()))
	must(b, err)
	defer publisher.Close()
	feedRanges, err := container.ReadFeedRanges(b.Context(), nil)
	must(b, err)
	published := 0
	for _, one := range feedRanges {
		options := &azcosmos.ChangeFeedOptions{MaxItemCount: pageSize, FeedRange: &one}
		for {
			page, err := container.ReadChangeFeed(b.Context(), options)
			must(b, err)
			if page.RawResponse.StatusCode == http.StatusNotModified {
				break
			}
			for _, item := range page.Items {
				publisher.Produce(b.Context(), &kgo.Record{Key: item[:min(len(item), 16)], Value: item}, func(_ *kgo.Record, err error) {
					if err != nil {
						b.Error(err)
					}
				})
				published++
			}
			options = &azcosmos.ChangeFeedOptions{MaxItemCount: pageSize, Continuation: &page.ContinuationToken}
		}
	}
	must(b, publisher.Flush(b.Context()))
	if published != documents {
		b.Fatalf("got %d documents want %d", published, documents)
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
