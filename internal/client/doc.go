// Package client speaks to the HTTP surface of an elector, for the command line, for tests, and for whoever
// writes a worker in Go.
//
// A yes is worth what is left of it, and Status.Certain says how much that is, on this host's boot clock. It counts
// from before the request was sent. Of an answer that was waited for or streamed nothing is left then, so there the
// end that the elector read on its own boot clock counts, if the address is of this host. Through a tunnel that clock
// is another one. It is told from ours unless both hosts booted within one wait of each other: whoever acts through a
// tunnel, or on another host, asks without waiting.
//
// No answer is a no: errors of this package never mean that the elector leads.
package client
