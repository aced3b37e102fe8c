package archiver_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/archiver"
	"github.com/cosmos-almanac/almanac/internal/archive"
	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
)

// lastRecord is what stands at the last archived offset of partition 0.
type lastRecord struct {
	name    string
	archive func(w *world) // up to there, by an archiver that has ended
	at      int64
	text    string // what a halt says of it
}

func lastRecords() []lastRecord {
	return []lastRecord{
		{"change", archiveChange, 0, "upserted aXkBAKqh5wo=:aXkBAKqh5woBAAAA:1760000000000:1:0 published at 2025-10-09T08:53:20.000Z"},
		{"deletion", archiveDeletion, 0, "deleted aXkBAKqh5wo=:aXkBAKqh5woBAAAA:1760000000000:22:0 published at"},
		{"control event", archiveDefinition, 0, "definition ::0:0:0 published at"},
		{"quarantined", archiveForeign, 0, "a quarantined record published at"},
		{"claim check of a document that is gone", archiveLarge, 0, "upserted aXkBAKqh5wo=:aXkBAKqh5woBAAAA:1760000000000:2:0 published at"},
		{"end of a transaction", archiveTransaction, 1, "a quarantined record published at"},
		{"gap", archiveGap, 1, "a gap that was accepted at"},
	}
}

func archiveChange(w *world)   { w.send(w.change(0, 1)); w.archiveTo(0) }
func archiveDeletion(w *world) { w.send(w.change(0, 22)); w.archiveTo(0) }

func archiveDefinition(w *world) {
	row := archive.Row{
		PartitionKey: schemas.ControlKey(schemas.OpDefinition, "shop.orders", schemas.FeedRange{}), ID: []byte("shop.orders"), Op: schemas.OpDefinition,
		TS: 1_760_000_000_000_000, EPK: []byte("05C1E023"), Topic: []byte(w.uuid.String()), Document: []byte(`{"id":"orders"}`),
	}
	w.send(w.record(row, "/account/shop/orders"), sentRecord{schemas.ControlContainer, row})
	w.archiveTo(0)
}

func archiveForeign(w *world) {
	w.send(&kgo.Record{
		Topic: topicName, Key: []byte{0xff, 0x00}, Value: []byte("\x00not JSON\xff"),
		Headers: []kgo.RecordHeader{{Key: "n\xffme", Value: []byte{1, 2}}, {Key: "none"}},
	}, sentRecord{})
	w.archiveTo(0)
}

func archiveLarge(w *world) {
	_, want := w.change(0, 2)
	name := schemas.LargeFile(time.Now(), schemas.NewUUID())
	object := topicName + "/" + name
	if _, err := w.store.Put(w.t.Context(), object, bytes.NewReader(want.row.Document), blob.IfAbsent()); err != nil {
		w.t.Fatal(err)
	}
	value, err := schemas.NewClaimCheck(name, want.row.Document).Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	w.send(w.recordOf(want.row, "/account/shop/orders", value, true), want)
	w.archiveTo(0)
	if err := w.store.Delete(w.t.Context(), object); err != nil {
		w.t.Fatal(err)
	}
}

func archiveTransaction(w *world) {
	w.transaction(kgo.TryCommit)
	w.archiveTo(1)
}

// archiveGap has the gap of a record that was compacted away, behind which the log goes on.
func archiveGap(w *world) {
	w.send(w.change(0, 1))
	w.lose() // offset 1; 2 is there
	r := w.run(w.store)
	w.waitHalt(0)
	if err := r.stop(); err != nil && exitCode(err) != 3 {
		w.t.Fatal(err)
	}
	w.mustClear(0, schemas.Gap{From: 1, To: 1})
}

// transaction is one of strangers on partition 0: a record, and the control record that ends it.
func (w *world) transaction(end kgo.TransactionEndTry) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.config.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("strangers"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	record, _ := w.change(0, 1)
	if err := client.ProduceSync(w.t.Context(), record).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	if err := client.EndTransaction(w.t.Context(), end); err != nil {
		w.t.Fatal(err)
	}
}

