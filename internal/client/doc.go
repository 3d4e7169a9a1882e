// Package client speaks to the HTTP surface of an elector, for the command line, for tests, and for whoever
// writes a worker in Go.
//
// A yes is worth what is left of it. Its end is known on the boot clock, where client and elector share a host;
// elsewhere it counts from before the request was sent, and an answer that was waited for is worth nothing
// there: ask again. Status.Certain does that arithmetic.
//
// No answer is a no: errors of this package never mean that the elector leads.
package client
