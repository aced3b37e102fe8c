package archive

import (
	"context"

	"github.com/cosmos-almanac/almanac/internal/blob"
	"github.com/cosmos-almanac/almanac/schemas"
)

// FoldHaltFile is where the halt of a container's compaction stands, relative to the archive's root.
func FoldHaltFile(topic, container, incarnation string) string {
	return schemas.ContainerPrefix(topic, container, incarnation) + "halts/compactor.json"
}

// ReadFoldHalt reads the halt of a container's compaction; nil when there is none.
func ReadFoldHalt(ctx context.Context, root blob.Store, topic, container, incarnation string) (*schemas.Halt, error) {
	return readHalt(ctx, root, FoldHaltFile(topic, container, incarnation))
}

// WriteFoldHalt halts a container's compaction, as WriteHalt does a partition.
func WriteFoldHalt(ctx context.Context, root blob.Store, topic, container, incarnation string, halt *schemas.Halt) error {
	return writeHalt(ctx, root, FoldHaltFile(topic, container, incarnation), halt)
}

// RemoveFoldHalt lets a container's compaction go on.
func RemoveFoldHalt(ctx context.Context, root blob.Store, topic, container, incarnation string) error {
	return removeHalt(ctx, root, FoldHaltFile(topic, container, incarnation))
}
