// Package topicid keeps topic.json: the random uuid that tells a topic from another one under the same name. Every
// record carries it, the archive's table names it, and Event Hubs offers nothing of the kind.
//
// Guarantee: topic.json is written once, by whoever comes first; everybody else reads what stands there.
package topicid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
)

// SizeLimit bounds topic.json, in bytes.
const SizeLimit = 64 << 10

const attempts = 3

// ErrNoTopic says that an archive holds nothing of a topic yet.
var ErrNoTopic = errors.New("the archive has no topic.json of it")

// Identify reads the topic's identity, and gives it one if it has none: whoever comes first names it.
func Identify(ctx context.Context, root blob.Store, topic string) (schemas.Topic, error) {
	for range attempts {
		have, err := Read(ctx, root, topic)
		if !errors.Is(err, ErrNoTopic) {
			return have, err
		}
		body, err := json.MarshalIndent(schemas.Topic{UUID: schemas.NewUUID(), Format: schemas.FormatVersion}, "", "  ")
		if err != nil {
			return schemas.Topic{}, fmt.Errorf("identify topic %s: %w", topic, err)
		}
		_, err = root.Put(ctx, schemas.TopicFile(topic), bytes.NewReader(body), blob.IfAbsent())
		if err != nil && !errors.Is(err, blob.ErrCondition) {
			return schemas.Topic{}, fmt.Errorf("identify topic %s: %w", topic, err)
		}
		// What stands there counts, whoever wrote it.
	}
	return schemas.Topic{}, fmt.Errorf("identify topic %s: %s was written, but cannot be read back: %w", topic, schemas.TopicFile(topic), ErrNoTopic)
}

// Read reads the topic's identity; ErrNoTopic where there is none.
func Read(ctx context.Context, root blob.Store, topic string) (schemas.Topic, error) {
	name := schemas.TopicFile(topic)
	body, _, err := blob.ReadAll(ctx, root, name, SizeLimit)
	if errors.Is(err, blob.ErrNotFound) {
		return schemas.Topic{}, fmt.Errorf("read identity of topic %s: %w", topic, ErrNoTopic)
	}
	if err != nil {
		return schemas.Topic{}, fmt.Errorf("read identity of topic %s: %w", topic, err)
	}
	var t schemas.Topic
	if err := json.Unmarshal(body, &t); err != nil {
		return schemas.Topic{}, fmt.Errorf("read identity of topic %s: %s: %w", topic, name, err)
	}
	if t.Format != schemas.FormatVersion {
		return schemas.Topic{}, fmt.Errorf("read identity of topic %s: %s has format %d, this program knows %d: use a newer program",
			topic, name, t.Format, schemas.FormatVersion)
	}
	if t.UUID == (schemas.UUID{}) {
		return schemas.Topic{}, fmt.Errorf("read identity of topic %s: %s has no uuid", topic, name)
	}
	return t, nil
}
