// Package verb_test runs the four programs in one process, as an operator does by hand, against an emulated account and
// an in-process Kafka behind TLS and SASL: what `check` finds of everything that may be wrong, and what `status` tells.
package verb_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/compactor"
	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/internal/service"
	"github.com/cosmos-almanac/almanac/producer"
	"github.com/cosmos-almanac/almanac/restorer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const (
	patience = 30 * time.Second
	topic    = "cosmos.shop.products"
	password = "s3cr3t"
)

func products() harness.Container {
	return harness.Container{Database: "shop", ID: "products", Key: []string{"/tenant"}, Ranges: 2}
}

func programs() map[string]service.Program {
	return map[string]service.Program{
		"producer": producer.Program(), "archiver": archiver.Program(), "compactor": compactor.Program(), "restorer": restorer.Program(),
	}
}

// world is an account with one container, a Kafka, and an empty archive.
type world struct {
	t        *testing.T
	dir      string
	archive  string
	cosmos   *cosmosfake.Server
	account  *harness.Account
	kafka    *kfake.Cluster
	client   *kgo.Client
	admin    *kadm.Client
	settings map[string]string // of almanac.yaml, by path

	container string // further keys of the container in it
}

func newWorld(t *testing.T, options ...kfake.Opt) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.archive = filepath.Join(w.dir, "archive")
	if err := os.Mkdir(w.archive, 0o755); err != nil {
		t.Fatal(err)
	}
	w.openCosmos()
	encryption := w.openKafka(options)
	w.settings = map[string]string{
		"cosmos.endpoint": w.cosmos.URL(), "cosmos.key": "{env: COSMOS_KEY}", "cosmos.ca_file": filepath.Join(w.dir, "cosmos.pem"),
		"kafka.brokers": "[" + strings.Join(w.kafka.ListenAddrs(), ", ") + "]",
		"kafka.tls":     `{enabled: true, ca_file: "` + encryption + `"}`,
		"kafka.sasl":    "{mechanism: SCRAM-SHA-512, user: almanac, password: {env: KAFKA_PASSWORD}}",
		"archive.root":  w.archive, "compactor.spill": w.dir, "restorer.spill": w.dir,
	}
	maps.Copy(w.settings, harness.FastSettings())
	return w
}

func (w *world) openCosmos() {
	w.t.Helper()
	var err error
	if w.cosmos, err = cosmosfake.New(cosmosfake.Options{}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := w.cosmos.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.must(os.WriteFile(filepath.Join(w.dir, "cosmos.pem"), w.cosmos.CAPEM(), 0o600))
	w.account = &harness.Account{URL: w.cosmos.URL(), Key: w.cosmos.Key(), Client: w.cosmos.Client()}
	w.must(w.account.CreateDatabase(w.t.Context(), "shop"))
	w.createContainer("")
}

// createContainer makes products, with further members of its resource.
func (w *world) createContainer(more string) {
	w.t.Helper()
	definition := `{"id":"products","partitionKey":{"paths":["/tenant"],"kind":"Hash","version":2}` + more + `}`
	w.must(w.account.CreateContainer(w.t.Context(), "shop", []byte(definition), products().Ranges))
}

// openKafka starts three brokers; it returns the file of their authority.
func (w *world) openKafka(options []kfake.Opt) string {
	w.t.Helper()
	authority, err := harness.NewAuthority(w.dir, "kafka")
	w.must(err)
	encryption, err := authority.ServerTLS(tls.NoClientCert)
	w.must(err)
	options = append([]kfake.Opt{
		kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(100 * time.Millisecond),
		kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "100"}), kfake.TLS(encryption), kfake.EnableSASL(),
		kfake.Superuser("SCRAM-SHA-512", "root", "root"), kfake.Superuser("SCRAM-SHA-512", "almanac", password),
	}, options...)
	w.kafka, err = kfake.NewCluster(options...)
	w.must(err)
	w.t.Cleanup(w.kafka.Close)
	trust := encryption.Clone()
	trust.RootCAs, trust.Certificates = encryption.ClientCAs, nil
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.DialTLSConfig(trust), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.SASL(scram.Auth{User: "root", Pass: "root"}.AsSha512Mechanism()))
	w.must(err)
	w.t.Cleanup(client.Close)
	w.client, w.admin = client, kadm.NewClient(client)
	return authority.File
}

