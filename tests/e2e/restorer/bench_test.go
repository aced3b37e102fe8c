package restorer_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	benchDocuments   = 5000
	benchConcurrency = 8 // the default of restorer.concurrency
)

func benchDocument(i int) (key, id, document string) {
	key, id = fmt.Sprintf("tenant-%d", i%50), fmt.Sprintf("document-%06d", i)
	return key, id, fmt.Sprintf(`{"id":%q,"k":%q,"price":%d.50,"text":%q}`, id, key, i, strings.Repeat("lorem ipsum ", 80))
}

// BenchmarkRestore is the whole program, from the archive to the last acknowledgement.
func BenchmarkRestore(b *testing.B) {
	w := newWorld(b, shop())
	for i := range benchDocuments {
		key, _, document := benchDocument(i)
		w.write(`["`+key+`"]`, document)
	}
	point := w.archive(0)
	n := 0
	for b.Loop() {
		n++
		w.run("run", "--at", point, "--to", fmt.Sprintf("shop.copy%d", n)).want(b, 0)
	}
	b.ReportMetric(float64(benchDocuments*n)/b.Elapsed().Seconds(), "documents/s")
}

// BenchmarkUpsertLoop is what anybody would write with the SDK, with as many requests in flight.
func BenchmarkUpsertLoop(b *testing.B) {
	w := newWorld(b, shop())
	credential, err := azcosmos.NewKeyCredential(w.server.Key())
	w.must(err)
	options := &azcosmos.ClientOptions{}
	options.Transport = w.server.Client()
	client, err := azcosmos.NewClientWithKey(w.server.URL(), credential, options)
	w.must(err)
	defer client.Close()
	n := 0
	for b.Loop() {
		n++
		name := fmt.Sprintf("copy%d", n)
		target := harness.Container{Database: "shop", ID: name, Key: []string{"/k"}}
		w.must(w.account.CreateContainer(b.Context(), "shop", fmt.Appendf(nil, `{"id":%q,"partitionKey":{"paths":["/k"],"kind":"Hash","version":2}}`, target.ID), 3))
		container, err := client.NewContainer("shop", name)
		w.must(err)
		var group sync.WaitGroup
		for worker := range benchConcurrency {
			group.Go(func() {
				for i := worker; i < benchDocuments; i += benchConcurrency {
					key, _, document := benchDocument(i)
					if _, err := container.UpsertItem(b.Context(), azcosmos.NewPartitionKeyString(key), []byte(document), nil); err != nil {
						b.Error(err)
					}
				}
			})
		}
		group.Wait()
	}
	b.ReportMetric(float64(benchDocuments*n)/b.Elapsed().Seconds(), "documents/s")
}
