package real_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosmos-almanac/almanac/cosmosfake"
	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

// market is a stack whose programs archived two containers over three hours of the service's time: creations,
// replacements, soft deletions that were taken back, documents under every kind of partition key, changes that were
// published twice, a failover that undid writes, so that a range was read anew, and two snapshots.
type market struct {
	t         *testing.T
	ctx       context.Context
	stack     *harness.Stack
	library   harness.Library
	ahead     atomic.Int64 // of the service's time over that of this machine
	moments   []time.Time
	snapshots map[string]string
	ledger    oracle.Ledger
	archive   *oracle.Archive
	lineages  oracle.Lineages
}

const marketTopic = "cosmos.shop"

// Positions in a market's moments. Where two hours meet, a moment lies half an hour after the last mark and before the next.
const (
	beforeAll = iota
	firstHour
	beforeFailover
	secondHour
	afterAll
)

// products and orders share a topic, so that each is the other's stranger in the table.
func products() harness.Container {
	return harness.Container{Database: "shop", ID: "products", Key: []string{"/categoryName"}, Ranges: 4, Topic: marketTopic, Deletes: "soft"}
}

func orders() harness.Container {
	return harness.Container{Database: "shop", ID: "orders", Key: []string{"/tenant", "/customer"}, Ranges: 3, Topic: marketTopic, Deletes: "soft"}
}

func marketContainers() []harness.Container { return []harness.Container{products(), orders()} }

func newMarket(t *testing.T, ctx context.Context) *market { //nolint:revive // t first in tests
	t.Helper()
	m := &market{t: t, ctx: ctx, snapshots: map[string]string{}}
	m.forward(-3 * time.Hour)
	m.stack = newStack(t, ctx, harness.Options{Containers: marketContainers(), Clock: m.now, Settings: harness.Settings{
		"producer.checkpoint_interval": "5m", "producer.idle_checkpoint_interval": "5m",
	}})
	m.note(0)
	return m
}

// now is the service's time.
func (m *market) now() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }

func (m *market) forward(by time.Duration) { m.ahead.Add(int64(by)) }

// trade is the three hours.
func (m *market) trade() {
	producer, archiver := m.spawn("producer"), m.spawn("archiver")
	m.write(0, func(int) bool { return true })
	m.settle()
	m.snapshot()
	m.note(30 * time.Minute)
	m.forward(time.Hour)

	m.write(1, func(i int) bool { return i%3 == 0 })
	m.settle()
	m.must(producer.Restart()) // it has no checkpoint since, so what was written is published once more
	m.settle()
	m.note(0)
	m.failOver()
	m.settle()
	m.note(30 * time.Minute)
	m.forward(time.Hour)

	m.write(2, func(i int) bool { return i%4 == 0 })
	m.settle()
	m.note(30 * time.Minute)
	m.stop(producer)
	ends, err := m.stack.Ends(m.ctx, marketTopic)
	m.must(err)
	progress := m.stack.Progress(marketTopic)
	m.must(harness.Until(m.ctx, "the archive to hold the topic", func() (string, error) {
		err := progress.Refresh(m.ctx)
		return progress.Missing(ends), err
	}))
	m.stop(archiver)
	m.snapshot()
}

func (m *market) spawn(program string) *harness.Process {
	process, err := m.stack.Spawn(program, program, []string{"run"})
	m.must(err)
	return process
}

func (m *market) stop(process *harness.Process) {
	m.must(process.Stop(m.ctx))
}

func (m *market) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%v\n%s", err, m.stack.Tails(20))
	}
}

// write writes the nth version of some of the documents.
func (m *market) write(n int, whether func(i int) bool) {
	for i, d := range slices.Concat(goods(n), oddGoods(n), purchases(n)) {
		if whether(i) || d.always {
			m.library.Keep([]byte(d.body))
			m.must(m.stack.Account.Write(m.ctx, harness.Upsert, d.in, d.key, []byte(d.body)))
		}
	}
}

// version is a document as it is written.
type version struct {
	in     harness.Container
	key    string
	body   string
	always bool // in every hour
}

const (
	shelves   = 7
	noted     = "4711" // the document whose history is asked for
	notedKey  = `["Books"]`
	wholesale = 90
)

func goods(n int) []version {
	state := []string{`"stock":1.0`, `"stock":2.50,"deleted":true`, `"deleted":false`}[n]
	out := []version{{products(), notedKey, fmt.Sprintf(`{"id":%q,"categoryName":"Books","edition":%d, %s}`, noted, n+1, state), true}}
	for i := range wholesale {
		what := fmt.Sprintf(`"price":%d.50`, i+n)
		if (i+n)%5 == 4 {
			what += `, "deleted" : true`
		}
		out = append(out, version{
			products(), fmt.Sprintf(`["shelf %d"]`, i%shelves),
			fmt.Sprintf(`{"id":"p-%d","categoryName":"shelf %d",%s}`, i, i%shelves, what), false,
		})
	}
	return out
}

