// Package archive is the layout of an archive: what the files of a topic's tables hold, where they stand, and how they
// are written and read. With delta it is the only place that knows Parquet.
//
// Nouns. A *row* is one record of a topic, or one document of a container's state. A *file* is a Parquet file of rows in
// ascending order of (partition_key, id, generation, lsn, ordinal). *Changes* is the Delta table that holds every record
// of one topic, partitioned by container and by the day of archiving. A *topic identity* is topic.json: a random uuid that
// every record, the file and the table agree on. A *halt* is a small object that keeps a topic partition from being
// archived until an operator removed it.
//
// Guarantees.
//
//   - The bytes of a document are a file's bytes: nothing here parses or rewrites them (INV-6).
//   - Writing and reading hold one row group and a few pages in memory, whatever the size of the file (INV-9).
//   - A file that was written can be proven against the rows that were meant, by Verify, before anybody refers to it.
//   - topic.json is written once; whoever finds another uuid than it expects gets an error, never a second identity.
package archive
