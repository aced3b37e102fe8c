package kafka_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/cosmos-almanac/almanac/internal/config"
	"github.com/cosmos-almanac/almanac/internal/kafka"
)

// TestLifetime closes a member whose JoinGroup is never answered.
func TestLifetime(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	joining := make(chan struct{}, 16)
	cluster.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		joining <- struct{}{}
		return nil, nil, true
	})
	cfg := config.Kafka{Brokers: cluster.ListenAddrs(), SessionTimeout: 30 * time.Second}
	life := kafka.NewLifetime(100 * time.Millisecond)
	options := append(kafka.ClientOptions(cfg, slog.New(slog.DiscardHandler)), kafka.GroupOptions(cfg, "g", "t")...)
	member, err := kgo.NewClient(append(options, life.Option())...)
	if err != nil {
		t.Fatal(err)
	}
	<-joining
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		life.Close(nil, member)
	}()
	select {
	case <-closed:
	case <-time.After(8 * time.Second):
		t.Fatal("the client is not closed: it waits for its broker")
	}
}
