package archiver_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/schemas"
)

func (w *world) clear(partition int32, answer archiver.Answer) (archiver.Cleared, error) {
	w.t.Helper()
	return archiver.Clear(w.t.Context(), archiver.Options{Config: w.config, Archive: w.store, Producer: w.store, Log: w.log()}, topicName, partition, answer)
}

// mustClear accepts the gap, and expects its row.
func (w *world) mustClear(partition int32, want schemas.Gap) {
	w.t.Helper()
	cleared, err := w.clear(partition, archiver.AcceptGap)
	if err != nil {
		w.t.Fatal(err)
	}
	if cleared.Gap == nil || *cleared.Gap != want {
		w.t.Fatalf("got gap %v want %v", cleared.Gap, want)
	}
	for offset := want.From; offset <= want.To; offset++ {
		delete(w.sent, place{partition, offset})
	}
}

// checkGap expects the gap row among the rows, and takes it out of the way of check.
func (w *world) checkGap(partition int32, want schemas.Gap) {
	w.t.Helper()
	rows := w.rows()[place{partition, want.From}]
	if len(rows) != 1 {
		w.t.Fatalf("got %d rows at offset %d want the gap row", len(rows), want.From)
	}
	var got schemas.Gap
	if err := json.Unmarshal(rows[0].row.Document, &got); err != nil || got != want || rows[0].row.Op != schemas.OpGap || rows[0].container != schemas.ControlContainer {
		w.t.Errorf("got %s in %s, document %s (%v) want a gap row of %v", rows[0].row.Op, rows[0].container, rows[0].row.Document, err, want)
	}
	w.sent[place{partition, want.From}] = rows[0]
}

// TestGapHalts: records that aged away before they were archived halt their partition alone, until an operator gives them
// up (INV-10).
func TestGapHalts(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(200)
	w.deleteRecords(1, 10)
	w.run(w.store)
	want := schemas.Gap{From: 0, To: 9}
	if got := w.waitHalt(1); got.Evidence != `{"from":0,"to":9}` {
		t.Errorf("got evidence %s want the offsets", got.Evidence)
	}
	w.eventually("the other partitions are archived", func() bool { return len(w.changes().Offsets()) == partitions-1 })
	if _, err := w.clear(1, archiver.Mended); exitCode(err) != 2 || !strings.Contains(err.Error(), "--accept-gap") {
		t.Errorf("got %v want a usage error that names --accept-gap", err)
	}
	if cleared, err := w.clear(2, archiver.AcceptGap); err != nil || cleared.Halt != nil || cleared.Gap != nil {
		t.Errorf("partition 2 is not halted: got %+v, %v want nothing done", cleared, err)
	}
	w.mustClear(1, want)
	w.waitArchived() // the running archiver sees that the halt is gone
	w.checkGap(1, want)
	w.check()
}

// TestGapWhileReading: retention overtakes an archiver that is stopped for too long.
func TestGapWhileReading(t *testing.T) {
	w := newWorld(t)
	r := w.run(w.store)
	w.sendChanges(40)
	w.waitArchived()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		w.send(w.change(2, len(w.sent)))
	}
	next := w.changes().Offsets()[2] + 1
	w.deleteRecords(2, next) // all that is archived may go
	r = w.run(w.store)
	w.waitArchived()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	next = w.changes().Offsets()[2] + 1
	for range 20 {
		w.send(w.change(2, len(w.sent)))
	}
	w.deleteRecords(2, next+5)
	w.run(w.store)
	w.waitHalt(2)
	w.deleteRecords(2, next+7) // retention goes on while the operator thinks
	want := schemas.Gap{From: next, To: next + 6}
	w.mustClear(2, want)
	w.waitArchived()
	w.checkGap(2, want)
	w.check()
}

// TestClearAgainAfterACrash: the gap is committed, but its halt still stands.
func TestClearAgainAfterACrash(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(100)
	w.deleteRecords(0, 3)
	r := w.run(w.store)
	halt := w.waitHalt(0)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	w.mustClear(0, schemas.Gap{From: 0, To: 2})
	if err := archive.WriteHalt(t.Context(), w.store, topicName, 0, halt); err != nil {
		t.Fatal(err)
	}
	w.granted(0, archiver.AcceptGap)
	w.run(w.store)
	w.waitArchived()
	w.checkGap(0, schemas.Gap{From: 0, To: 2})
	w.check()
}

