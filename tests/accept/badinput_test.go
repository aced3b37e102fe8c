package accept

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/tests/accept/oracle"
	"github.com/cosmos-almanac/almanac/tests/harness"
	"github.com/cosmos-almanac/almanac/tests/play"
)

// otherKey is a master key that no account has.
const otherKey = "b3RoZXIga2V5IG9mIHNpeHR5IGZvdXIgYnl0ZXMsIHdoaWNoIG5vIGFjY291bnQgb2Ygb3VycyBoYXM="

// TestBadInput gives the real programs what they must refuse: every answer has the exit code of its kind, names the
// input and says what to do.
func TestBadInput(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), playMost)
	defer cancel()
	w := newWard(t, ctx)
	w.prepare()
	t.Run("stranger", func(t *testing.T) { w.in(t).strangers() })
	t.Run("empty container", func(t *testing.T) { w.in(t).emptyContainer() })
	t.Run("start from now", func(t *testing.T) { w.in(t).startFromNow() })
	for _, test := range w.refusals() {
		t.Run(test.name, func(t *testing.T) { w.in(t).refuse(test) })
	}
	t.Run("read-only store", func(t *testing.T) { w.in(t).readOnly() })
	t.Run("fewer partitions", func(t *testing.T) { w.in(t).fewerPartitions() })
	t.Run("uuid of topic.json and table", func(t *testing.T) { w.in(t).uuidOfTable() })
	t.Run("uuid of topic.json and records", func(t *testing.T) { w.in(t).uuidOfRecords() })
}

// ward is a small stack that has been well once: its containers were archived, its programs are stopped.
type ward struct {
	*play.Play

	orders, empty, fresh harness.Container
	list                 *play.Timeline // of orders
}

func newWard(t *testing.T, ctx context.Context) *ward {
	w := &ward{
		orders: harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 5, Deletes: "soft"},
		empty:  harness.Container{Database: "shop", ID: "empty", Key: []string{"/pk"}, Ranges: 5, Deletes: "none"},
		fresh:  harness.Container{Database: "shop", ID: "fresh", Key: []string{"/pk"}, Ranges: 2, Deletes: "none", Start: "now"},
	}
	w.Play = newPlay(ctx, t, 7, []harness.Container{w.orders, w.empty, w.fresh}, nil)
	return w
}

// in is the ward for a part of the test.
func (w *ward) in(t *testing.T) *ward {
	part, p := *w, *w.Play
	part.Play, p.T = &p, t
	return &part
}

// prepare archives ten documents each of two containers, and records of strangers beside them.
func (w *ward) prepare() {
	w.write(w.orders, "d")
	w.Must(w.Stack.Account.CreateContainer(w.Ctx, "shop", []byte(`{"id":"other","partitionKey":{"paths":["/other"],"kind":"Hash","version":2}}`), 1))
	for _, one := range []string{"producer", "archiver"} {
		process, err := w.Stack.Spawn(one, one, []string{"run"})
		w.Must(err)
		w.Cast = append(w.Cast, process)
	}
	w.TopicsExist()
	w.publishStrangers()
	fresh := w.Stack.Progress(w.fresh.TopicName())
	w.Until(30*time.Second, "marks of "+w.fresh.Name(), func() (string, error) {
		err := fresh.Refresh(w.Ctx)
		if err == nil && fresh.Rows["_almanac"] < int64(w.fresh.Ranges) {
			return fmt.Sprintf("%d rows", fresh.Rows["_almanac"]), nil
		}
		return "", err
	})
	w.write(w.fresh, "f")
	ledger, err := oracle.ReadLedger(w.Stack.Ledger)
	w.Must(err)
	last := ledger.ByName(w.orders.Name()).Last()
	w.Until(30*time.Second, "points", func() (string, error) {
		if list := w.Points(w.empty); len(list.Points) == 0 {
			return fmt.Sprintf("%s: %q", w.empty.Name(), list.Pending), nil
		}
		w.list = w.Points(w.orders)
		if n := len(w.list.Points); n < 2 || w.list.Points[n-1].CompleteTo.Before(last) {
			return fmt.Sprintf("%s: %q", w.orders.Name(), w.list.Pending), nil
		}
		return "", nil
	})
	w.Until(30*time.Second, "history of "+w.fresh.Name(), func() (string, error) {
		err := fresh.Refresh(w.Ctx)
		if err == nil && fresh.Rows[w.fresh.Name()] < 10 {
			return fmt.Sprintf("%d rows", fresh.Rows[w.fresh.Name()]), nil
		}
		return "", err
	})
	w.Stop(w.Cast...)
	w.list = w.Points(w.orders)
}

