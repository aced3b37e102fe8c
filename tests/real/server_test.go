package real_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/cosmos-almanac/almanac/tests/harness"
)

// cluster is three brokers of Apache Kafka, each a process of its own.
type cluster struct {
	t       *testing.T
	folder  string
	brokers []string
	admin   *kadm.Client
}

const clusterNodes = "3"

// newCluster starts one below a folder of the test, and stops it with the test.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, folder: filepath.Join(components.folder, t.Name(), "kafka")}
	c.brokers = startKafka(t, c.folder, clusterNodes)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	c.admin = kadm.NewClient(client)
	return c
}

// startKafka starts Apache Kafka in a folder, stops it with the test, and tells its brokers' addresses.
func startKafka(t *testing.T, folder string, nodes ...string) (brokers []string) {
	t.Helper()
	t.Cleanup(func() {
		if err := script("kafka", "stop", folder); err != nil {
			t.Error(err)
		}
	})
	if err := script("kafka", append([]string{"start", folder}, nodes...)...); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "brokers"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), ",")
}

// start starts those nodes that do not run.
func (c *cluster) start() {
	c.t.Helper()
	if err := script("kafka", "start", c.folder, clusterNodes); err != nil {
		c.t.Fatal(err)
	}
}

// kill ends a node at once; its data stay.
func (c *cluster) kill(ctx context.Context, node int32) {
	c.t.Helper()
	if err := kill(ctx, filepath.Join(c.folder, fmt.Sprintf("node-%d", node))); err != nil {
		c.t.Fatal(err)
	}
}

// signal reaches a node's process.
func (c *cluster) signal(node int32, signal syscall.Signal) error {
	pid, err := pidOf(filepath.Join(c.folder, fmt.Sprintf("node-%d", node)))
	if err != nil {
		return fmt.Errorf("signal node %d: %w", node, err)
	}
	return syscall.Kill(pid, signal)
}

// coordinator is the node that keeps a consumer group.
func (c *cluster) coordinator(ctx context.Context, group string) int32 {
	c.t.Helper()
	found := c.admin.FindGroupCoordinators(ctx, group)[group]
	if found.Err != nil {
		c.t.Fatal(found.Err)
	}
	return found.NodeID
}

// whole says which partitions lack a replica that is in sync.
func (c *cluster) whole(ctx context.Context) (missing string, err error) {
	topics, err := c.admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return "", fmt.Errorf("list topics: %w", err)
	}
	var lacking []string
	topics.EachPartition(func(p kadm.PartitionDetail) {
		if len(p.ISR) < len(p.Replicas) {
			lacking = append(lacking, fmt.Sprintf("%s/%d", p.Topic, p.Partition))
		}
	})
	return strings.Join(lacking, " "), nil
}

// kill ends a server of deploy/dev (kill -9) and waits for its end.
func kill(ctx context.Context, folder string) error {
	pid, err := pidOf(folder)
	if err != nil {
		return fmt.Errorf("kill the server of %s: %w", folder, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the server of %s: %w", folder, err)
	}
	return harness.Until(ctx, "the end of "+folder, func() (string, error) {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return "", nil
		}
		return "it runs", nil
	})
}

// pidOf is the process of a server.
func pidOf(folder string) (int, error) {
	text, err := os.ReadFile(filepath.Join(folder, "pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// azurite is one that keeps what it was given over its own death, below a folder of the test.
type azurite struct {
	t      *testing.T
	folder string
	emulated
}

func newAzurite(t *testing.T) *azurite {
	t.Helper()
	a := &azurite{t: t, folder: filepath.Join(components.folder, t.Name(), "azurite")}
	t.Cleanup(func() {
		if err := script("azurite", "stop", a.folder); err != nil {
			t.Error(err)
		}
	})
	a.start()
	text, err := os.ReadFile(filepath.Join(a.folder, "connection-string"))
	if err != nil {
		t.Fatal(err)
	}
	a.emulated = emulatedBy(strings.TrimSpace(string(text)))
	return a
}

func (a *azurite) start() {
	a.t.Helper()
	if err := script("azurite", "start", a.folder); err != nil {
		a.t.Fatal(err)
	}
}

// put stores a small object, directly.
func (a *azurite) put(ctx context.Context, in *container.Client, name string) {
	a.t.Helper()
	if _, err := in.NewBlockBlobClient(name).UploadBuffer(ctx, []byte(name), nil); err != nil {
		a.t.Fatal(err)
	}
}

// written says whether Azurite's databases on disk hold an object, and with it everything that it acknowledged before. It
// keeps them in memory and writes each down every five seconds, whole: a kill -9 in between would undo what was
// acknowledged, as no storage service does.
func (a *azurite) written(name string) (missing string, err error) {
	var blobs struct {
		Collections []struct {
			Data []struct {
				Name        string
				Persistency *struct {
					ID            string
					Offset, Count int64
				}
			}
		}
	}
	if err := a.database("__azurite_db_blob__.json", &blobs); err != nil {
		return "", err
	}
	var extents struct {
		Collections []struct {
			Data []struct {
				ID   string
				Size int64
			}
		}
	}
	if err := a.database("__azurite_db_blob_extent__.json", &extents); err != nil {
		return "", err
	}
	for _, blobs := range blobs.Collections {
		for _, blob := range blobs.Data {
			if blob.Name != name || blob.Persistency == nil {
				continue
			}
			for _, extents := range extents.Collections {
				for _, extent := range extents.Data {
					if extent.ID == blob.Persistency.ID && extent.Size >= blob.Persistency.Offset+blob.Persistency.Count {
						return "", nil
					}
				}
			}
			return "where its bytes are is not written down", nil
		}
	}
	return "its name is not written down", nil
}

func (a *azurite) database(name string, into any) error {
	text, err := os.ReadFile(filepath.Join(a.folder, "data", name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("read Azurite's database %s: %w", name, err)
	}
	return nil
}
