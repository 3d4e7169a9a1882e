// Package httpapi answers over HTTP what an elector is: to the worker beside it, to load balancers and
// probes, to people. routes.go is the whole surface.
//
// What holds for every answer:
//
//  1. Leadership is evaluated while the request is being answered, as the last thing before the body is
//     encoded. Whatever does not depend on it is prepared before, and waited for before.
//  2. A body that says yes carries its end, expires_in_ms, and is recorded by the elector as a promise:
//     the key stays until then. Its reader may act until the moment it sent its request plus that long,
//     or until expires_boottime_ms by the host's CLOCK_BOOTTIME, which is the same end. After a wait and
//     on a stream only the latter is of use. A yes carries the token too, and, but for streams, both in
//     the headers.
//  3. HEAD and OPTIONS, /livez, /readyz, their aliases and /metrics are for load balancers, probes and
//     scrapes. They promise nothing, however often they are asked, have no Elector-* headers and never
//     wait.
//  4. A no has no Elector-* headers and its token and expiry are 0. The Elector-Token of GET /value is no yes: it
//     is that of the value's term, whoever's that is.
//  5. Identities of other candidates are read from etcd, where anybody may have written them. They appear
//     in JSON strings only, as valid UTF-8; headers hold numbers.
//  6. Nothing is cached by anyone (Cache-Control: no-store).
//  7. An error is JSON with two sentences, {"error": what is wrong, "hint": what to do}. A query that is
//     not understood to its last letter is one, but on "/", which takes any.
//  8. A request that waits is answered when what it waits for is so, when its time is up or when the
//     elector has ended, and then only. When its reader is gone, or just will not send any more, the
//     connection is cut: an empty answer would have the status of a yes.
//  9. A stream tells the newest state, not every one; ids show what was left out. It ends when the elector
//     has ended, after the last state, or when its reader is gone or has not taken a write for 5 s. It runs
//     in the server's goroutine for its request and starts none.
//  10. On the main listener at most 1,024 requests wait or stream, on the probe listener 256, and on each at most 128
//     read a body, write a long answer or ask etcd; the next is refused. No other waits for anybody in its handler.
//     They have at most 1,280 and 512 connections; for one more, one without a request makes room (conns.go). So none of them keeps a short
//     question from being answered, whatever its peer does or leaves undone.
//  11. What changes something is on the main listener only, and is let through by guard.go before its body is
//     read. Etcd and the elector's loop have 5 s to answer what is asked of them for a request; after an error
//     other than a refusal a value may have been published all the same.
package httpapi
