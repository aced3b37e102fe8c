// Package play runs the whole of Almanac while somebody writes and somebody does harm, and then judges it: what the
// acceptance tests on emulators (tests/accept) and on real components (tests/real) have in common.
//
// Nouns:
//
//   - A [Play] is one run of a stack: a cast of programs, authors who write documents, and the caller as the director, who
//     does harm to both, by choices drawn from one seed.
//   - A corpus is documents whose bytes are hard to keep.
//   - The oracle (package oracle) is the judge; it shares nothing with the product but the formats.
//
// A method that finds something wrong fails the test; one that cannot go on ends it.
package play
