// Package kube tells a Kubernetes API server who leads: a Service that follows the leader, and a label of the pod.
//
// Both are hints, for traffic and for people, and exclude nobody: an API server, a kube-proxy or a client may act on what
// was so seconds ago. Whoever must not act twice asks the elector, or carries the token.
//
// The Service has no selector and one EndpointSlice. Somebody else makes both; the leader writes its pod into the slice as
// the only endpoint, and leaves its ports, labels and all else alone. What holds:
//
//  1. The slice is one object, so it never names two.
//  2. It is touched only while it is marked as this election's by an annotation, which whoever makes it sets.
//  3. Each write is of the version that was read, bears the id of the etcd cluster and the term's token, and is made only
//     over a token of the same cluster that is not greater. So a leader that is late, or a request of it, never takes the
//     slice from a later one. Tokens of another cluster, or without one, are not compared: a person resets them.
//  4. When a term ends, the slice is emptied while the work stops, and the key waits for that, though for no longer
//     than ReleaseWait and not past the end of the work: an API server that is away costs a handover no more. By loss
//     the next leader overwrites it.
//  5. No failure bears on leadership. Each kind is logged once, with what to do, until all is well again, and tried again.
//
// The label is that of the own pod and is not guarded: it is set anew at the beginning and the end of each term and every
// half a minute. The token of a pod's service account is refused once that pod has gone, also when another has its name.
//
// It takes two kinds of requests, GET and PATCH, and no client library. Token and authorities are read from their files
// for each request, and no connection is kept, since the next request is half a minute away.
package kube