func (w *ward) write(c harness.Container, name string) {
	for n := range 10 {
		w.Must(w.Stack.Account.Write(w.Ctx, harness.Create, c, fmt.Sprintf(`["k%d"]`, n), fmt.Appendf(nil, `{"id":"%s%d","pk":"k%d"}`, name, n, n)))
	}
}

// publishStrangers puts records on the topic that are not Almanac's.
func (w *ward) publishStrangers() {
	client, err := kgo.NewClient(kgo.SeedBrokers(w.Stack.Brokers()...))
	w.Must(err)
	defer client.Close()
	for _, r := range []*kgo.Record{
		{Key: []byte("k"), Value: []byte("not ours")},
		{Value: nil},
		{Key: []byte{0xFF}, Value: []byte{0, 1, 2, 0xFE}, Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte("com.example.thing")}, {Key: "x"}}},
	} {
		r.Topic = w.orders.TopicName()
		w.Must(client.ProduceSync(w.Ctx, r).FirstErr())
	}
}

// strangers looks for their rows; the points are exact nevertheless (points has looked).
func (w *ward) strangers() {
	report := &oracle.Report{}
	a, err := oracle.ReadArchive(w.Stack.Archive, w.orders.TopicName(), report)
	w.Must(err)
	ends, err := w.Stack.Ends(w.Ctx, w.orders.TopicName())
	w.Must(err)
	found := 0
	for i := range a.Rows {
		r := &a.Rows[i]
		if r.Op == "quarantined" && strings.Contains(string(r.Document), `"foreign":true`) {
			found++
			r.Topic = a.UUID // a stranger's row has the uuid of where it stands, or none
		}
	}
	a.CheckOffsets(ends, report)
	if found != 3 || report.Total() > 0 {
		w.Errorf("got %d rows of strangers want 3; %s", found, report)
	}
}

// emptyContainer restores one: it makes points too.
func (w *ward) emptyContainer() {
	var report struct{ Documents int }
	w.Tell(&report, "restorer", "run", "--container", w.empty.Name(), "--at", w.Points(w.empty).Points[0].Name, "--to", "shop.empty-back", "-o", "json")
	if _, err := w.Stack.Account.ReadContainer(w.Ctx, harness.Container{Database: "shop", ID: "empty-back"}); err != nil || report.Documents != 0 {
		w.Errorf("got %d documents, container: %v; want an empty container", report.Documents, err)
	}
}

// startFromNow has history, no points, and `points` says why.
func (w *ward) startFromNow() {
	list := w.Points(w.fresh)
	if len(list.Points) != 0 || !strings.Contains(strings.Join(list.Pending, "\n"), `begun at "now"`) {
		w.Errorf("got %d points, pending %q; want none and the reason", len(list.Points), list.Pending)
	}
	result, err := w.Stack.Run(w.Ctx, "restorer", "history", "--container", w.fresh.Name(), "--partition-key", `["k3"]`, "--id", "f3", "-o", "json")
	w.Must(err)
	if result.Exit != 0 || !strings.Contains(string(result.Stdout), "upserted") {
		w.Errorf("%v: exit code %d: %s%s; want one version", result.Args, result.Exit, result.Stdout, result.Stderr)
	}
}

// refusal is a call that must fail.
type refusal struct {
	name    string
	program string // empty: all four
	args    []string
	env     []string
	config  func(text string) string
	exit    int
	says    []string
}

