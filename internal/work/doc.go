// Package work is what a term drives: work that begins with the term, is told its end, and is joined before the
// key is released.
//
// A hold is the simplest: a stream that the worker keeps open while it may act. It is told every answer, and
// closing it, which a dead worker's kernel does as well, is the worker's word that it has stopped.
package work
