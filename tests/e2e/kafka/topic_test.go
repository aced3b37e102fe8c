// Package kafka_test judges the topic checks and the client options against an in-process Kafka.
package kafka_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/kafka"
)

func newClient(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func newCluster(t *testing.T) config.Kafka {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(7, "cosmos.shop.orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return config.Kafka{Brokers: cluster.ListenAddrs(), SessionTimeout: 10 * time.Second, MaxMessageBytes: 1_000_000}
}

func TestTopic(t *testing.T) {
	cfg := newCluster(t)
	client := newClient(t, kafka.ClientOptions(cfg, nil)...)
	if got, err := kafka.Topic(t.Context(), client, "cosmos.shop.orders"); err != nil || got != 7 {
		t.Errorf("got %d partitions, %v; want 7", got, err)
	}
	_, err := kafka.Topic(t.Context(), client, "cosmos.shop.nothing")
	var coded interface{ ExitCode() int }
	if !errors.As(err, &coded) || coded.ExitCode() != 2 {
		t.Fatalf("got %v, want exit code 2", err)
	}
	for _, word := range []string{"cosmos.shop.nothing", cfg.Brokers[0], "create it"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("got %q, want it to say %q", err, word)
		}
	}
}

// TestNoBrokers wants a word within seconds, naming whom nobody could reach.
func TestNoBrokers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, kafka.ClientOptions(config.Kafka{Brokers: []string{closed}}, nil)...)
	began := time.Now()
	_, err = kafka.Topic(t.Context(), client, "cosmos.shop.orders")
	if err == nil {
		t.Fatal("got no error")
	}
	for _, word := range []string{closed, "kafka.brokers", "advertised.listeners", "firewall"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("got %q, want it to say %q", err, word)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("got it after %v, want it within 10 s", took)
	}
}

// TestRefusedSessionTimeout gives the brokers a session shorter than they allow, which the client would try for ever.
func TestRefusedSessionTimeout(t *testing.T) {
	cfg := newCluster(t) // its least is 6 s, as Kafka's
	cfg.SessionTimeout = 3 * time.Second
	refused := make(chan error, 1)
	options := append(kafka.ClientOptions(cfg, nil), kafka.GroupOptions(cfg, "almanac-test", "cosmos.shop.orders")...)
	newClient(t, append(options, kafka.OnRefused(cfg, "almanac-test", func(err *kafka.ConfigError) {
		select {
		case refused <- err:
		default:
		}
	}))...)
	select {
	case err := <-refused:
		for _, word := range []string{"kafka.session_timeout 3s", "almanac-test", "group.min.session.timeout.ms"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("got %q, want it to say %q", err, word)
			}
		}
	case <-time.After(10 * time.Second):
		t.Error("got no word within 10 s")
	}
}

// TestKeysGoWhereKafkasOwnClientsPutThem pins the partitioner: a key's place must not depend on who wrote it.
func TestKeysGoWhereKafkasOwnClientsPutThem(t *testing.T) {
	cfg := newCluster(t)
	client := newClient(t, append(kafka.ClientOptions(cfg, nil), kafka.ProduceOptions(cfg, 1<<20)...)...)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for key, murmur2 := range map[string]int32{ // org.apache.kafka.common.utils.UtilsTest, testMurmur2
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		result := client.ProduceSync(ctx, &kgo.Record{Topic: "cosmos.shop.orders", Key: []byte(key)})
		record, err := result.First()
		if err != nil {
			t.Fatal(err)
		}
		if want := (murmur2 & 0x7fffffff) % 7; record.Partition != want {
			t.Errorf("key %s: got partition %d, want %d", key, record.Partition, want)
		}
	}
}
