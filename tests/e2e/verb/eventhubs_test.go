package verb_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/cosmos-almanac/almanac/compactor"
	"github.com/cosmos-almanac/almanac/internal/check"
	"github.com/cosmos-almanac/almanac/restorer"
	"github.com/cosmos-almanac/almanac/tests/harness"
)

const connectionString = "Endpoint=sb://sky.servicebus.windows.net/;SharedAccessKeyName=almanac;SharedAccessKey=" + password

// TestEventHubs runs the programs against brokers as Event Hubs are: old protocol versions, TLS, a connection string, no
// topic that anybody makes, and no request of 1,046,528 bytes or more.
func TestEventHubs(t *testing.T) {
	w := newWorld(t, kfake.NumBrokers(1), kfake.MaxVersions(kversion.V1_0_0()), kfake.Superuser("PLAIN", "$ConnectionString", connectionString))
	var mu sync.Mutex
	var greatest int
	var refused []string
	w.kafka.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		greatest = max(greatest, len(request.AppendTo(nil)))
		switch r := request.(type) {
		case *kmsg.CreateTopicsRequest:
			refused = append(refused, "makes a topic")
		case *kmsg.ApiVersionsRequest:
			if r.Version >= 4 {
				refused = append(refused, fmt.Sprintf("ApiVersions %d", r.Version))
			}
		case *kmsg.ProduceRequest:
			for _, at := range r.Topics {
				for _, p := range at.Partitions {
					if len(p.Records) > 22 && p.Records[22]&7 != 0 { // the codec, in a batch's attributes
						refused = append(refused, "compresses")
					}
				}
			}
		}
		return nil, nil, false
	})
	w.must(w.kafka.CreateTopic(topic, 2, nil))
	delete(w.settings, "kafka.sasl")
	w.settings["kafka.tls"] = strings.Replace(w.settings["kafka.tls"], "enabled: true, ", "", 1)
	w.settings["kafka.profile"], w.settings["kafka.sasl"] = "eventhubs", `{password: "`+connectionString+`"}`
	w.settings["kafka.session_timeout"], w.settings["kafka.max_message_bytes"] = "6s", "1021KiB"
	for _, program := range []string{"producer", "archiver"} {
		if exit, report := w.check(program); exit != 0 || report.Severity != check.OK {
			t.Errorf("%s: got exit %d, %+v want all well", program, exit, report)
		}
	}
	w.write(20)
	for i, size := range []int{900_000, 1_040_000, 1_046_000, 1_900_000, 600_000, 600_000, 600_000, 600_000, 600_000, 600_000, 600_000, 600_000} {
		tenant := fmt.Sprintf("t%d", i)
		document := fmt.Sprintf(`{"id":"large%d","tenant":%q,"text":%q}`, i, tenant, strings.Repeat("x", size))
		w.must(w.account.Write(t.Context(), harness.Upsert, products(), `["`+tenant+`"]`, []byte(document)))
	}
	w.start("producer")
	w.start("archiver")
	var points restorer.Status
	w.eventually("a restore point", func() string {
		w.status("restorer", &points)
		if points.Containers[0].NewestExact == "" {
			return strings.Join(points.Containers[0].Pending, "; ")
		}
		return ""
	})
	if exit, _, stderr := w.run("compactor", "snapshot"); exit != 0 {
		t.Fatalf("compactor snapshot: exit %d\n%s", exit, stderr)
	}
	var snapshots compactor.Status
	w.status("compactor", &snapshots)
	if got := snapshots.Containers[0].Newest; got == nil || got.Rows != 32 {
		t.Errorf("got %+v want a snapshot of 32 documents", got)
	}
	mu.Lock()
	defer mu.Unlock()
	const limit = 1_046_528
	if greatest >= limit || greatest < 900_000 || len(refused) != 0 {
		t.Errorf("got a request of %d bytes, and %q want less than %d, and nothing that Event Hubs refuses", greatest, refused, limit)
	}
}
