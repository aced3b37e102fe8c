// Package producer_test runs producers against an in-process account and an in-process Kafka, and judges them by what
// stands on the topic and in the checkpoints, with the account's ledger as the truth.
package producer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/blob/mem"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/producer"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	topicName  = "cosmos.shop.orders"
	partitions = 4
	patience   = 15 * time.Second
)

func orders() harness.Container {
	return harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 1}
}

// world is an account, a Kafka with one topic, a store, and a consumer that sees all.
type world struct {
	t       *testing.T
	cosmos  *cosmosfake.Server
	ledger  harness.Buffer
	logged  harness.Buffer // by the producers
	account *harness.Account
	kafka   *kfake.Cluster
	root    blob.Store
	config  *config.Config
	polls   atomic.Int64 // requests of the change feed
	running atomic.Pointer[cosmosfake.Hook]

	mu     sync.Mutex
	events []event // in the order of each partition
}

func newWorld(t *testing.T, containers ...harness.Container) *world {
	t.Helper()
	return newWorldOn(t, cosmosfake.Options{}, containers...)
}

// newWorldOn is newWorld with an account of its own kind.
func newWorldOn(t *testing.T, options cosmosfake.Options, containers ...harness.Container) *world {
	t.Helper()
	if len(containers) == 0 {
		containers = []harness.Container{orders()}
	}
	w := &world{t: t, root: mem.New()}
	options.Ledger = &w.ledger
	certificate := filepath.Join(t.TempDir(), "ca.pem")
	w.startAccount(options, certificate)
	t.Cleanup(func() {
		if err := w.cosmos.Close(); err != nil {
			t.Error(err)
		}
	})
	w.config = &config.Config{
		Cosmos: config.Cosmos{Endpoint: w.cosmos.URL(), Key: config.NewSecret(w.cosmos.Key()), CAFile: certificate, Account: "fake"},
		Kafka:  config.Kafka{TopicPrefix: "cosmos", SessionTimeout: time.Second, MaxMessageBytes: 1_000_000},
		Producer: config.Producer{
			Group: "producers", PollInterval: 5 * time.Millisecond, PageSize: 100, Settle: time.Second,
			MarkInterval: 30 * time.Millisecond, IdleMarkInterval: 100 * time.Millisecond,
			CheckpointInterval: 20 * time.Millisecond, IdleCheckpointInterval: 100 * time.Millisecond,
			DefinitionInterval: 50 * time.Millisecond, RewindGrace: time.Minute,
		},
	}
	topics := map[string]bool{}
	for _, c := range containers {
		w.create(c)
		topics[c.TopicName()] = true
		w.config.Containers = append(w.config.Containers, config.Container{
			Database: c.Database, Container: c.ID, Topic: c.TopicName(), Start: config.StartBeginning, Deletes: config.DeletesNone,
		})
	}
	w.startKafka(topics)
	return w
}

// startAccount starts an account, whose authority is written into the file certificate.
func (w *world) startAccount(options cosmosfake.Options, certificate string) {
	w.t.Helper()
	var err error
	if w.cosmos, err = cosmosfake.New(options); err != nil {
		w.t.Fatal(err)
	}
	w.cosmos.SetHook(w.hook)
	if err := os.WriteFile(certificate, w.cosmos.CAPEM(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.account = &harness.Account{URL: w.cosmos.URL(), Key: w.cosmos.Key(), Client: w.cosmos.Client()}
}

// restartAccount ends the account and starts one at the same address that knows nothing.
func (w *world) restartAccount() {
	w.t.Helper()
	if err := w.cosmos.Close(); err != nil {
		w.t.Fatal(err)
	}
	addr := strings.TrimSuffix(strings.TrimPrefix(w.cosmos.URL(), "https://"), "/")
	w.startAccount(cosmosfake.Options{Addr: addr}, w.config.Cosmos.CAFile)
}

func (w *world) create(c harness.Container) {
	w.t.Helper()
	var refused *harness.StatusError
	if err := w.account.CreateDatabase(w.t.Context(), c.Database); err != nil && (!errors.As(err, &refused) || refused.Status != http.StatusConflict) {
		w.t.Fatal(err)
	}
	definition := fmt.Appendf(nil, `{"id":%q,"partitionKey":{"paths":["%s"],"kind":%q,"version":2}}`, c.ID, strings.Join(c.Key, `","`), c.Kind())
	if err := w.account.CreateContainer(w.t.Context(), c.Database, definition, c.Ranges); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) startKafka(topics map[string]bool) {
	w.t.Helper()
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100 * time.Millisecond)}
	for name := range topics {
		options = append(options, kfake.SeedTopics(partitions, name))
	}
	var err error
	if w.kafka, err = kfake.NewCluster(options...); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.kafka.Close)
	groups, err := harness.TendGroups(w.kafka)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(groups.Close)
	w.config.Kafka.Brokers = w.kafka.ListenAddrs()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.ConsumeRegex(), kgo.ConsumeTopics("cosmos.*"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(20*time.Millisecond))
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			fetches := client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			w.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) { w.events = append(w.events, decode(r)) })
			w.mu.Unlock()
		}
	}()
	w.t.Cleanup(func() { client.Close(); <-done })
}

