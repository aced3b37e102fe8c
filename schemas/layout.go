package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// The functions of this file name objects, slash separated and relative to a root: seeds, checkpoints and large/
// stand below the producer's root, everything else below the archive's.

// TopicFile is the identity of a topic (Topic).
func TopicFile(topic string) string { return topic + "/topic.json" }

// SeedFile is a container's seed.
func SeedFile(topic, container string) string {
	return topic + "/seeds/" + segment(container) + ".json"
}

// CheckpointPrefix is the folder of a container's checkpoints.
func CheckpointPrefix(topic, container string) string {
	return topic + "/checkpoints/" + segment(container) + "/"
}

// CheckpointFile is the checkpoint of one range.
func CheckpointFile(topic, container string, r FeedRange) string {
	return CheckpointPrefix(topic, container) + r.String() + ".json"
}

// LargeFile names a claim-checked document relative to the topic's folder; the folder of a day goes as a whole.
func LargeFile(day time.Time, id UUID) string {
	return "large/" + day.UTC().Format(time.DateOnly) + "/" + id.String()
}

// ChangesPrefix is the root of the Delta table that holds every record of the topic.
func ChangesPrefix(topic string) string { return topic + "/changes/" }

// HaltPrefix is the folder of a topic's halts: TopicHaltFile is that of all its partitions, HaltFile of one of them.
func HaltPrefix(topic string) string { return topic + "/halts/" }

// HaltFile is the halt of a topic partition.
func HaltFile(topic string, partition int32) string {
	return HaltPrefix(topic) + strconv.Itoa(int(partition)) + ".json"
}

// TopicHaltFile is the halt of a topic as a whole.
func TopicHaltFile(topic string) string { return HaltPrefix(topic) + "topic.json" }

// ContainerPrefix is the folder of one incarnation of a container: state/ and snapshots/.
func ContainerPrefix(topic, container, incarnation string) string {
	return topic + "/containers/" + segment(container) + "/" + segment(incarnation) + "/"
}

// StatePrefix is the root of the Delta table with the content at the newest snapshot.
func StatePrefix(topic, container, incarnation string) string {
	return ContainerPrefix(topic, container, incarnation) + "state/"
}

// SnapshotPrefix is the folder of snapshot manifests.
func SnapshotPrefix(topic, container, incarnation string) string {
	return ContainerPrefix(topic, container, incarnation) + "snapshots/"
}

// TxnAppID is the Delta application id under which a topic partition's last archived offset stands in the log.
func TxnAppID(topic UUID, partition int32) string {
	return topic.String() + "-" + strconv.Itoa(int(partition))
}

// ControlContainer is the value of the container column of rows that are not changes of a user's document.
const ControlContainer = "_almanac"

// segmentLimit bounds a container's name in an object's name; a store takes 255 bytes per segment.
const segmentLimit = 200

// segment writes a name as one segment of an object's name: every byte but ASCII letters, digits, `.`, `_` and `-` is `@` and
// two upper-case hexadecimal digits. Readers of Delta tables undo a percent sign in a table's path once too often, some write a
// tilde as one, Hadoop takes what stands before a colon for a scheme, and readers of Parquet by glob take `a=b` for a column.
// A name that is then too long is cut, and told apart by a hash.
func segment(name string) string {
	const plain, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", "0123456789ABCDEF"
	escaped := make([]byte, 0, len(name))
	for i := range len(name) {
		if c := name[i]; strings.IndexByte(plain, c) >= 0 {
			escaped = append(escaped, c)
		} else {
			escaped = append(escaped, '@', digits[c>>4], digits[c&15])
		}
	}
	if len(escaped) <= segmentLimit {
		return string(escaped)
	}
	sum := sha256.Sum256([]byte(name))
	return string(escaped[:segmentLimit-17]) + "_" + hex.EncodeToString(sum[:8])
}
