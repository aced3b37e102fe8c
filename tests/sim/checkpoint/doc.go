// Package checkpoint is a model of the producer's protocol for one feed range: who reads, what stands in the checkpoint,
// and what a drained mark may claim. Two producers run it over a service, a topic and a store that do
// what their contracts allow, in a schedule drawn from a seed.
//
// What may happen at any step: either producer pauses for as long as it likes and goes on as a zombie, or loses its
// memory; the group assigns the range to both at once; an answer of the store is lost, or says "conflict" to a write
// that landed, or the write lands later; a record is published late, also by a producer that is gone, or published with
// its acknowledgement lost; a response comes from a replica that lags, or from one that still lives before a failover; a
// failover undoes the last LSNs, which are then used again.
//
// What must hold:
//
//   - INV-1: a checkpoint never stands past an event that is not in the topic.
//   - One line: a checkpoint is only ever written over the one that its writer went on from, and no writer that still
//     holds the line drops it.
//   - A generation stands in the checkpoint before its first event is in the topic.
//   - A mark that is drained and of complete basis is true: among the events of its generation at or below its offset and
//     its LSN, each document's greatest order is the version that the document had at that LSN.
//
// Each rule of the protocol is a [Guard]; the test takes them away one by one and finds a schedule that breaks one of the
// four. The model knows one topic partition, transactions of one document, and no deletions.
package checkpoint
