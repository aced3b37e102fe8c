// Package oracle tells whether an archive is right, from files alone. It shares nothing with the product but the
// formats: it hashes partition keys, reads Parquet and the Delta log, and folds the ledger with code of its own, so
// that a misunderstanding in the product is not repeated in its judge. It may import parquet-go and the standard
// library, nothing else.
//
// Nouns:
//
//   - A [Ledger] is the file of every write that the service acknowledged, and of every failover.
//   - A lineage of a feed range is the line of writes that was true under one configuration number: a failover cuts
//     the tail off one and begins the next.
//   - A [Table] is a Delta table as its log says it is: replayed from version 0, and compared with its checkpoints.
//   - A [Row] is one row of `changes`; an [Archive] is all rows of a topic, with its marks.
//   - A [Report] collects what is wrong. Every check goes on after a finding, so that one run shows all of them.
//
// The checks, each with the invariant that it judges:
//
//   - [Archive.CheckOffsets]: every offset is one row (INV-3), and each commit holds exactly the offsets that its txn
//     actions cover.
//   - [Archive.CheckRows]: every change is one that the ledger knows, in bytes, place and order (INV-2, INV-4, INV-6).
//   - [Archive.CheckMarks]: what a mark promises is there, and its times are honest (INV-1, INV-5).
//   - [Archive.Content]: what a restore to cuts must give (INV-4, INV-5).
package oracle
