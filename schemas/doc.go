// Package schemas is the contract between Almanac's programs: what stands on the topic, in the producer's
// checkpoints and in the columns of the archive. It imports the standard library only, so that anybody may read an
// Almanac topic with it and download nothing else. docs/format.md is its normative description.
//
// Nouns:
//
//   - A change is one version of one document as the change feed showed it, or its deletion.
//   - A feed range is a physical partition's span [Min, Max) of effective partition keys (epk).
//   - An [Order] is (lsn, ordinal); it ranks one document's changes inside one [Generation].
//   - A [Mark] is a control event in which the reader of a range states how far it has read.
//   - A [Cut] is the position of a mark that counts: range, generation and LSN.
//   - A [Checkpoint] is where a range's reader goes on, and the fence between two readers.
//   - A [Halt] is a stop of the smallest unit that survives restarts until an operator clears it (INV-10).
//
// Functions that encode append to a slice of the caller's, and functions that decode return slices of their input:
// a record costs no allocation of its own.
package schemas

// FormatVersion is the version of the archive that topic.json names, and the first byte of the almanac header.
const FormatVersion = 1
