// Package archiver turns topics into Delta tables: every record becomes one row of its topic's `changes`.
//
// Nouns. The *member* is a client in the archivers' consumer group; it fetches nothing, it only learns which topic
// partitions are this process's. The *reader* is a second client, which fetches exactly those partitions, each from the
// offset behind the last one that the table holds; the group's own offsets are neither read nor written. The *buffer*
// keeps the rows that no commit holds yet. A *flush* writes the buffered rows of a topic, one file per container, and
// commits them with the offsets that they cover. The *witness* of a topic partition is the table's row of its last
// archived offset.
//
// Guarantees.
//
//   - INV-3. Rows and the offsets that they cover become visible in one Delta commit, which is valid only if every topic
//     partition in it stands, in the version just below, at the offset before its first row. Who owns a partition is
//     Kafka's opinion and no fence: two archivers may read one partition, and only one of them gets it committed; the
//     other drops its rows and goes on from the table.
//   - INV-9. The buffer has a limit in bytes, and so has what the client fetches ahead. A file is encoded and proven in
//     memory, at most one at a time.
//   - INV-10. A record that cannot be decoded is a quarantined row. An offset that is missing halts its partition, be it
//     below the start of the log or a hole between two records; an operator accepts it, and then it is a gap row. Records
//     of other topics' uuids halt the partition as well. Halted partitions do not stop the others. But a record at the last
//     archived offset of any partition that is not the one that was archived halts the topic, for every archiver: it was
//     made anew. No record is committed before the topic was compared after the record came.
//
// A hole between two records is told from a lost record by nobody: Almanac's producers use no transactions and its topics
// are not compacted, so holes do not come from Almanac. Strangers' transactions leave none here: whether they commit, abort or
// stay open, their records and control records are archived as quarantined rows, as they come. A hole is read a second
// time before it is believed.
//
// There is one goroutine that works. Only the member's callbacks run beside it, and they only note what was assigned.
package archiver
