package restorer_test

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"golang.org/x/sync/errgroup"

	"github.com/cosmos-almanac/almanac/tests/bench/peer"
)

const (
	benchDocuments   = 5000
	benchConcurrency = 8 // the default of restorer.concurrency
)

func benchDocument(i int) (key, id, document string) {
	key, id = fmt.Sprintf("tenant-%d", i%50), fmt.Sprintf("document-%06d", i)
	return key, id, fmt.Sprintf(`{"id":%q,"k":%q,"price":%d.50,"text":%q}`, id, key, i, strings.Repeat("lorem ipsum ", 80))
}

// BenchmarkRestore is the whole program, from the archive to the last acknowledgement, beside what anybody would write
// with the SDK, with as many requests in flight.
func BenchmarkRestore(b *testing.B) {
	w := newWorld(b, shop())
	raw := 0
	for i := range benchDocuments {
		key, _, document := benchDocument(i)
		w.write(`["`+key+`"]`, document)
		raw += len(document)
	}
	point := w.archive(0)
	targets := 0
	var compared peer.Comparison
	for _, one := range []struct {
		name    string
		command func(target string) (*exec.Cmd, error)
	}{
		{"almanac", func(target string) (*exec.Cmd, error) {
			return peer.Role(b.Context(), "restorer", "run", "--at", point, "--to", "shop."+target, "--config", w.config)
		}},
		{"obvious", func(target string) (*exec.Cmd, error) {
			w.must(w.account.CreateContainer(b.Context(), "shop", fmt.Appendf(nil, `{"id":%q,"partitionKey":{"paths":["/k"],"kind":"Hash","version":2}}`, target), 3))
			return peer.Role(b.Context(), "upsert", w.server.URL(), w.server.Key(), w.authorities(), target, strconv.Itoa(benchConcurrency))
		}},
	} {
		b.Run(one.name, func(b *testing.B) {
			var used peer.Usage
			n := 0
			for b.Loop() {
				n, targets = n+1, targets+1
				command, err := one.command(fmt.Sprintf("copy%d", targets))
				w.must(err)
				run, err := peer.Run(command, nil)
				w.must(err)
				used.Add(run)
			}
			compared.Report(b, used, n, benchDocuments, int64(raw))
		})
	}
}

// upsert is the obvious loop, as a role: its arguments are the endpoint, the key, the authorities' file, the target and
// how many requests are in flight.
func upsert(ctx context.Context, args []string) error {
	concurrency, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	transport, err := peer.Trusting(args[2])
	if err != nil {
		return err
	}
	credential, err := azcosmos.NewKeyCredential(args[1])
	if err != nil {
		return err
	}
	client, err := azcosmos.NewClientWithKey(args[0], credential, &azcosmos.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: transport}})
	if err != nil {
		return err
	}
	container, err := client.NewContainer("shop", args[3])
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for worker := range concurrency {
		group.Go(func() error {
			for i := worker; i < benchDocuments; i += concurrency {
				key, _, document := benchDocument(i)
				if _, err := container.UpsertItem(ctx, azcosmos.NewPartitionKeyString(key), []byte(document), nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