func (w *ward) refusals() []refusal {
	text := func(old, replacement string) func(string) string {
		return func(config string) string { return strings.Replace(config, old, replacement, 1) }
	}
	first, last := w.list.Points[0].Point, w.list.Points[len(w.list.Points)-1].Point
	before := first.Latest.Add(-time.Millisecond).Format(time.RFC3339Nano)
	after := last.Latest.Add(time.Millisecond).Format(time.RFC3339Nano)
	run, orders := []string{"run"}, []string{"--container", "shop.orders"}
	with := func(args ...string) []string { return append(args, orders...) }
	return []refusal{
		{name: "unknown key", config: text("flush_interval:", "flush_intervall:"), args: run, exit: 2, says: []string{"archiver.flush_intervall", "archiver.flush_interval"}},
		{name: "unknown key of a container", config: text("    deletes: soft", "    deletes: soft\n    partitions: 3"), args: run, exit: 2, says: []string{"containers[0].partitions"}},
		{name: "wrong type", config: text("flush_interval: 250ms", "flush_interval: often"), args: run, exit: 2, says: []string{"archiver.flush_interval", "often", "a duration such as"}},
		{name: "wrong type of a flag", program: "archiver", args: []string{"run", "--archiver-flush-bytes", "many"}, exit: 2, says: []string{"archiver-flush-bytes", "many", "MiB"}},
		{name: "no deletes", config: text("    deletes: soft\n    soft_delete: { path: /deleted, value: true }\n", ""), args: run, exit: 2, says: []string{"shop.orders", "deletes", "none", "soft"}},
		{name: "no such file", program: "producer", args: []string{"run", "--config", "/nowhere/almanac.yaml"}, exit: 2, says: []string{"/nowhere/almanac.yaml"}},
		{name: "unreachable endpoint", program: "producer", args: []string{"run", "--cosmos-endpoint", "https://127.0.0.1:9/"}, exit: 1, says: []string{"cosmos.endpoint", "https://127.0.0.1:9/"}},
		{name: "unreachable endpoint of a restore", program: "restorer", args: with("run", "--at", last.Name, "--cosmos-endpoint", "https://127.0.0.1:9/"), exit: 1, says: []string{"127.0.0.1:9"}},
		{name: "unreachable brokers", program: "producer", args: []string{"run", "--kafka-brokers", "127.0.0.1:9"}, exit: 1, says: []string{"kafka.brokers", "127.0.0.1:9"}},
		{name: "unreachable brokers of an archiver", program: "archiver", args: []string{"run", "--kafka-brokers", "127.0.0.1:9"}, exit: 1, says: []string{"kafka.brokers", "127.0.0.1:9"}},
		{name: "refused session", program: "producer", args: []string{"run", "--kafka-session-timeout", "30m"}, exit: 2, says: []string{"kafka.session_timeout 30m0s", "group.max.session.timeout.ms"}},
		{name: "refused session of an archiver", program: "archiver", args: []string{"run", "--kafka-session-timeout", "30m"}, exit: 2, says: []string{"kafka.session_timeout 30m0s", "group.max.session.timeout.ms"}},
		{name: "wrong key", program: "producer", args: run, env: []string{"COSMOS_KEY=" + otherKey}, exit: 2, says: []string{"cosmos.key", "127.0.0.1"}},
		{name: "wrong key of a restore", program: "restorer", args: with("run", "--at", last.Name), env: []string{"COSMOS_KEY=" + otherKey}, exit: 2, says: []string{"cosmos.key"}},
		{name: "no key", program: "producer", args: run, env: []string{"COSMOS_KEY="}, exit: 2, says: []string{"cosmos.key", "COSMOS_KEY"}},
		{name: "missing container", program: "producer", config: text("container: orders", "container: orderz\n    topic: cosmos.shop.orders"), args: run, exit: 2, says: []string{"shop", "orderz"}},
		{name: "missing topic", program: "archiver", config: text("container: orders", "container: orderz"), args: run, exit: 2, says: []string{"cosmos.shop.orderz", "create it"}},
		{name: "other start", program: "producer", config: text("    deletes: soft", "    start: now\n    deletes: soft"), args: run, exit: 2, says: []string{"shop.orders", "start", "beginning", "now"}},
		{name: "time before the first point", program: "restorer", args: with("run", "--before", before), exit: 2, says: []string{first.Name, "before the first"}},
		{name: "time after the newest point", program: "restorer", args: with("plan", "--before", after), exit: 2, says: []string{last.Name, "after the newest"}},
		{name: "time of no point", program: "restorer", args: with("get", "--at", after, "--partition-key", `["k1"]`, "--id", "d1"), exit: 2, says: []string{last.Name}},
		{name: "name of no point", program: "restorer", args: with("verify", "--at", last.Name[:21]+"00000000", "--to", "shop.empty"), exit: 2, says: []string{last.Name[:21] + "00000000", last.Name}},
		{name: "no time", program: "restorer", args: with("run", "--before", "yesterday"), exit: 2, says: []string{"--before", "yesterday", "2026-11-20T10:15:00Z"}},
		{name: "restore of a start from now", program: "restorer", args: []string{"run", "--container", "shop.fresh", "--before", after}, exit: 2, says: []string{"shop.fresh", "now", "beginning"}},
		{name: "snapshot of a start from now", program: "compactor", args: []string{"snapshot", "--container", "shop.fresh"}, exit: 2, says: []string{"shop.fresh", "now", "beginning"}},
		{name: "target not empty", program: "restorer", args: with("run", "--at", last.Name, "--to", "shop.fresh"), exit: 2, says: []string{"shop.fresh", "not empty"}},
		{name: "target is the source", program: "restorer", args: with("run", "--at", last.Name, "--to", "shop.orders"), exit: 2, says: []string{"shop.orders", "--to"}},
		{name: "target of another key", program: "restorer", args: with("run", "--at", last.Name, "--to", "shop.other"), exit: 2, says: []string{"shop.other", "another partitionKey", "--to"}},
		{name: "unknown container", program: "restorer", args: []string{"points", "--container", "shop.nothing"}, exit: 2, says: []string{"shop.nothing", "shop.orders"}},
		{name: "hard deletes", config: text("deletes: soft\n    soft_delete: { path: /deleted, value: true }", "deletes: hard"), args: run, exit: 2, says: []string{"shop.orders", "no trace", "none", "soft"}},
		{name: "no such store to a restorer", program: "restorer", args: with("points", "--archive-root", "/nowhere/to/be"), exit: 2, says: []string{"archive.root", "/nowhere/to/be", "mkdir -p", "mount"}},
		{name: "no such archive to a producer", program: "producer", args: []string{"run", "--archive-root", "/nowhere/to/be"}, exit: 2, says: []string{"archive.root", "/nowhere/to/be", "mkdir -p", "mount"}},
		{name: "no such archive to a archiver", program: "archiver", args: []string{"run", "--archive-root", "/nowhere/to/be"}, exit: 2, says: []string{"archive.root", "/nowhere/to/be", "mkdir -p", "mount"}},
		{name: "no such archive to a compactor", program: "compactor", args: []string{"run", "--archive-root", "/nowhere/to/be"}, exit: 2, says: []string{"archive.root", "/nowhere/to/be", "mkdir -p", "mount"}},
		{name: "no such store of a producer", program: "producer", args: []string{"run", "--producer-root", "/nowhere/to/be"}, exit: 2, says: []string{"producer.root", "/nowhere/to/be", "mkdir -p"}},
		{name: "no such store to an archiver", program: "archiver", args: []string{"run", "--producer-root", "/nowhere/to/be"}, exit: 2, says: []string{"producer.root", "/nowhere/to/be", "mkdir -p"}},
		{name: "clear of an unknown container", program: "producer", args: []string{"clear", "--container", "shop.nothing", "--range", "all"}, exit: 2, says: []string{"shop.nothing", "known: shop.orders", "almanac.yaml"}},
		{name: "clear of an unknown range", program: "producer", args: with("clear", "--range", "77-78"), exit: 2, says: []string{"77-78", "known:"}},
		{name: "clear of an unknown topic", program: "archiver", args: []string{"clear", "--topic", "nothing", "--partition", "0"}, exit: 2, says: []string{"nothing", "known topics: cosmos.shop"}},
		{name: "clear of an unknown partition", program: "archiver", args: []string{"clear", "--topic", w.orders.TopicName(), "--partition", "99"}, exit: 2, says: []string{"no partition 99"}},
		{name: "clear of nothing in a producer", program: "producer", args: with("clear", "--range", "all")},
		{name: "clear of nothing in an archiver", program: "archiver", args: []string{"clear", "--topic", w.orders.TopicName(), "--partition", "0"}},
		{name: "clear of nothing in a compactor", program: "compactor", args: with("clear")},
	}
}

