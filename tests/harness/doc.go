// Package harness runs the whole of Almanac on one machine: the emulators of Cosmos DB and Kafka inside the calling
// process, the four real programs as its children, an archive in a folder.
//
// Nouns:
//
//   - A [Stack] is all of it, below one folder: ledger, certificate, almanac.yaml, archive, logs.
//   - A [Process] is a program that runs until it is stopped or killed, and may be started again under its name.
//   - A [Result] is what a program said that ran to its end.
//   - An [Account] is a Cosmos DB account over plain HTTPS; it shares no code with the product's client.
//   - [Progress] is how far an archive has come, by the log of its table.
//
// Everything that can take long ends with its context, and says what it waited for. Ports are the kernel's choice.
package harness
