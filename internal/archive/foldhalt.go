package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
)

// FoldHaltFile is where the halt of a container's compaction stands, relative to the archive's root.
func FoldHaltFile(topic, container, incarnation string) string {
	return schemas.ContainerPrefix(topic, container, incarnation) + "halts/compactor.json"
}

// ReadFoldHalt reads the halt of a container's compaction; nil when there is none.
func ReadFoldHalt(ctx context.Context, root blob.Store, topic, container, incarnation string) (*schemas.Halt, error) {
	name := FoldHaltFile(topic, container, incarnation)
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

// WriteFoldHalt halts a container's compaction. A halt that stands there already stays: the first reason is the cause
// (INV-10).
func WriteFoldHalt(ctx context.Context, root blob.Store, topic, container, incarnation string, halt *schemas.Halt) error {
	body, err := json.MarshalIndent(halt, "", "  ")
	if err != nil {
		return fmt.Errorf("write halt: %w", err)
	}
	_, err = root.Put(ctx, FoldHaltFile(topic, container, incarnation), bytes.NewReader(body), blob.IfAbsent())
	if err != nil && !errors.Is(err, blob.ErrCondition) {
		return fmt.Errorf("write halt: %w", err)
	}
	return nil
}

// RemoveFoldHalt lets a container's compaction go on.
func RemoveFoldHalt(ctx context.Context, root blob.Store, topic, container, incarnation string) error {
	if err := root.Delete(ctx, FoldHaltFile(topic, container, incarnation)); err != nil {
		return fmt.Errorf("remove halt: %w", err)
	}
	return nil
}
