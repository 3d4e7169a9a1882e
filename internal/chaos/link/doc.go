// Package link forwards TCP connections and breaks them on purpose: bytes are delayed, held back, lost, and
// connections are reset. It needs no rights and no help of the kernel, so it makes partitions where network
// namespaces cannot be made, and delays where the kernel has none to offer.
//
// What it cannot do, since two kernels acknowledge what no peer has read: a sender never sees that its data
// stay unacknowledged, so TCP_USER_TIMEOUT does not fire at a link, and a connection is accepted before its
// target is known to be there. What it keeps of a network:
//
//  1. Bytes of one direction of one connection never change their order, and none is missing between two that
//     arrive: a connection that has lost some is reset, at the latest when the link heals.
//  2. The end of a stream is passed on as the end of a stream, a reset as a reset, each in its place behind the
//     bytes before it, and delayed, held or lost like them.
//  3. A new connection reaches the target no sooner than a byte would have: opening one is the first thing that
//     goes up.
//  4. What has been read and not yet been passed on is bounded; beyond, the sender has to wait.
package link
