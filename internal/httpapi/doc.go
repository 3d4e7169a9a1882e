// Package httpapi answers over HTTP what an elector is: to the worker beside it, to load balancers and
// probes, to people. routes.go is the whole surface.
//
// What holds for every answer:
//
//  1. Leadership is evaluated while the request is being answered, as the last thing before the body is
//     encoded. Whatever does not depend on it is prepared before.
//  2. A body that says yes carries its end, expires_in_ms, and is recorded by the elector as a promise:
//     the key stays until then. Its reader may act until the moment it sent its request plus that long.
//     It also carries the token, in the headers too.
//  3. HEAD and OPTIONS, /livez, /readyz and /metrics are for load balancers, probes and scrapes. They
//     promise nothing, however often they are asked, and have no Elector-* headers.
//  4. A no has no Elector-* headers and its token and expiry are 0.
//  5. Identities of other candidates are read from etcd, where anybody may have written them. They appear
//     in JSON strings only, as valid UTF-8; headers hold numbers.
//  6. Nothing is cached by anyone (Cache-Control: no-store).
//  7. An error is JSON with two sentences, {"error": what is wrong, "hint": what to do}.
package httpapi
