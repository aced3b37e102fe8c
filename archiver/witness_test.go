package archiver

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/archive"
)

// TestWitnessOfALaterVersion: a row that a later version archived, of a record that this one cannot decode.
func TestWitnessOfALaterVersion(t *testing.T) {
	published := time.UnixMilli(1_760_000_000_123)
	row := archive.Row{Op: "almanac.document.of-a-later-version", PartitionKey: []byte(`["a"]`), ID: []byte("1"), Offset: 7, PublishedAt: published.UnixMicro()}
	header := kgo.RecordHeader{Key: "ce_type", Value: []byte(row.Op)}
	for _, test := range []struct {
		name   string
		record kgo.Record
		same   bool
	}{
		{"itself", kgo.Record{Key: []byte(`["a"]`), Timestamp: published, Offset: 7, Headers: []kgo.RecordHeader{header}}, true},
		{"another time", kgo.Record{Key: []byte(`["a"]`), Timestamp: published.Add(time.Millisecond), Offset: 7, Headers: []kgo.RecordHeader{header}}, false},
		{"another key", kgo.Record{Key: []byte(`["b"]`), Timestamp: published, Offset: 7, Headers: []kgo.RecordHeader{header}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := new(decoder).differs(&test.record, newWitness(7, &row)); (got == "") != test.same {
				t.Errorf("got %q want the same: %v", got, test.same)
			}
		})
	}
}

// TestIdentityOfFetches: which records a comparison before the next commit is needed for.
func TestIdentityOfFetches(t *testing.T) {
	old, other := topicID{1}, topicID{2}
	records := []*kgo.Record{{}}
	for _, test := range []struct {
		name    string
		proved  topicID
		id      topicID
		records []*kgo.Record
		doubt   bool
	}{
		{"the first", topicID{}, old, records, true},
		{"of the proved id", old, old, records, false},
		{"of another id", old, other, records, true},
		{"of brokers without ids", topicID{}, topicID{}, records, true},
		{"no records", topicID{}, other, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			one := &topic{identity: identity{proved: test.proved}}
			a := &Archiver{byName: map[string]*topic{"t": one}}
			a.noteIdentity(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "t", TopicID: test.id, Partitions: []kgo.FetchPartition{{Records: test.records}}}}}})
			if one.identity.doubt != test.doubt {
				t.Errorf("got doubt %v want %v", one.identity.doubt, test.doubt)
			}
		})
	}
}
