package producer_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

func TestTwoProducersPublishAll(t *testing.T) {
	c := harness.Container{Database: "shop", ID: "orders", Key: []string{"/pk"}, Ranges: 5}
	w := newWorld(t, c)
	w.fill(c, 200, 1)
	first, second := w.run(), w.run()
	w.waitComplete(c)
	w.fill(c, 150, 2)
	w.waitComplete(c)
	if n := w.judge(c, nil); n < 2*c.Ranges {
		t.Errorf("got %d usable marks, want two per range at least", n)
	}
	w.checkOpening(c)
	w.checkRepeats(c)
	w.checkHeaders(c)
	for _, r := range []*running{first, second} {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
}

// checkHeaders demands what every event says of itself.
func (w *world) checkHeaders(c harness.Container) {
	w.t.Helper()
	identity, _, err := blob.ReadAll(w.t.Context(), w.root, schemas.TopicFile(c.TopicName()), 1<<10)
	if err != nil {
		w.t.Fatal(err)
	}
	rid := w.checkpoints(c)[0].Incarnation
	place := map[string]int32{}
	for _, e := range w.those(func(e *event) bool { return e.name() == c.Name() }) {
		where := fmt.Sprintf("%s %d:%d", e.Op, e.Partition, e.Offset)
		a := e.Attributes
		if !bytes.Contains(identity, []byte(a.Topic.String())) || a.Mode != schemas.LatestVersion || string(a.Incarnation) != rid || a.Generation <= 0 {
			w.t.Errorf("%s: got attributes %+v", where, a)
		}
		if string(e.Account) != "fake" || string(e.Received.Container) != c.ID || string(e.Database) != c.Database {
			w.t.Errorf("%s: got source /%s/%s/%s", where, e.Account, e.Database, e.Received.Container)
		}
		if have, ok := place[string(e.Key)]; ok && have != e.Partition {
			w.t.Errorf("%s: key %s stands in partition %d too", where, e.Key, have)
		}
		place[string(e.Key)] = e.Partition
		switch {
		case e.mark != nil:
			if !e.mark.Range.Contains(e.epk()) || a.Order.LSN != e.mark.LSN || string(e.Subject) != c.Name() || string(e.Key) != string(schemas.ControlKey(schemas.OpMark, c.Name(), e.mark.Range)) {
				w.t.Errorf("%s: got key %s subject %s epk %s for the mark of %s", where, e.Key, e.Subject, e.epk(), e.mark.Range)
			}
		case e.Op == schemas.OpDefinition:
			if string(e.Subject) != c.Name() || string(e.Key) != "almanac:definition:"+c.Name() {
				w.t.Errorf("%s: got key %s subject %s", where, e.Key, e.Subject)
			}
		case a.ETag == nil || a.RID == nil:
			w.t.Errorf("%s: got attributes %+v", where, a)
		}
	}
}

// TestDocumentsAreExact: what JSON readers like to change, keys of all kinds, and documents above the brokers' limit.
func TestDocumentsAreExact(t *testing.T) {
	c := orders()
	c.Ranges = 5
	w := newWorld(t, c)
	w.config.Kafka.MaxMessageBytes = 20_000
	large := `{"id":"large","pk":"l","fill":"` + strings.Repeat("0123456789ü", 150_000) + `"}`
	for key, document := range map[string]string{
		`["a"]`:        `{"id":"numbers","pk":"a","n":[9007199254740993123,1.0,1e400,-0,1E+2]}`,
		`["b"]`:        ` { "id" : "blanks", "pk":"b" ,"e":"\u003c\/\ud83d\ude00" } `,
		`["c"]`:        `{"id":"twice","x":1,"pk":"c","x":2}`,
		`["ключ 😀"]`:   `{"id":"ünï 😀","pk":"ключ 😀"}`,
		`[1]`:          `{"id":"number","pk":1.0}`,
		`[null]`:       `{"id":"null","pk":null}`,
		`[true]`:       `{"id":"true","pk":true}`,
		`[{}]`:         `{"id":"no key"}`,
		`["l"]`:        large,
		`["borderer"]`: `{"id":"borderer","pk":"borderer","fill":"` + strings.Repeat("x", 18_500) + `"}`,
	} {
		w.write(c, key, document)
	}
	w.run()
	w.waitComplete(c)
	w.judge(c, nil)
	claims := w.those(func(e *event) bool { return e.Attributes.ClaimCheck })
	if !slices.ContainsFunc(claims, func(e event) bool { return string(e.Subject) == "large" }) {
		t.Error("the large document did not go by claim check")
	}
	for _, e := range w.all() {
		if len(e.Value) > 20_000 {
			t.Errorf("got a record of %d bytes, want 20,000 at most", len(e.Value))
		}
		if e.Op == schemas.OpUpserted && string(e.Subject) == "no key" && string(e.Key) != `[{}]` {
			t.Errorf("got key %s, want [{}]", e.Key)
		}
	}
}

func TestHierarchicalKeysAndSharedTopic(t *testing.T) {
	deep := harness.Container{Database: "shop", ID: "visits", Key: []string{"/tenant", "/user", "/session"}, Ranges: 3, Topic: topicName}
	flat := orders()
	flat.Topic = topicName
	w := newWorld(t, deep, flat)
	for i := range 60 {
		key := fmt.Sprintf(`["t%d","u%d",%d]`, i%3, i%7, i)
		w.write(deep, key, fmt.Sprintf(`{"id":"v%d","tenant":"t%d","user":"u%d","session":%d}`, i, i%3, i%7, i))
	}
	w.write(deep, `["t1",{},{}]`, `{"id":"short","tenant":"t1"}`)
	w.fill(flat, 30, 1)
	w.run()
	w.run()
	for _, c := range []harness.Container{deep, flat} {
		w.waitComplete(c)
		w.judge(c, nil)
		w.checkOpening(c)
		w.checkHeaders(c)
	}
}

// TestDefinitions: a definition stands before the marks that its range completes, within their offsets, once; it is
// published again when it changed.
func TestDefinitions(t *testing.T) {
	c := orders()
	c.Ranges = 3
	w := newWorld(t, c)
	w.fill(c, 30, 1)
	first := w.run()
	w.waitComplete(c)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := w.run()
	w.waitComplete(c)
	definitions := func() []event {
		return w.those(func(e *event) bool { return e.Op == schemas.OpDefinition })
	}
	check := func(n int) {
		t.Helper()
		got := definitions()
		if len(got) != n {
			t.Fatalf("got %d definitions, want %d", len(got), n)
		}
		live, err := w.account.ReadContainer(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		last := got[n-1]
		if !bytes.Equal(last.Value, live) {
			t.Errorf("got definition %s, want %s", last.Value, live)
		}
		for _, m := range w.marks(c) {
			if usable(m.mark) && m.mark.Range.Min == schemas.MinEPK && m.mark.Offsets[got[0].Partition] < got[0].Offset {
				t.Errorf("the mark at %d:%d does not know of the definition", m.Partition, m.Offset)
			}
		}
		for i := 1; i < n; i++ {
			if got[i].Time.Before(got[i-1].Time) {
				t.Errorf("definition %d is of %v, the one before of %v", i, got[i].Time, got[i-1].Time)
			}
		}
	}
	check(1)
	w.redefine(c)
	w.eventually("a second definition", func() bool { return len(definitions()) == 2 })
	check(2)
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	w.run()
	w.waitComplete(c)
	w.morePolls(20)
	check(2)
}

// redefine gives the container a time to live.
func (w *world) redefine(c harness.Container) {
	w.t.Helper()
	credential, err := azcosmos.NewKeyCredential(w.cosmos.Key())
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := azcosmos.NewClientWithKey(w.cosmos.URL(), credential, &azcosmos.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: w.cosmos.Client()},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	container, err := client.NewContainer(c.Database, c.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	ttl := int32(3600)
	answer, err := container.Replace(w.t.Context(), azcosmos.ContainerProperties{
		ID: c.ID, DefaultTimeToLive: &ttl,
		PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: c.Key, Kind: azcosmos.PartitionKeyKindHash, Version: 2},
	}, nil)
	if err != nil || answer.RawResponse.StatusCode != http.StatusOK {
		w.t.Fatal(err)
	}
}
