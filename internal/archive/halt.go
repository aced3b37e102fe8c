package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
)

const smallLimit = 64 << 10 // bytes of a halt

// ReadHalt reads the halt of a topic partition; nil when it is not halted.
func ReadHalt(ctx context.Context, root blob.Store, topic string, partition int32) (*schemas.Halt, error) {
	return readHalt(ctx, root, schemas.HaltFile(topic, partition))
}

// ReadTopicHalt reads the halt of a topic as a whole, under which none of its partitions goes on; nil when there is none.
func ReadTopicHalt(ctx context.Context, root blob.Store, topic string) (*schemas.Halt, error) {
	return readHalt(ctx, root, schemas.TopicHaltFile(topic))
}

func readHalt(ctx context.Context, root blob.Store, name string) (*schemas.Halt, error) {
	body, _, err := blob.ReadAll(ctx, root, name, smallLimit)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read halt: %w", err)
	}
	halt := new(schemas.Halt)
	if err := json.Unmarshal(body, halt); err != nil {
		return nil, fmt.Errorf("read halt %s: %w", name, err)
	}
	return halt, nil
}

// PartitionHalt is the halt of a topic partition.
type PartitionHalt struct {
	Partition int32
	*schemas.Halt
}

// ListHalts reads the halts of all partitions of a topic, in the order of their numbers.
func ListHalts(ctx context.Context, root blob.Store, topic string) ([]PartitionHalt, error) {
	var partitions []int32
	err := root.List(ctx, schemas.HaltPrefix(topic), func(info blob.Info) error {
		name, _ := strings.CutSuffix(path.Base(info.Name), ".json")
		if n, err := strconv.ParseInt(name, 10, 32); err == nil {
			partitions = append(partitions, int32(n))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list halts: %w", err)
	}
	slices.Sort(partitions)
	var halts []PartitionHalt
	for _, partition := range partitions {
		halt, err := ReadHalt(ctx, root, topic, partition)
		if err != nil {
			return nil, err
		}
		if halt != nil { // it may have been cleared meanwhile
			halts = append(halts, PartitionHalt{partition, halt})
		}
	}
	return halts, nil
}

// WriteHalt halts a topic partition. A halt that stands there already stays: the first reason is the cause (INV-10).
func WriteHalt(ctx context.Context, root blob.Store, topic string, partition int32, halt *schemas.Halt) error {
	return writeHalt(ctx, root, schemas.HaltFile(topic, partition), halt)
}

// WriteTopicHalt halts a topic as a whole, as WriteHalt does a partition.
func WriteTopicHalt(ctx context.Context, root blob.Store, topic string, halt *schemas.Halt) error {
	return writeHalt(ctx, root, schemas.TopicHaltFile(topic), halt)
}

func writeHalt(ctx context.Context, root blob.Store, name string, halt *schemas.Halt) error {
	body, err := json.MarshalIndent(halt, "", "  ")
	if err != nil {
		return fmt.Errorf("write halt: %w", err)
	}
	_, err = root.Put(ctx, name, bytes.NewReader(body), blob.IfAbsent())
	if err != nil && !errors.Is(err, blob.ErrCondition) {
		return fmt.Errorf("write halt: %w", err)
	}
	return nil
}

// RemoveHalt lets a topic partition go on.
func RemoveHalt(ctx context.Context, root blob.Store, topic string, partition int32) error {
	return removeHalt(ctx, root, schemas.HaltFile(topic, partition))
}

// RemoveTopicHalt lets the partitions of a topic go on that are not halted themselves.
func RemoveTopicHalt(ctx context.Context, root blob.Store, topic string) error {
	return removeHalt(ctx, root, schemas.TopicHaltFile(topic))
}

func removeHalt(ctx context.Context, root blob.Store, name string) error {
	if err := root.Delete(ctx, name); err != nil {
		return fmt.Errorf("remove halt: %w", err)
	}
	return nil
}
