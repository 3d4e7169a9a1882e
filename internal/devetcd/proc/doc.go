// Package proc runs child processes that tests and the demo freeze, kill and start again.
//
// Three facts hold for every Process. It dies with its parent: on Linux by the kernel's parent-death
// signal, elsewhere by the end of its standard input, which it must watch. It has a process group of
// its own, so that Ctrl-C on the parent's terminal reaches the parent alone. And signals go only to a
// child that has not been reaped yet, so never to a stranger that was given the same number.
package proc
