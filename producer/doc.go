// Package producer reads change feeds and publishes every change to Kafka.
//
// Nouns. A *task* is one feed range of a container and the topic partition whose owner reads it. A *reader* follows the
// range's change feed for as long as the producers' consumer group assigns that partition to this process; the group
// spreads the work and fetches nothing. A *line* is the right to write the range's checkpoint: it is the fence between
// two readers. A *batch* is the records of one page on their way to the brokers.
//
// Guarantees.
//
//   - INV-1. A checkpoint moves only past events that all in-sync replicas acknowledged, and only over the checkpoint
//     that its writer went on from. A reader that finds another's write drops what it knows and goes on from there.
//   - INV-2. One reader publishes a range's changes in feed order; repeats carry the same ce_id.
//   - A generation stands in the checkpoint before its first event, which is a mark.
//   - A mark states acknowledged events only. It is drained only at or past the greatest LSN that any response of the
//     generation reported, which the checkpoint keeps, because replicas lag.
//   - A mark's complete_to is the service's time of an answer that drained. An answer that reports a lower newest LSN
//     than another did is of a replica that lags, and no mark stands on it.
//   - INV-9. A range holds two pages at most, the one that is read and the one on its way, and all readers together a
//     number that does not grow with the ranges. A page counts until the brokers have answered all of it, also when its
//     reader left before: what waits in the Kafka clients is never more than these pages.
//   - INV-10. What cannot be published without loss halts its range, in the checkpoint, until an operator clears it.
//
// tests/sim/checkpoint is the model of this protocol, with what each rule is there for.
package producer
