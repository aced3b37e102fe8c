package kafka_test

import (
	"crypto/tls"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/kafka"
)

// TestEventHubsRequests: however much waits for however many partitions, no request reaches the size, and none has the
// version, at which Event Hubs ends the connection.
func TestEventHubsRequests(t *testing.T) {
	s := newSecured(t, tls.NoClientCert, kfake.EnableSASL(), kfake.Superuser("PLAIN", "$ConnectionString", "Endpoint=sb://x"),
		kfake.SeedTopics(8, "hub"), kfake.MaxVersions(kversion.V1_0_0()))
	s.cfg.Profile, s.cfg.Compression, s.cfg.MaxMessageBytes = config.ProfileEventHubs, config.CompressionNone, 1_046_528-1024
	s.cfg.SASL = config.KafkaSASL{Mechanism: config.Plain, User: "$ConnectionString", Password: config.NewSecret("Endpoint=sb://x")}
	var mu sync.Mutex
	greatest, newest := 0, int16(0)
	s.cluster.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		greatest = max(greatest, len(request.AppendTo(nil)))
		if r, ok := request.(*kmsg.ApiVersionsRequest); ok {
			newest = max(newest, r.Version)
		}
		return nil, nil, false
	})
	options := append(optionsOf(t, s.cfg), kafka.ProduceOptions(s.cfg, 64<<20)...)
	client := newClient(t, append(options, kgo.ManualFlushing(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	var records []*kgo.Record
	for i := range 48 {
		records = append(records, &kgo.Record{Topic: "hub", Partition: int32(i % 8), Value: make([]byte, 300_000)})
	}
	var wg sync.WaitGroup
	for _, record := range records {
		wg.Add(1)
		client.Produce(t.Context(), record, func(_ *kgo.Record, err error) {
			defer wg.Done()
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	mu.Lock()
	defer mu.Unlock()
	if greatest >= 1_046_528 || greatest < 900_000 || newest >= 4 {
		t.Errorf("got a request of %d bytes, and ApiVersions %d, want less than 1046528, and less than 4", greatest, newest)
	}
}