func (w *ward) refuse(test refusal) {
	args := test.args
	if test.config != nil {
		text, err := os.ReadFile(w.Stack.Config)
		w.Must(err)
		changed := test.config(string(text))
		if changed == string(text) {
			w.Fatal("the configuration is not changed")
		}
		path := filepath.Join(w.TempDir(), "almanac.yaml")
		w.Must(os.WriteFile(path, []byte(changed), 0o644))
		args = append(slices.Clone(args), "--config", path)
	}
	programs := []string{test.program}
	if test.program == "" {
		programs = harness.Programs()
	}
	for _, program := range programs {
		args := args
		if program == "restorer" && len(test.args) == 1 {
			args = append([]string{"points"}, args[1:]...)
		}
		ctx, cancel := context.WithTimeout(w.Ctx, 20*time.Second)
		defer cancel()
		result, err := w.Stack.RunEnv(ctx, test.env, program, args...)
		w.Must(err)
		w.judge(result, test.exit, test.says...)
	}
}

// judge compares how a program ended, and with what words.
func (w *ward) judge(result *harness.Result, exit int, says ...string) {
	w.Helper()
	text := strings.TrimSpace(string(result.Stderr))
	w.Logf("%s\n\t%d: %s", strings.Join(result.Args, " "), result.Exit, text[strings.LastIndexByte(text, '\n')+1:])
	if result.Exit != exit {
		w.Errorf("exit code: got %d want %d", result.Exit, exit)
	}
	for _, word := range says {
		if !strings.Contains(text, word) {
			w.Errorf("it does not say %q:\n%s", word, text)
		}
	}
	if strings.Contains(text, "goroutine ") || strings.Contains(text, otherKey) {
		w.Errorf("it shows a stack or a secret:\n%s", text)
	}
}

