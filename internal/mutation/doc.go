// Command mutation changes the code of a package in one small place after the other and has the package's tests
// look: a change that no test notices is a test that is missing, unless somebody has written down why nothing is.
//
//	go run ./internal/mutation ./internal/election
//
// All changes are compiled into one test binary (mutant schemata): each place asks, when it is reached, whether it is the
// one that is to be wrong in this process, which the environment says. The binary is built with the compiler's overlay,
// so the tree is not touched. First each test runs alone with nothing changed and tells which places it reaches; then
// each mutant is run against the tests that reach it, the fastest first, until one fails. One that does not end in
// several times its own time has failed.
//
// What survives must be explained in explained.txt. The command fails if something else survives, and if something is
// explained that is killed or not there. Beside it, internal/chaos/mutants takes out whole defences, chosen by hand.
package main
