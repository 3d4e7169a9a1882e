// Package election decides whether this process leads, for how long that is certain, and with which
// fencing token.
//
// # What is not promised
//
// Exclusion where a clock cannot see: a hypervisor that stops a guest and its clock together, a worker
// that uses a clock which stops in suspend, a process that the kernel cannot kill. There only the
// fencing token protects. Instant exclusion when someone deletes keys or revokes leases behind the
// program's back: it is noticed in milliseconds by a watch, and at the latest at the deadline. Sense
// after a restore of etcd without --bump-revision: electors that lived through it, or kept state, refuse
// to lead; others cannot know. (They refuse as well after one with it, if leadership had changed since the
// snapshot, until a person lifts the fence.) Anything through etcd's grpc-proxy, which answers renewals on its own. Clock
// rates that differ by 1 % or more over a TTL.
//
// # What is promised
//
//  1. One yes at a time. At every instant at which any elector of an election evaluates "I lead" as
//     true, its key exists in etcd and is the oldest of the election. So two electors never evaluate
//     true at once: through process pauses, partitions, slow networks, restarts and leader changes of
//     etcd, including an etcd leader that was paused, deposed and wakes.
//  2. A yes carries its end, and the end is kept. Every yes says how long it is certain. A consumer may
//     act until the moment it sent its request plus that long. The key never goes before every such
//     promise has run out, or its holder has said that it stopped.
//  3. A token per term. The fencing token is the create revision of the leader's key; every later term
//     has a greater one. Whoever stores the work's effects refuses a smaller token than the greatest
//     it has seen.
//  4. Work stops before the key is given up. By choice: always. By loss: the term's context ends when
//     certainty does, the work's grace and a margin before the lease can first expire, and WorkEnd says
//     until when it must have ended; the token closes the rest.
//  5. Always a leader again. While a quorum of etcd accepts writes and one eligible candidate is alive:
//     within TTL + 1 s of the last renewal of all who stood before it. An etcd leader change restarts
//     that count, since etcd then extends every lease. No restart is ever needed, but for Fenced, which is for a
//     person to clear.
//
// # How it is kept
//
// The package has a pure core and a thin shell with one writer.
//
//   - core and step (core.go, step.go, learn.go) decide. A step takes what is known, the instant and one
//     event, and gives what is known next and what to do. It does no I/O and reads no clock.
//   - extend (deadline.go) is the only rule by which a deadline comes about: a renewal counts from
//     before its request was sent, only when a transaction sent after its acknowledgement went through
//     raft and found key and lease in place, and only in the raft term in which the lease was granted.
//   - desk (answer.go) is where readers evaluate: one clock read and one comparison under a read lock,
//     the promise recorded before the lock is let go. A term's end takes the write lock before any I/O.
//   - Elector.Run (run.go) is the loop: event, step, publish, act. It publishes a no before it acts on
//     one, joins the work before it lets the core release the key, and owns everything else.
//
// What the decision relies on, as numbered facts:
//
//  1. A session's events are ignored once another session is current; numbers never repeat.
//  2. A term that is over is never answered again: over is set by whoever first finds the deadline
//     passed, loop or reader, and never cleared for the same token.
//  3. A key and its lease are used for one candidacy. The next has a new lease, a new key and so a
//     greater token.
//  4. While a rebind is under way, or its outcome is unknown, no renewal counts and no failed claim
//     ends the term; the rebind itself is conditional on the last own write, so it resolves.
//  5. A session is closed only when no work runs, nobody is being asked for a veto, and no promise runs
//     either; except that promises are not waited for when the key is known to have gone, nor when whoever
//     got them is known to have stopped: by the operator's declaration at shutdown (Config.ReleaseNow), or
//     by the word of whoever resigns or transfers with the term's token (Elector.Resign, Elector.Transfer).
//  6. The key of another process is deleted in two cases. Either the process is an earlier one of this very elector,
//     is known to be dead, its promises have run out, and whatever it drove has ended (Predecessor). Or the key stands
//     behind that of a leader which passes the lead on, and so has never carried a promise (Elector.Transfer).
//  7. What a later process needs for that is on disk before the first yes, and how far etcd has been seen and
//     a fence are too (Journal). A journal that fails costs that, and never the lead.
//
// Instants are of the boot clock (see Instant). Time-outs that bear on the lease derive from the TTL.
package election