// ordersOnly leaves one container in the configuration.
func (w *ward) ordersOnly(config string) string {
	head, _, _ := strings.Cut(config, "  - database: shop\n    container: "+w.empty.ID)
	return head
}

// fewerPartitions puts a topic of the same name and fewer partitions into the place of the archived one.
func (w *ward) fewerPartitions() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, w.Topics...), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	w.Must(err)
	defer cluster.Close()
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	w.refuse(refusal{program: "producer", config: w.ordersOnly, args: []string{"run", "--kafka-brokers", brokers}, exit: 2, says: []string{w.orders.TopicName(), "2 partitions", "4"}})
	w.refuse(refusal{program: "archiver", config: w.ordersOnly, args: []string{"run", "--kafka-brokers", brokers}, exit: 3, says: []string{w.orders.TopicName(), "fewer partitions", "2 partitions"}})
	w.refuse(refusal{program: "archiver", config: w.ordersOnly, args: []string{"run"}, exit: 3, says: []string{w.orders.TopicName(), "fewer partitions", "halted since"}}) // a halt stays until it is cleared
	w.refuse(refusal{program: "archiver", args: []string{"clear", "--topic", w.orders.TopicName()}})
}

// uuidOfTable replaces topic.json, so that the table is of another topic.
func (w *ward) uuidOfTable() {
	name := filepath.Join(w.Stack.Archive, w.orders.TopicName(), "topic.json")
	was, err := os.ReadFile(name)
	w.Must(err)
	w.Must(os.WriteFile(name, []byte(`{"uuid":"0f0f0f0f-0000-4000-8000-000000000001","format":1}`), 0o644))
	defer func() { w.Must(os.WriteFile(name, was, 0o644)) }()
	w.refuse(refusal{program: "archiver", config: w.ordersOnly, args: []string{"run"}, exit: 3, says: []string{w.orders.TopicName(), "0f0f0f0f-0000-4000-8000-000000000001", "topic.json"}})
	w.refuse(refusal{program: "restorer", args: []string{"points", "--container", w.orders.Name()}, exit: 3, says: []string{w.orders.TopicName(), "topic.json"}})
	w.refuse(refusal{program: "compactor", args: []string{"snapshot", "--container", w.orders.Name()}, exit: 3, says: []string{w.orders.TopicName(), "topic.json"}})
}

// uuidOfRecords lets the archiver begin a table for a topic whose records name another topic.
func (w *ward) uuidOfRecords() {
	root := w.TempDir()
	for _, topic := range w.Topics {
		w.Must(os.Mkdir(filepath.Join(root, topic), 0o755))
		w.Must(os.WriteFile(filepath.Join(root, topic, "topic.json"), []byte(`{"uuid":"0f0f0f0f-0000-4000-8000-000000000002","format":1}`), 0o644))
	}
	w.refuse(refusal{program: "archiver", args: []string{"run", "--archive-root", root}, exit: 3, says: []string{"uuid", "0f0f0f0f-0000-4000-8000-000000000002"}})
	var halt struct{ Unit, Reason, Evidence string }
	halts, err := filepath.Glob(filepath.Join(root, w.orders.TopicName(), "halts", "*.json"))
	w.Must(err)
	if len(halts) == 0 {
		w.Fatal("no halt is written down")
	}
	text, err := os.ReadFile(halts[0])
	w.Must(err)
	if err := json.Unmarshal(text, &halt); err != nil || !strings.Contains(halt.Unit, w.orders.TopicName()) || halt.Evidence == "" {
		w.Errorf("halt: got %s (%v)", text, err)
	}
}
