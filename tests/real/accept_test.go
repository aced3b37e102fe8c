package real_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
	"github.com/cosmos-almanac/almanac/tests/play"
)

const (
	acceptMost = 8 * time.Minute
	session    = 6 * time.Second // the least that brokers take by default
	flowMost   = time.Minute     // for rows to be archived, whatever was done
)

// TestHistoryOnKafkaAndAzurite is the acceptance of tests/accept on three brokers of Apache Kafka and on an Azurite that
// keeps its data: programs, a broker and the storage are killed, programs are paused for longer than their session lasts,
// and nobody comes to help. Then the oracle judges, and delta-rs says of each topic partition how far it is archived.
func TestHistoryOnKafkaAndAzurite(t *testing.T) {
	onRequest(t)
	ctx := within(t, acceptMost)
	p := newTheatre(ctx, t)
	p.WriteCorpus()
	p.Spawn()
	p.Perform(func() {
		p.FirstPoints()
		p.RestoreEarly()
	})
	p.Quiesce()
	p.Snapshot()
	ledger, lineages := p.Judge()
	p.transactions()
	p.Moments(play.Sample{ByName: 4, ByTime: 2, Outside: 2}, ledger, lineages)
}

// theatre is a play on real components.
type theatre struct {
	*play.Play

	kafka   *cluster
	azurite *azurite
	way     *proxy // of the programs to azurite
	archive string // as foreign readers name it
}

func newTheatre(ctx context.Context, t *testing.T) *theatre {
	p := &theatre{kafka: newCluster(t), azurite: newAzurite(t), archive: "almanac/an/archive"}
	p.way = newProxy(t, p.azurite.server())
	container, prefix, _ := strings.Cut(p.archive, "/")
	by := p.azurite.emulated
	by.endpoint = p.way.URL + "/" + by.account
	bin := filepath.Join(components.folder, t.Name(), "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := harness.Build(ctx, bin); err != nil {
		t.Fatal(err)
	}
	p.Play = play.New(ctx, t, play.Options{Seed: int64(*seed), Stack: harness.Options{
		Bin: bin, Partitions: 4, Containers: play.Shop(""), Brokers: p.kafka.brokers,
		Store: newRemote(p.azurite.create(t, container), by, container, prefix),
		Settings: harness.Settings{
			"kafka.session_timeout":             session.String(),
			"producer.settle":                   "3s",
			"producer.mark_interval":            "1s",
			"producer.idle_mark_interval":       "2s",
			"producer.checkpoint_interval":      "1s",
			"producer.idle_checkpoint_interval": "2s",
			"archiver.flush_interval":           "1s",
			"archiver.control_commit_interval":  "1s",
			"compactor.snapshot_interval":       "5s",
			"service.shutdown_grace":            "30s",
		},
	}})
	p.Hire(50 * time.Millisecond)
	return p
}

// transactions compares what delta-rs reads of each topic partition with what the topic holds.
func (p *theatre) transactions() {
	for _, topic := range p.Topics {
		a, err := oracle.ReadArchive(p.Stack.Archive, topic, &oracle.Report{})
		p.Must(err)
		ends, err := p.Stack.Ends(p.Ctx, topic)
		p.Must(err)
		want := map[string]int64{}
		var apps []string
		for partition, end := range ends {
			app := fmt.Sprintf("%s-%d", a.UUID, partition)
			apps = append(apps, app)
			if end > 0 {
				want[app] = end - 1
			}
		}
		table := p.azurite.place(p.T, p.archive+"/"+topic+"/changes")
		var got map[string]int64
		must(p.T, components.readers).mustAsk(p.T, request{"do": "transactions", "table": table.table, "apps": apps, "options": table.options}, &got)
		if !reflect.DeepEqual(got, want) {
			p.Errorf("transaction_version of topic %s in delta-rs: got %v want %v", topic, got, want)
		}
	}
}