// oddGoods are documents at which a reader could stumble: keys of every kind, one id under two keys, what looks like a
// soft deletion, and what no varchar(8000) holds.
func oddGoods(n int) []version {
	var out []version
	for key, text := range map[string]string{
		`[{}]`:             ``,
		`[null]`:           `"categoryName":null,`,
		`[1]`:              `"categoryName":1.0,`,
		`["caf\u00e9 \""]`: `"categoryName":"caf\u00e9 \"",`,
	} {
		out = append(out, version{products(), key, fmt.Sprintf(`{"id":"odd",%s"n":%d}`, text, n), true})
	}
	for i, deleted := range []string{`"true"`, `1`, `null`, `[true]`, `{"deleted":true}`, `"TRUE"`} {
		out = append(out, version{products(), `["odd"]`, fmt.Sprintf(`{"id":"not gone %d","categoryName":"odd","deleted":%s,"n":%d}`, i, deleted, n), true})
	}
	nested := fmt.Sprintf(`{"id":"nested","categoryName":"odd","a":{"deleted":true},"n":%d}`, n)
	large := fmt.Sprintf(`{"id":"large","categoryName":"odd","n":%d,"text":%q}`, n, strings.Repeat("été 🙉 ", 2000))
	return append(out, version{products(), `["odd"]`, nested, true}, version{products(), `["odd"]`, large, true})
}

func purchases(n int) []version {
	var out []version
	for i := range wholesale {
		key := fmt.Sprintf(`["t-%d",%d]`, i%3, i%11)
		out = append(out, version{orders(), key, fmt.Sprintf(`{"id":"p-%d","tenant":"t-%d","customer":%d,"lines":[%d,{"n":%d}]}`, i, i%3, i%11, i, n), false})
	}
	return out
}

// note remembers a moment that is asked for.
func (m *market) note(later time.Duration) { m.moments = append(m.moments, m.now().Add(later)) }

// settle waits until everything until now can be restored.
func (m *market) settle() {
	now := m.now()
	for _, c := range marketContainers() {
		m.must(m.stack.Restorable(m.ctx, c.Name(), now))
	}
}

// failOver undoes writes of a range, all of which were archived.
func (m *market) failOver() {
	c := products()
	states, err := m.stack.Cosmos.Ranges(c.Database, c.ID)
	m.must(err)
	busiest := slices.MaxFunc(states, func(a, b cosmosfake.RangeState) int { return a.Items - b.Items })
	_, err = m.stack.Cosmos.Failover(cosmosfake.Range{Database: c.Database, Container: c.ID, ID: busiest.ID}, 5)
	m.must(err)
}

// snapshot takes one of every container's newest exact point.
func (m *market) snapshot() {
	for _, c := range marketContainers() {
		var taken struct{ Point string }
		_, err := m.stack.Ask(m.ctx, &taken, "compactor", "snapshot", "--container", c.Name())
		m.must(err)
		m.snapshots[c.Name()] = taken.Point
	}
}

// judge reads ledger and archive, and finds that the archive is right and that everything happened that shall.
func (m *market) judge() {
	var err error
	report := &oracle.Report{}
	m.ledger, err = oracle.ReadLedger(m.stack.Ledger)
	m.must(err)
	m.archive, err = oracle.ReadArchive(m.stack.Archive, marketTopic, report)
	m.must(err)
	m.lineages = m.archive.CheckMarks(m.ledger, report)
	if report.Total() > 0 {
		m.t.Errorf("the archive: %s", report)
	}
	twice, generations := 0, map[int64]bool{}
	seen := map[string]bool{}
	for i := range m.archive.Rows {
		r := &m.archive.Rows[i]
		if r.Container == products().Name() {
			change := fmt.Sprint(r.Doc, r.Generation, r.LSN)
			if seen[change] {
				twice++
			}
			seen[change] = true
			generations[r.Generation] = true
		}
	}
	if twice == 0 || len(generations) < 2 {
		m.t.Errorf("got %d changes twice and %d generations want some and at least 2", twice, len(generations))
	}
	m.t.Logf("%d rows, %d of products twice, %d generations", len(m.archive.Rows), twice, len(generations))
}

// point is the one that the restorer takes for a moment, by its plan.
func (m *market) point(c harness.Container, moment ...string) *oracle.Point {
	m.t.Helper()
	var plan struct{ Point oracle.Point }
	args := append([]string{"plan", "--container", c.Name(), "--to", "shop.nothing"}, moment...)
	_, err := m.stack.Ask(m.ctx, &plan, "restorer", args...)
	m.must(err)
	return &plan.Point
}

// content is what the container held at the point, by the ledger.
func (m *market) content(c harness.Container, p *oracle.Point) map[oracle.Doc]*oracle.Entry {
	m.t.Helper()
	content, err := m.ledger.ByName(c.Name()).Content(p, m.lineages, m.library.Gone)
	m.must(err)
	return content
}

// state is the folder of the container's snapshots.
func (m *market) state(c harness.Container) string {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(m.stack.Archive, marketTopic, "containers", c.Name(), "*", "state"))
	if err != nil || len(found) != 1 {
		m.t.Fatalf("got %v, %v want one state of %s", found, err, c.Name())
	}
	return found[0]
}
