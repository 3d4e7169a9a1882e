// Package devetcd runs etcd on loopback for tests and for the demo. The product never imports it.
//
// There are two ways. Start runs one member inside this process: quick, and enough for most tests.
// StartProcesses runs each member as a child process that can be frozen, killed, restarted, and placed
// into a network namespace. The children are this very executable, so its main or TestMain must call
// MaybeRunMember before anything else. They can be etcd's own program of another release instead, and change
// it from one run to the next, as members do in an upgrade.
//
// Members keep etcd's default timing (heartbeat 100 ms, election 1 s), because the smallest lease TTL
// that etcd grants follows from it: ceil(3/2 × election timeout) = 2 s. They do not call fsync unless
// asked to: what has been written survives the death of a process, only not that of the host.
//
// A Cluster can be taken back to a snapshot, as people do after a disaster, and a member's data can be kept on a
// file system of its own, for tests that hurt it.
//
// Close joins what this package started; goleak finds nothing afterwards once clients are closed too.
package devetcd
