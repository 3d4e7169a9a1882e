// Command mutants shows that the proof is not vacuous: it takes one defence after the other out of the
// product, builds it without, and demands that the model, a named test or a chaos scenario notices.
//
//	go run ./internal/chaos/mutants
//
// The tree is not touched: the changed files are handed to the compiler as an overlay. A mutant whose text
// no longer stands in the code, or that does not compile, is a failure like one that nobody notices.
package main
