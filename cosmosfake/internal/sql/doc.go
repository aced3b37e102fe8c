// Package sql runs Cosmos DB queries over JSON documents.
//
// Nouns:
//
//   - A [Statement] is a compiled query with its parameters.
//   - It streams if each document gives its rows by itself: no order, aggregate, group, DISTINCT, TOP, OFFSET.
//   - A value is JSON's, or undefined. An array or object of a document is the text that stands there, until something
//     is made of it.
//   - An expression is a tree of operators, functions and subqueries; it computes a value of a row.
//   - A source is what FROM or JOIN names; it binds a value to a slot of the row. Names are resolved to slots when a query
//     is compiled.
//   - A collector makes of the rows of a query its results: groups, aggregates, order, DISTINCT, TOP, OFFSET.
//   - A [Plan] tells a client how to put together the results of several ranges.
//
// Guarantees:
//
//   - A result that is a whole document, or an array or object in one, is the bytes that stand there. Numbers that are
//     computed or selected alone are float64.
//   - Undefined is a value of its own: what is computed of it is undefined, comparisons of different types too; AND, OR
//     and NOT have three values, and WHERE keeps what is true.
//   - What is not implemented is refused by name when the query is compiled. Errors have the code and the place in the
//     text that the service would name, as far as these are known.
//   - Compiling and running end: texts, nesting, steps and sizes are limited.
//
// Where the documentation is silent, the package follows the query engine that the .NET client's tests compare the
// service with (azure-cosmos-dotnet-v3, OfflineEngine), its grammar (sql.g4), and the plans of the service that are
// recorded there (QueryPlanBaselineTests).
package sql
