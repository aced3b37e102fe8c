// Package replay makes the content of a container at a restore point from the rows of its archive. It is the one fold of
// compactor and restorer.
//
// Nouns. A *member* is a row that belongs to a point: its offset is at or below the point's for its topic partition, its
// incarnation is the point's, its generation is that of the cut of the range that contains its effective partition key,
// and its order is within that cut. The *winner* of a document is its member of the greatest order (INV-4). A *base* is a
// snapshot at or below the point; with it only the rows after its cuts are merged. A *run* is a sorted local file of
// members that did not fit into memory; a *pass* merges files and runs into one run.
//
// Guarantees.
//
//   - A document whose winner is a deletion, or which the rules take for deleted, is absent; every other one is there
//     once, byte for byte (INV-6), in ascending order of (partition_key, id).
//   - Two members of one document and one order with different etags are a contradiction: the fold ends with a
//     *schemas.Halt, whatever else there is and however much memory there was (INV-4).
//   - Base and rows give what the rows alone give, or ErrBase.
//   - Memory stays within Options.Memory, and open files within fanLimit, whatever the size of the container and the
//     number of its files (INV-9). Runs lie in one temporary folder; a crash leaves nothing elsewhere.
package replay
