package real_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
	"github.com/cosmos-almanac/almanac/tests/play"
)

const (
	acceptMost = 8 * time.Minute
	session    = 6 * time.Second // the least that brokers take by default
	wellMost   = 2 * time.Minute // until what is written can be restored again, whatever was done
	kills      = 6               // of programs
)

// TestHistoryOnKafkaAndAzurite is the acceptance of tests/accept on three brokers of Apache Kafka and on an Azurite that
// keeps its data: programs, a broker and the storage are killed, a broker and programs are paused for longer than their sessions last,
// and nobody comes to help. Then the oracle judges, and delta-rs says of each topic partition how far it is archived.
func TestHistoryOnKafkaAndAzurite(t *testing.T) {
	onRequest(t)
	ctx := within(t, acceptMost)
	p := newTheatre(ctx, t)
	p.WriteCorpus()
	p.Spawn()
	compactor, err := p.Stack.Spawn("compactor", "compactor", []string{"run"})
	p.Must(err)
	p.Perform(func() {
		p.FirstPoints()
		p.RestoreEarly(p.Random.IntN)
		p.killPrograms()
		p.killBroker()
		p.pauseBroker()
		p.killAzurite()
		p.pausePrograms()
		p.RestoreEarly(func(int) int { return 0 }) // the oldest, which will stay
	})
	p.Stop(compactor)
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
	objects *container.Client
	way     *proxy // of the programs to azurite
	archive string // as foreign readers name it
}

func newTheatre(ctx context.Context, t *testing.T) *theatre {
	p := &theatre{kafka: newCluster(t), azurite: newAzurite(t), archive: "almanac/an/archive"}
	p.way = newProxy(t, p.azurite.server())
	name, prefix, _ := strings.Cut(p.archive, "/")
	p.objects = p.azurite.create(t, name)
	by := p.azurite.emulated
	by.endpoint = p.way.URL + "/" + by.account
	p.Play = play.New(ctx, t, play.Options{Seed: int64(*seed), Patience: wellMost, StopMost: wellMost / 2, Stack: harness.Options{
		Bin: must(t, components.programs), Partitions: 4, Containers: play.Shop(""), Brokers: p.kafka.brokers,
		Store: newRemote(p.objects, by, name, prefix),
		Settings: harness.Settings{
			"kafka.session_timeout":             session.String(),
			"producer.settle":                   "3s",
			"producer.mark_interval":            "1s",
			"producer.idle_mark_interval":       "2s",
			"producer.checkpoint_interval":      "1s",
			"producer.idle_checkpoint_interval": "2s",
			"archiver.flush_interval":           "2s",
			"archiver.control_commit_interval":  "2s",
			"compactor.snapshot_interval":       "10s",
			"service.shutdown_grace":            "30s",
		},
	}})
	p.Hire(80 * time.Millisecond)
	return p
}

// well waits until everything that was written up to now can be restored: every range has a reader, and every topic
// partition somebody who archives it. That a program ends by itself fails the test.
func (p *theatre) well(after string) {
	p.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(p.Ctx, wellMost)
	defer cancel()
	for _, c := range p.Containers {
		if err := p.Stack.Restorable(ctx, c.Name(), began); err != nil {
			p.Fatalf("after %s: %v", after, err)
		}
	}
	p.Logf("after %s: well within %.1f s", after, time.Since(began).Seconds())
}

// killPrograms kills producers and archivers as they come, each time that rows are archived.
func (p *theatre) killPrograms() {
	flow := p.NewFlow()
	killed := map[string]int{}
	for range kills {
		p.Until(wellMost, "rows after a kill", flow.Moved)
		victim := p.Cast[p.Random.IntN(len(p.Cast))]
		killed[victim.Name]++
		p.Must(victim.Restart())
	}
	p.well(fmt.Sprintf("kills of %v", killed))
}

// killBroker kills the broker that keeps the archivers' group, and then one of them, who has to find a new one. Then the
// broker comes back.
func (p *theatre) killBroker() {
	node := p.kafka.coordinator(p.Ctx, archivers)
	p.kafka.kill(p.Ctx, node)
	p.Must(p.Stack.Process("archiver-1").Restart())
	p.well(fmt.Sprintf("the end of broker %d", node))
	p.kafka.start()
	p.Until(wellMost, "three replicas in sync", func() (string, error) { return p.kafka.whole(p.Ctx) })
	p.well(fmt.Sprintf("the return of broker %d", node))
}

// pauseBroker lets the broker that keeps the archivers' group hang: its connections stay, and nobody answers. Then it goes on.
func (p *theatre) pauseBroker() {
	node := p.kafka.coordinator(p.Ctx, archivers)
	p.Must(p.kafka.signal(node, syscall.SIGSTOP))
	p.well(fmt.Sprintf("broker %d hangs", node))
	p.Must(p.kafka.signal(node, syscall.SIGCONT))
	p.Until(wellMost, "three replicas in sync", func() (string, error) { return p.kafka.whole(p.Ctx) })
	p.well(fmt.Sprintf("broker %d goes on", node))
}

// killAzurite breaks all connections to the storage, kills it when it has written down what it acknowledged, and starts it
// again on its folder.
func (p *theatre) killAzurite() {
	p.way.breakAll()
	p.azurite.put(p.Ctx, p.objects, "the-last")
	p.Until(wellMost, "Azurite's databases", func() (string, error) { return p.azurite.written("the-last") })
	p.Must(kill(p.Ctx, p.azurite.folder))
	p.azurite.start()
	p.way.mend()
	p.well("the storage's return")
}

// pausePrograms stops an archiver and a producer where they are until their groups do without them, and lets them go on:
// they find out by themselves, and are members again.
func (p *theatre) pausePrograms() {
	paused := []*harness.Process{p.Stack.Process("archiver-1"), p.Stack.Process("producer-1")}
	for _, one := range paused {
		p.Must(one.Pause())
	}
	p.members(1)
	p.well("a pause of two, which others stand in for")
	for _, one := range paused {
		p.Must(one.Continue())
	}
	p.members(2)
	p.well("they go on")
}

const (
	archivers = "almanac-archiver"
	producers = "almanac-producer" // less topic
)

// members waits until every consumer group has so many.
func (p *theatre) members(want int) {
	p.Helper()
	groups := []string{archivers}
	for _, topic := range p.Topics {
		groups = append(groups, producers+"."+topic)
	}
	for _, group := range groups {
		p.Until(wellMost, fmt.Sprintf("%d members of %s", want, group), func() (string, error) {
			members, err := p.Stack.Members(p.Ctx, group)
			if err == nil && len(members) != want {
				return fmt.Sprintf("it has %d", len(members)), nil
			}
			return "", err
		})
	}
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