// hook counts polls, and asks the test's own hook.
func (w *world) hook(r *http.Request) *cosmosfake.Fault {
	if r.Header.Get("A-IM") != "" && strings.HasSuffix(r.URL.Path, "/docs") {
		w.polls.Add(1)
		if h := w.running.Load(); h != nil {
			return (*h)(r)
		}
	}
	return nil
}

// onPoll lets a hook decide about requests of the change feed; nil removes it.
func (w *world) onPoll(h cosmosfake.Hook) {
	if h == nil {
		w.running.Store(nil)
		return
	}
	w.running.Store(&h)
}

// running is a producer at work.
type running struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// run starts a producer over the world's store.
func (w *world) run() *running { return w.runOver(w.root) }

func (w *world) runOver(root blob.Store) *running {
	w.t.Helper()
	p, err := producer.New(producer.Options{Config: w.config, Archive: w.root, Root: root, Log: w.log()})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.start(p)
}

// start runs a producer until the test ends, or its stop.
func (w *world) start(p *producer.Producer) *running {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = p.Run(ctx)
	}()
	w.t.Cleanup(func() { _ = r.stop() })
	return r
}

// stop asks the producer to end, waits for it, and tells its error.
func (r *running) stop() error {
	r.cancel()
	<-r.done
	return r.err
}

// ends waits for a producer that is to end by itself.
func (w *world) ends(r *running) error {
	w.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		w.t.Fatalf("after %v the producer still runs", patience)
	}
	return r.err
}

func (w *world) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.MultiWriter(testWriter{w.t}, &w.logged), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(string(bytes.TrimRight(b, "\n")))
	}
	return len(b), nil
}

// eventually waits until ok, which is asked again and again, and fails the test when patience ends.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	if !within(patience, ok) {
		w.t.Fatalf("after %v still not: %s", patience, what)
	}
}

// within asks ok again and again until it holds or the time is over.
func within(d time.Duration, ok func() bool) bool {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(d)
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// morePolls waits until the feed was asked n times more.
func (w *world) morePolls(n int64) {
	w.t.Helper()
	from := w.polls.Load()
	w.eventually(fmt.Sprintf("%d more polls", n), func() bool { return w.polls.Load() >= from+n })
}

// write upserts a document with this key.
func (w *world) write(c harness.Container, key, document string) {
	w.t.Helper()
	if err := w.account.Write(w.t.Context(), harness.Upsert, c, key, []byte(document)); err != nil {
		w.t.Fatal(err)
	}
}

// fill upserts documents 0 to n-1 with a number that makes each version another one.
func (w *world) fill(c harness.Container, n, version int) {
	w.t.Helper()
	for i := range n {
		w.write(c, fmt.Sprintf(`["k%d"]`, i%37), fmt.Sprintf(`{"id":"d%d","pk":"k%d","version":%d,"exact":1.0}`, i, i%37, version))
	}
}

// at names a range of a container for the account's control.
func at(c harness.Container, id string) cosmosfake.Range {
	return cosmosfake.Range{Database: c.Database, Container: c.ID, ID: id}
}

// checkpoints reads all of a container.
func (w *world) checkpoints(c harness.Container) []*schemas.Checkpoint {
	w.t.Helper()
	var out []*schemas.Checkpoint
	err := w.root.List(w.t.Context(), schemas.CheckpointPrefix(c.TopicName(), c.Name()), func(info blob.Info) error {
		body, _, err := blob.ReadAll(w.t.Context(), w.root, info.Name, 1<<20)
		if err != nil {
			return err
		}
		one, err := schemas.DecodeCheckpoint(body)
		out = append(out, one)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) logs(text string) bool { return w.count(text) > 0 }

// count is how often the producers logged a text.
func (w *world) count(text string) int {
	return strings.Count(w.logged.String(), text)
}

// rewrite replaces a text in an object.
func rewrite(t *testing.T, w *world, name, old, replacement string) {
	t.Helper()
	body, _, err := blob.ReadAll(t.Context(), w.root, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(body, []byte(old)) {
		t.Fatalf("%s does not hold %q: %s", name, old, body)
	}
	body = bytes.Replace(body, []byte(old), []byte(replacement), 1)
	if _, err := w.root.Put(t.Context(), name, bytes.NewReader(body), blob.Always()); err != nil {
		t.Fatal(err)
	}
}
