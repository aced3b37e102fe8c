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

// CheckNew is an error when the archive knows a topic of this name: one that is made now would begin again at offset 0, and
// its records would be taken for those that stood there before.
func CheckNew(ctx context.Context, root blob.Store, topic string) error {
	have, err := Read(ctx, root, topic)
	switch {
	case errors.Is(err, ErrNoTopic):
		return nil
	case err != nil:
		return err
	}
	return &nameError{
		what:   fmt.Sprintf("topic %s is gone, and the archive holds records of it (%s, uuid %s)", topic, schemas.TopicFile(topic), have.UUID),
		remedy: "bring it back, or archive under another topic name by containers[].topic; it is not made again",
	}
}

// CheckKnown is an error when the archive knows no topic of this name: one that holds records is another archive's, which
// would halt at what is published for this one, as this one would at what it holds.
func CheckKnown(ctx context.Context, root blob.Store, topic string) error {
	_, err := Read(ctx, root, topic)
	if !errors.Is(err, ErrNoTopic) {
		return err
	}
	return &nameError{
		what:   fmt.Sprintf("topic %s holds records, or did, and archive.root knows nothing of it (it has no %s)", topic, schemas.TopicFile(topic)),
		remedy: "correct archive.root, or archive under another topic name by containers[].topic; a topic belongs to one archive, from its first record on",
	}
}

// nameError is that a topic of this name is not what it should be.
type nameError struct{ what, remedy string }

func (e *nameError) Error() string { return e.what + ": " + e.remedy }

// Advice is what is wrong, and what to do about it.
func (e *nameError) Advice() (what, remedy string) { return e.what, e.remedy }

// ExitCode is that of a wrong configuration.
func (e *nameError) ExitCode() int { return 2 }

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
