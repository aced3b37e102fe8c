// Package restorer gives back moments of a container: it lists them, plans and runs a restore into a new container,
// proves a restored container against the archive, and prints single documents and their history.
//
// Nouns:
//
//   - A moment is what the user asks for: the name of a point, an exact time, or "the newest before T". It becomes one
//     restore point or is refused; a point whose claim is not exact is refused too (INV-5).
//   - The content of a point is its documents in ascending order of (partition key, id), from a snapshot and the rows
//     after it, or from the rows alone. Both are one fold, internal/replay's.
//   - A plan is everything that a run will do, printable, made without writing anything (INV-7).
//   - The target is the container that a run makes from the definition of that time and fills. Its survey is what stands
//     in it: key, id and SHA-256 of each document, sorted, on disk when it is large.
//   - A comparison holds content against survey in one pass.
//
// Guarantees:
//
//   - Documents are written back byte for byte without the service's own properties (INV-6).
//   - A run is idempotent and may be killed anywhere: the same command goes on where it was. It writes nothing into a
//     container that holds any document but those that it would write itself.
//   - Memory is bounded by restorer.memory and restorer.concurrency, not by the container (INV-9).
package restorer
