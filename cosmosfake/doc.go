// Package cosmosfake is the gateway of Azure Cosmos DB (NoSQL API) in memory, over HTTPS, for tests: what kfake is
// for Kafka. It starts in milliseconds, speaks the service's wire format to clients that know nothing of it, and
// does on demand what the service does on its bad days.
//
// Nouns:
//
//   - A [Server] is one account, with a second region if asked for. It keeps everything in memory and forgets it on Close, unless it has a
//     data directory. It has a routing gateway and, if asked for, a compute gateway.
//   - A container is cut into physical ranges ([Range]), each with an LSN sequence of its own: every transaction
//     takes the range's next LSN, and all its documents share it.
//   - The newest LSN is the last one taken. [Server.Bump] takes some without writing a document, as internal writes
//     of the service do; a create and a delete in one batch do it too.
//   - A replica of a range answers feeds, lists, queries and point reads. [Server.Lag] freezes one at an earlier LSN:
//     no session that is ahead of it asks it; it reports a lower
//     newest LSN in its session token and says 304 too early.
//   - A failover ([Server.Failover]) undoes the last LSNs of a range. Later writes reuse them, and the
//     configuration number, the session token's version, is one higher. The feed goes on to filter by "greater
//     than the continuation": a reader that was ahead silently misses the reused ones.
//   - A range ends when it is split ([Server.Split]) or merged ([Server.Merge]); its parts go on with its LSNs, what it
//     is merged into begins anew.
//   - Events are all versions and deletions, kept for Options.Retention and shown by a feed of their own.
//   - A purge removes a document whose time to live was over; it was not seen from that moment on.
//   - The ledger is the ground truth for tests: a line ([Entry]) for every acknowledged write, purge, split, merge and
//     failover.
//   - The journal is what a data directory keeps: a line for everything that was done; a snapshot takes the place of
//     the lines before it.
//   - A [Fault] is what a [Hook] or a [FaultRule] does to one request.
//
// Guarantees:
//
//   - A user's JSON is kept byte for byte, except blanks around it and top-level members named _rid, _self, _etag,
//     _attachments and _ts, which are the service's. They, and _lsn in the change feed, are spliced in before the last
//     brace when a document is read, so that taking them out again is the exact inverse (INV-6).
//   - With a data directory, what was acknowledged outlives the program, however that ends, with its LSNs and etags.
//   - A ledger line is written before its write is visible to any reader and before it is acknowledged. A write whose
//     line cannot be written is refused and not done, and a ledger that holds part of a write takes no other one.
//   - Lines of one range stand in the order of their LSNs; their times never go back.
//   - `_ts` is the ledger's time cut to whole seconds, and never later than the Date of any later response. Date
//     is cut to whole seconds as well: a write may be up to one second later than the Date that a reader saw last.
//     A test changes that by [Server.Skew] and [Fault].Date.
//   - A query's rows that are whole documents are the bytes of those documents, and so is what a patch does not touch.
//
// Facts about the service come from its REST reference and from the source of azcosmos v1.5.0.
//
// What is implemented, and what is not, stands in docs/emulator.md. What is not here is refused by name.
package cosmosfake