// createTopic makes the topic as it should be, but for what is said.
func (w *world) createTopic(replicas int16, but map[string]string) {
	w.t.Helper()
	settings := map[string]*string{}
	for _, some := range []map[string]string{{"min.insync.replicas": "2", "retention.ms": "604800000"}, but} {
		for key, value := range some {
			settings[key] = &value
		}
	}
	_, err := w.admin.CreateTopic(w.t.Context(), 2, replicas, settings, topic)
	w.must(err)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// config writes almanac.yaml, which programs that start at this moment may be reading.
func (w *world) config() string {
	w.t.Helper()
	var text strings.Builder
	section := ""
	for _, path := range slices.Sorted(maps.Keys(w.settings)) {
		head, key, _ := strings.Cut(path, ".")
		if head != section {
			fmt.Fprintf(&text, "%s:\n", head)
			section = head
		}
		fmt.Fprintf(&text, "  %s: %s\n", key, w.settings[path])
	}
	fmt.Fprintf(&text, "containers:\n  - {database: shop, container: products, deletes: none%s}\n", w.container)
	path := filepath.Join(w.dir, "almanac.yaml")
	w.must(os.WriteFile(path+".new", []byte(text.String()), 0o600))
	w.must(os.Rename(path+".new", path))
	return path
}

// run runs a program's command to its end.
func (w *world) run(program string, args ...string) (exit int, stdout, stderr string) {
	w.t.Helper()
	return w.runWith(w.t.Context(), w.config(), program, args...)
}

func (w *world) runWith(ctx context.Context, config, program string, args ...string) (exit int, stdout, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	environ := []string{"ALMANAC_CONFIG=" + config, "COSMOS_KEY=" + w.cosmos.Key(), "KAFKA_PASSWORD=" + password}
	exit = service.Run(ctx, programs()[program], args, environ, service.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	if strings.Contains(out.String()+errs.String(), password) {
		w.t.Errorf("%s %v: got the password in its output want ***", program, args)
	}
	return exit, out.String(), errs.String()
}

// check runs the verb and reads its report.
func (w *world) check(program string) (int, *check.Report) {
	w.t.Helper()
	exit, stdout, stderr := w.run(program, "check", "-o", "json")
	report := new(check.Report)
	if err := json.Unmarshal([]byte(stdout), report); err != nil {
		w.t.Fatalf("%s check: exit %d, %v\n%s%s", program, exit, err, stdout, stderr)
	}
	for _, f := range report.Findings {
		if (f.Severity == check.OK) != (f.Remedy == "") {
			w.t.Errorf("%s: got %+v want a remedy where something is not well, and only there", program, f)
		}
	}
	return exit, report
}

// status runs the verb and reads what it prints.
func (w *world) status(program string, into any) {
	w.t.Helper()
	exit, stdout, stderr := w.run(program, "status", "-o", "json")
	if err := json.Unmarshal([]byte(stdout), into); err != nil || exit != 0 {
		w.t.Fatalf("%s status: exit %d, %v\n%s%s", program, exit, err, stdout, stderr)
	}
}

// start runs a program until the test ends or stop is called.
func (w *world) start(program string) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done, config := make(chan struct{}), w.config()
	go func() {
		defer close(done)
		if exit, _, stderr := w.runWith(ctx, config, program, "run"); exit != 0 {
			w.t.Errorf("%s run: exit %d\n%s", program, exit, stderr)
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	w.t.Cleanup(stop)
	return stop
}

func (w *world) eventually(what string, missing func() string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.must(harness.Until(ctx, what, func() (string, error) { return missing(), nil }))
}

func (w *world) write(n int) {
	w.t.Helper()
	for i := range n {
		tenant := fmt.Sprintf("t%d", i%5)
		document := fmt.Sprintf(`{"id":"p%d","tenant":%q,"price":%d}`, i, tenant, i)
		w.must(w.account.Write(w.t.Context(), harness.Upsert, products(), `["`+tenant+`"]`, []byte(document)))
	}
}

// files are the names below the archive, without what the store keeps for itself.
func (w *world) files() []string {
	w.t.Helper()
	var names []string
	w.must(filepath.WalkDir(w.archive, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Name() == ".almanac-store" {
			return filepath.SkipDir
		}
		if !entry.IsDir() {
			names = append(names, path)
		}
		return nil
	}))
	return names
}