// TestTransactionsOfStrangers halt nothing, taint nothing and keep nothing back, whether they commit, abort or stay open: what
// belongs to them becomes quarantined rows, and what stands behind is archived. A record that claims to be Almanac's
// is none in a transaction, since nobody knows whether it counts.
func TestTransactionsOfStrangers(t *testing.T) {
	w := newWorld(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(w.config.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("strangers"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	begin := func(record *kgo.Record) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		record.Topic, record.Partition = topicName, 3
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	end := func(end kgo.TransactionEndTry) {
		t.Helper()
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	claims, _ := w.change(3, 3)
	w.send(w.change(3, 0))
	begin(&kgo.Record{Value: []byte("1")})
	end(kgo.TryCommit) // 2
	begin(&kgo.Record{Value: []byte("3")})
	end(kgo.TryAbort) // 4
	begin(claims)     // 5
	end(kgo.TryCommit)
	begin(&kgo.Record{Value: []byte("7")}) // and stays open
	w.send(w.change(3, 8))
	w.run(w.store)
	w.eventually("the end is archived", func() bool { return w.changes().Offsets()[3] == 8 })
	rows := w.rows()
	for offset, whose := range []string{1: "foreign", 2: "foreign", 3: "foreign", 4: "foreign", 5: "ours", 6: "foreign", 7: "foreign"} {
		if at := (place{3, int64(offset)}); whose != "" {
			w.sent[at] = w.quarantined(rows, at, whose)
		}
	}
	w.check()
}

// quarantined expects a quarantined row and tells it.
func (w *world) quarantined(rows map[place][]sentRecord, at place, whose string) sentRecord {
	w.t.Helper()
	if len(rows[at]) != 1 {
		w.t.Fatalf("got %d rows at %v want 1", len(rows[at]), at)
	}
	got := rows[at][0]
	var q schemas.Quarantine
	if err := json.Unmarshal(got.row.Document, &q); err != nil {
		w.t.Fatalf("document of %v: %v", at, err)
	}
	if got.row.Op != schemas.OpQuarantined || got.container != schemas.ControlContainer || q.Foreign != (whose == "foreign") || q.Reason == "" {
		w.t.Errorf("got %s in %s, document %s, want a quarantined row, %s", got.row.Op, got.container, got.row.Document, whose)
	}
	return got
}

// TestWhatCannotBeDecoded becomes a row with the record's bytes in it.
func TestWhatCannotBeDecoded(t *testing.T) {
	w := newWorld(t)
	raw := &kgo.Record{
		Topic: topicName, Partition: 0, Key: []byte{0xff, 0x00}, Value: []byte("\x00not JSON\xff"),
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{1, 2}}},
	}
	foreign := w.send(raw, sentRecord{})
	broken := func(change func(*kgo.Record)) place {
		record, _ := w.change(0, 2)
		change(record)
		return w.send(record, sentRecord{})
	}
	header := func(name string, value []byte) func(*kgo.Record) {
		return func(r *kgo.Record) {
			for i := range r.Headers {
				if r.Headers[i].Key == name {
					r.Headers[i].Value = value
				}
			}
		}
	}
	ours := map[string]place{
		"type":     broken(header("ce_type", []byte("almanac.document.of-a-later-version"))),
		"header":   broken(header("almanac", []byte{9, 9, 9})),
		"time":     broken(header("ce_time", []byte("yesterday"))),
		"source":   broken(header("ce_source", []byte("/only/two"))),
		"key":      broken(func(r *kgo.Record) { r.Key = nil }),
		"no value": broken(func(r *kgo.Record) { r.Value = nil }),
		"deletion": broken(header("ce_type", []byte("almanac.document.deleted"))),
		"not text": broken(func(r *kgo.Record) { r.Value = []byte("\xff\xfe") }),
		"mark":     broken(header("ce_type", []byte("almanac.mark"))),
		"unkeyed":  broken(header("ce_type", []byte("almanac.unkeyed"))),
		"key space": broken(func(r *kgo.Record) {
			for _, h := range r.Headers {
				if h.Key == "almanac" {
					incarnation := 3 + 16 // version, flags, mode, uuid
					epk := incarnation + 1 + int(h.Value[incarnation])
					h.Value[epk+1] = 0xff
				}
			}
		}),
		"definition": broken(func(r *kgo.Record) {
			header("ce_type", []byte("almanac.definition"))(r)
			r.Value = []byte(`{"defaultTtl":[1]}`)
		}),
	}
	w.sendChanges(20)
	w.run(w.store)
	w.waitArchived()
	rows := w.rows()
	w.sent[foreign] = w.quarantined(rows, foreign, "foreign")
	var q schemas.Quarantine
	if err := json.Unmarshal(w.sent[foreign].row.Document, &q); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(q.Key, raw.Key) || !bytes.Equal(q.Value, raw.Value) || len(q.Headers) != 1 || !bytes.Equal(q.Headers[0].Value, raw.Headers[0].Value) {
		t.Errorf("got %+v want the record's bytes", q)
	}
	for name, at := range ours {
		t.Log(name)
		w.sent[at] = w.quarantined(rows, at, "ours")
	}
	w.check()
}

// TestOtherTopicsRecordsHalt: a record that carries another topic's uuid halts its partition alone.
func TestOtherTopicsRecordsHalt(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(30)
	mine := w.uuid
	w.uuid = schemas.NewUUID()
	stray, _ := w.change(1, 1)
	w.uuid = mine
	at := w.send(stray, sentRecord{})
	delete(w.sent, at)
	r := w.run(w.store)
	halt := w.waitHalt(1)
	if !strings.Contains(halt.Evidence, mine.String()) {
		t.Errorf("got evidence %s want the uuids", halt.Evidence)
	}
	w.waitArchived() // also what stands before it in partition 1
	if _, err := w.clear(1, archiver.AcceptGap); exitCode(err) != 2 {
		t.Errorf("got %v want a usage error: it is no gap", err)
	}
	if _, err := w.clear(1, archiver.Mended); exitCode(err) != 3 || !strings.Contains(err.Error(), mine.String()) || !strings.Contains(err.Error(), "archive under another topic name") {
		t.Errorf("got %v want exit code 3, the uuids and the remedy: the record still comes next", err)
	}
	if !w.isHalted(1) {
		t.Error("got no halt any more want it to stay")
	}
	if err := r.stop(); err != nil {
		t.Errorf("got %v want a clean end", err)
	}
	w.check()
	w.deleteRecords(1, at.offset+1) // which are the right ones again, or none
	if cleared, err := w.clear(1, archiver.Mended); err != nil || cleared.Halt == nil {
		t.Errorf("got %+v, %v want the halt cleared", cleared, err)
	}
}

// TestReplacedIdentityHaltsAll: topic.json is not the one that the table was begun under.
func TestReplacedIdentityHaltsAll(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(30)
	r := w.run(w.store)
	w.waitArchived()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	w.replaceIdentity()
	if err := w.run(w.store).wait(); exitCode(err) != 3 {
		t.Errorf("got %v want exit code 3: nothing is left to do", err)
	}
	for p := range int32(partitions) {
		w.waitHalt(p)
	}
}

// replaceIdentity puts a topic.json of another topic in place of ours.
func (w *world) replaceIdentity() {
	w.t.Helper()
	other, err := json.Marshal(schemas.Topic{UUID: schemas.NewUUID(), Format: schemas.FormatVersion})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.Put(w.t.Context(), schemas.TopicFile(topicName), bytes.NewReader(other), blob.Always()); err != nil {
		w.t.Fatal(err)
	}
}

// TestRecreatedTopicHalts: the topic ends before the archive does.
func TestRecreatedTopicHalts(t *testing.T) {
	w := newWorld(t)
	w.sendChanges(100)
	r := w.run(w.store)
	w.waitArchived()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	before := w.rows()
	w.startKafka() // an empty topic of the same name
	if err := w.run(w.store).wait(); exitCode(err) != 3 {
		t.Errorf("got %v want exit code 3", err)
	}
	if got := w.waitTopicHalt().Reason; !strings.Contains(got, "made anew") {
		t.Errorf("got reason %q want one that says that the topic was made anew", got)
	}
	if after := w.rows(); !maps.EqualFunc(before, after, func(a, b []sentRecord) bool { return len(a) == len(b) }) {
		t.Error("got other rows than before")
	}
}

func TestBadBeginnings(t *testing.T) {
	t.Run("missing topic", func(t *testing.T) {
		w := newWorld(t)
		w.config.Containers = []config.Container{{Database: "shop", Container: "absent", Topic: "cosmos.shop.absent"}}
		if err := w.run(w.store).wait(); exitCode(err) != 2 || !strings.Contains(err.Error(), "cosmos.shop.absent") {
			t.Errorf("got %v want exit code 2 naming the topic", err)
		}
	})
	t.Run("fewer partitions than the table", func(t *testing.T) {
		w := newWorld(t)
		w.sendChanges(20)
		r := w.run(w.store)
		w.waitArchived()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		w.startKafkaWith(partitions - 1)
		if err := w.run(w.store).wait(); exitCode(err) != 3 || !strings.Contains(err.Error(), "fewer partitions") {
			t.Errorf("got %v want exit code 3 naming the partitions", err)
		}
	})
}

// TestClaimCheck puts large documents back inline, and quarantines those that are gone or other ones.
func TestClaimCheck(t *testing.T) {
	w := newWorld(t)
	document := bytes.Repeat([]byte(`{"large":9007199254740993123}`), 60_000)
	var places []place
	for i, stored := range [][]byte{document, nil, append([]byte("x"), document[1:]...), document[1:]} {
		name := schemas.LargeFile(time.Now(), schemas.NewUUID())
		if stored != nil {
			if _, err := w.store.Put(t.Context(), topicName+"/"+name, bytes.NewReader(stored), blob.IfAbsent()); err != nil {
				t.Fatal(err)
			}
		}
		_, want := w.change(0, 2*i)
		want.row.Op, want.row.Document = schemas.OpUpserted, document
		value, err := schemas.NewClaimCheck(name, document).Encode()
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, w.send(w.recordOf(want.row, "/account/shop/orders", value, true), want))
	}
	w.run(w.store)
	w.waitArchived()
	rows := w.rows()
	for _, at := range places[1:] {
		w.sent[at] = w.quarantined(rows, at, "ours")
	}
	w.check()
}

// TestControlRowsWait: control rows alone wait for the control interval, and go along with changes at once. Time passes
// only when the test says so.
func TestControlRowsWait(t *testing.T) {
	w := newWorld(t)
	w.config.Archiver.ControlCommitInterval = time.Hour
	var polled polledRecords
	var clock passingTime
	w.runWith(archiver.Options{
		Config: w.config, Archive: w.store, Producer: w.store, Log: w.log(), Now: clock.now, Kafka: []kgo.Opt{kgo.WithHooks(&polled)},
	})
	pass := func(d time.Duration, records int64) {
		w.eventually("all is read", func() bool { return polled.n.Load() == records })
		looks := clock.looks.Load()
		w.eventually("a look at the clock", func() bool { return clock.looks.Load() > looks+4 }) // the records are in the buffer
		clock.passed.Add(int64(d))
		looks = clock.looks.Load()
		w.eventually("a look at the clock", func() bool { return clock.looks.Load() > looks+4 })
	}
	version := func(want int64, when string) {
		t.Helper()
		if got := w.changes().Snapshot.Version; got != want {
			t.Errorf("got version %d want %d %s", got, want, when)
		}
	}
	definition := func() {
		row := archive.Row{
			PartitionKey: schemas.ControlKey(schemas.OpDefinition, "shop.orders", schemas.FeedRange{}), ID: []byte("shop.orders"), Op: schemas.OpDefinition,
			TS: 1_760_000_000_000_000, EPK: []byte("05C1E023"), Topic: []byte(w.uuid.String()), Document: []byte(`{"id":"orders"}`),
		}
		w.send(w.record(row, "/account/shop/orders"), sentRecord{schemas.ControlContainer, row})
	}
	w.sendChanges(10)
	pass(time.Second, 10)
	version(0, "after changes and a flush interval")
	definition()
	pass(50*time.Minute, 11)
	version(0, "after a control row alone")
	pass(20*time.Minute, 11)
	version(1, "after the control interval")
	pass(100*time.Hour, 11)
	version(1, "when idle")
	definition()
	w.sendChanges(1)
	pass(time.Second, 13)
	version(2, "after a change that takes the control row along")
	w.check()
}

// passingTime is a clock that the test moves, and that counts who looks.
type passingTime struct{ passed, looks atomic.Int64 }

func (c *passingTime) now() time.Time {
	c.looks.Add(1)
	return time.Unix(1_760_000_000, c.passed.Load())
}

// TestRefusedSession: the brokers take no session that long, and a restart changes nothing.
func TestRefusedSession(t *testing.T) {
	w := newWorld(t)
	w.config.Kafka.SessionTimeout = 40 * time.Minute // more than the brokers allow
	if err := w.run(w.store).wait(); exitCode(err) != 2 || !strings.Contains(err.Error(), "kafka.session_timeout 40m0s") {
		t.Errorf("got %v want exit code 2 and the setting", err)
	}
}

// TestClearOfNothing: what is not halted is no error, what does not exist is one.
func TestClearOfNothing(t *testing.T) {
	w := newWorld(t)
	for _, answer := range []archiver.Answer{archiver.Mended, archiver.AcceptGap} {
		if cleared, err := w.clear(1, answer); err != nil || cleared.Halt != nil || cleared.Gap != nil {
			t.Errorf("got %+v, %v want nothing done", cleared, err)
		}
	}
	if _, err := w.clear(99, archiver.Mended); exitCode(err) != 2 || !strings.Contains(err.Error(), "no partition 99") {
		t.Errorf("unknown partition: got %v want exit code 2 and its number", err)
	}
	o := archiver.Options{Config: w.config, Archive: w.store, Producer: w.store, Log: w.log()}
	if _, err := archiver.Clear(t.Context(), o, "cosmos.shop.nothing", 1, archiver.Mended); exitCode(err) != 2 || !strings.Contains(err.Error(), "known topics: "+topicName) {
		t.Errorf("unknown topic: got %v want exit code 2 and the known ones", err)
	}
}
