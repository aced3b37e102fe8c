// Package sql runs Cosmos DB queries over JSON documents, on the parser and the executor of pikami/cosmium.
//
// Nouns:
//
//   - A [Statement] is a compiled query with its parameters.
//   - It streams if each document gives its rows by itself: no order, aggregate, group, DISTINCT, TOP, OFFSET.
//   - A row is the JSON of one result. A row that is a whole document is that document's bytes.
//
// Cosmium does FROM, JOIN, WHERE and scalar expressions. What it reads or computes unlike the service is done here:
// the text is cut into tokens and written again in the part of the language that its parser knows (token.go,
// rewrite.go); conditions that it does not know are computed for each document (computed.go); comparisons get the
// service's rules for values that are missing or of different types (filter.go); order, groups, aggregates and limits are
// computed here (run.go). Everything else is refused with the reason; nothing is guessed at.
package sql