// lose has a record of partition 0 that is gone, and a control record behind it: the topic was compacted behind a transaction
// that was aborted.
func (w *world) lose() {
	w.t.Helper()
	w.transaction(kgo.TryAbort)
	w.policy("compact")
	w.kafka.Compact()
	w.policy("delete")
}

func (w *world) policy(policy string) {
	w.t.Helper()
	set := []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy},
		{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("-1")},
	}
	if _, err := kadm.NewClient(w.client).AlterTopicConfigs(w.t.Context(), set, topicName); err != nil {
		w.t.Fatal(err)
	}
}

// archiveTo runs an archiver until the table stands there in partition 0.
func (w *world) archiveTo(last int64) {
	w.t.Helper()
	r := w.run(w.store)
	w.eventuallyAt(last)
	if err := r.stop(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) eventuallyAt(last int64) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("offset %d of partition 0 archived", last), func() bool {
		at, known := w.changes().Offsets()[0]
		return known && at == last
	})
}

// TestRecreatedTopicThatGrew: the topic was made anew while no archiver ran, and is longer than the archive by now. What
// stands at the last archived offset tells (INV-10).
func TestRecreatedTopicThatGrew(t *testing.T) {
	for _, test := range lastRecords() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.archive(w)
			before := len(w.rows())
			w.startKafka() // an empty topic of the same name
			for i := range 5 {
				record, want := w.change(0, 100+i)
				record.Timestamp = time.Now()
				w.send(record, want)
			}
			w.send(w.change(1, 100)) // of this partition nothing was archived
			if err := w.ends(w.run(w.store)); exitCode(err) != 3 {
				t.Errorf("got %v want exit code 3: of the other partitions nothing tells whose records they hold", err)
			}
			halt := w.topicHalt()
			if halt == nil {
				t.Fatal("got no halt of the topic")
			}
			want := fmt.Sprintf("partition 0, offset %d: the table holds %s", test.at, test.text)
			if !strings.HasPrefix(halt.Evidence, want) || !strings.Contains(halt.Evidence, fmt.Sprintf("1760000000000:%d:0 published at", 100+test.at)) {
				t.Errorf("got evidence %q want %q and the record of the topic", halt.Evidence, want)
			}
			if !strings.Contains(halt.Reason, "made anew") || !strings.Contains(halt.Reason, "another topic name") {
				t.Errorf("got reason %q want what happened, and the remedy", halt.Reason)
			}
			if got := len(w.rows()); got != before {
				t.Errorf("got rows of %d offsets want %d, as before", got, before)
			}
			for _, answer := range []archiver.Answer{archiver.Mended, archiver.AcceptGap} {
				if _, err := w.clear(1, answer); exitCode(err) != 2 || !strings.Contains(err.Error(), "without --partition") {
					t.Errorf("got %v want a usage error: the whole topic is halted", err)
				}
			}
		})
	}
}

// TestLastRecordIsTheSame: whatever stands at the last archived offset, an archiver that starts again takes it for what it
// is.
func TestLastRecordIsTheSame(t *testing.T) {
	for _, test := range lastRecords() {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.archive(w)
			for i := range 2 {
				w.archiveTo(w.send(w.change(0, 3+i)).offset)
			}
		})
	}
}

// TestNothingAtTheLastOffset: the log goes on behind the last archived offset, and has no record there, as after a
// compaction.
func TestNothingAtTheLastOffset(t *testing.T) {
	w := newWorld(t)
	w.send(w.change(0, 1))
	w.send(w.change(0, 2))
	w.archiveTo(1)
	w.startKafka()
	w.send(w.change(0, 1))
	w.lose() // offset 1 is none
	w.send(w.change(0, 3))
	w.archiveTo(3)
}

// TestLastRecordAgedAway: the log begins behind the last archived offset.
func TestLastRecordAgedAway(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.send(w.change(0, i))
	}
	w.archiveTo(2)
	w.deleteRecords(0, 3)
	w.send(w.change(0, 3))
	w.archiveTo(3)
	w.check()
}
