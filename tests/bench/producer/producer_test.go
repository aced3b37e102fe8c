// Package producer_test measures the producer beside the obvious loop over the same libraries: azcosmos' change feed
// into franz-go, without keys from the documents, headers, checkpoints, marks or a fence.
package producer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
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
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/producer"
	"github.com/cosmos-almanac/almanac/tests/bench/peer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	documents  = 40_000
	partitions = 4
	ranges     = 5
	pageSize   = 1000
)

var products = harness.Container{Database: "shop", ID: "products", Key: []string{"/category"}, Ranges: ranges, Deletes: "none"}

func TestMain(m *testing.M) {
	peer.Main(m, map[string]func(context.Context, []string) error{
		"almanac": func(context.Context, []string) error { service.Main(producer.Program()); return nil },
		"obvious": obvious,
	})
}

// BenchmarkProducer reads a whole container from the beginning per round, from the start of the process to the last
// document in the topic.
func BenchmarkProducer(b *testing.B) {
	server, raw := fill(b)
	authorities := filepath.Join(b.TempDir(), "ca.pem")
	must(b, os.WriteFile(authorities, server.CAPEM(), 0o600))
	var compared peer.Comparison
	for _, name := range []string{"almanac", "obvious"} {
		b.Run(name, func(b *testing.B) {
			var used peer.Usage
			n := 0
			for b.Loop() {
				n++
				kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, products.TopicName()), kfake.GroupMinSessionTimeout(100*time.Millisecond))
				must(b, err)
				run, err := peer.Run(command(b, name, server, authorities, kafka), all(b, kafka))
				must(b, err)
				used.Add(run)
				kafka.Close()
			}
			compared.Report(b, used, n, documents, raw)
		})
	}
}

func command(b *testing.B, name string, server *cosmosfake.Server, authorities string, kafka *kfake.Cluster) *exec.Cmd {
	b.Helper()
	args := []string{server.URL(), server.Key(), authorities, strings.Join(kafka.ListenAddrs(), ",")}
	if name == "almanac" {
		folder := b.TempDir()
		file := filepath.Join(b.TempDir(), "almanac.yaml")
		must(b, os.WriteFile(file, fmt.Appendf(nil, `
cosmos: {endpoint: %q, key: %q, ca_file: %q, account: emulator}
kafka: {brokers: ["%s"], session_timeout: 6s}
archive: {root: %q}
producer: {page_size: %d, poll_interval: 10ms}
containers: [{database: %s, container: %s, topic: %s, deletes: none}]
`, server.URL(), server.Key(), authorities, strings.Join(kafka.ListenAddrs(), `", "`), folder, pageSize, products.Database, products.ID, products.TopicName()), 0o600))
		args = []string{"run", "--config", file}
	}
	made, err := peer.Role(b.Context(), name, args...)
	must(b, err)
	return made
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

// all reports whether the topic holds a record per document. Marks and the definition are a few more.
func all(b *testing.B, kafka *kfake.Cluster) func() (bool, error) {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...))
	must(b, err)
	b.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	return func() (bool, error) {
		ends, err := admin.ListEndOffsets(b.Context(), products.TopicName())
		sum := int64(0)
		ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
		return sum >= documents, err
	}
}

// obvious is the role: its arguments are the endpoint, the key, the authorities' file and the brokers.
func obvious(ctx context.Context, args []string) error {
	container, err := open(args[0], args[1], args[2])
	if err != nil {
		return err
	}
	publisher, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(args[3], ",")...), kgo.DefaultProduceTopic(products.TopicName()))
	if err != nil {
		return err
	}
	feedRanges, err := container.ReadFeedRanges(ctx, nil)
	if err != nil {
		return err
	}
	var failed error
	for _, one := range feedRanges {
		options := &azcosmos.ChangeFeedOptions{MaxItemCount: pageSize, FeedRange: &one}
		for {
			page, err := container.ReadChangeFeed(ctx, options)
			if err != nil {
				return err
			}
			if page.RawResponse.StatusCode == http.StatusNotModified {
				break
			}
			for _, item := range page.Items {
				publisher.Produce(ctx, &kgo.Record{Key: item[:min(len(item), 16)], Value: item}, func(_ *kgo.Record, err error) {
					if err != nil {
						failed = err // promises run one after the other
					}
				})
			}
			options = &azcosmos.ChangeFeedOptions{MaxItemCount: pageSize, Continuation: &page.ContinuationToken}
		}
	}
	if err := errors.Join(publisher.Flush(ctx), failed); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop // as a service: it would go on reading
	return nil
}

func open(endpoint, key, authorities string) (*azcosmos.ContainerClient, error) {
	transport, err := peer.Trusting(authorities)
	if err != nil {
		return nil, err
	}
	credential, err := azcosmos.NewKeyCredential(key)
	if err != nil {
		return nil, err
	}
	client, err := azcosmos.NewClientWithKey(endpoint, credential, &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: transport}})
	if err != nil {
		return nil, err
	}
	return client.NewContainer(products.Database, products.ID)
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
