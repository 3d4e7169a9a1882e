package main

import "slices"

// mutant is the product with one defence removed.
type mutant struct {
	name    string
	defence string // what is removed, for the table in docs/proof.md
	edits   []edit
	caught  []catcher // each of which must fail with it
}

// edit replaces text that stands exactly once in a file.
type edit struct {
	file     string // from the top of the repository
	old, new string
}

// The files that edits are made in.
const (
	answerGo    = "internal/election/answer.go"
	boottimeGo  = "internal/boottime/boottime_linux.go"
	candidacyGo = "internal/etcdstore/candidacy.go"
	deadlineGo  = "internal/election/deadline.go"
	electorGo   = "internal/election/elector.go"
	interceptGo = "internal/etcdstore/intercept.go"
	learnGo     = "internal/election/learn.go"
	sessionGo   = "internal/etcdstore/session.go"
	stepGo      = "internal/election/step.go"
)

// mutants is every defence that the proof is about, each with what notices its removal.
func mutants() []mutant {
	return slices.Concat(ofTheDeadline(), ofTheAnswer(), ofTheState(), ofTheWork(), ofEligibility(), []mutant{
		{"all of them", "`bench/plain`, the daemon that only uses `Campaign` and `Session.Done`", nil, []catcher{plainChaos("pause")}},
	})
}

// ofTheDeadline are the defences that keep the deadline before the end of the key.
func ofTheDeadline() []mutant {
	return []mutant{
		{"send-time clock", "a renewal counts from before its request was sent, not from its reply",
			[]edit{{interceptGo, "Sent: sent, Received: received,", "Sent: received, Received: received,"}},
			[]catcher{namedTest("./internal/etcdstore", "TestARenewalCountsFromBeforeItsRequestHoweverLateTheReply",
				`renewal .* took 0s`), chaos("slow")}},
		{"margin", "certainty ends a margin before the deadline",
			[]edit{{deadlineGo, "return max(ttl/100, 50*time.Millisecond) + 100*time.Millisecond", "return 0 * ttl"}},
			[]catcher{model("paused", "a yes has its key")}},
		{"confirmation", "an acknowledgement alone extends nothing",
			[]edit{{learnGo, "s.ack, s.ackedIn = r, s.inForce()\n\t} else {", `s.ack, s.ackedIn = r, s.inForce()
		if s.term.begun {
			s.term.deadline = max(s.term.deadline, r.Sent.Add(r.TTL))
		}
	} else {`}},
			[]catcher{model("stale-confirmation", "a yes has its key")}},
		{"confirmation after the acknowledgement", "only a confirmation that was sent after the acknowledgement had come counts for it",
			[]edit{
				{learnGo, "ack, reply := s.proving, ev.Confirmation.Reply", `ack, reply := s.proving, ev.Confirmation.Reply
	if s.ack.Lease == ack.Lease {
		ack, s.provingIn = s.ack, s.ackedIn
	}`},
				{deadlineGo, "case confirmation.Sent.Before(ack.Received):", "case false:"},
			},
			[]catcher{model("stale-confirmation", "a yes has its key")}},
		{"same raft term", "grant, acknowledgement and confirmation carry one raft term",
			[]edit{
				{deadlineGo, "grantTerm == 0 || ack.RaftTerm != grantTerm || confirmation.RaftTerm != grantTerm", "grantTerm == 0"},
				{learnGo, "if r.RaftTerm == s.lease.raftTerm {", "if true {"},
			},
			[]catcher{model("stale-confirmation", "a yes has its key")}},
		{"rebinding", "the key gets a new lease when the raft term changes",
			[]edit{{stepGo, "if s.won && s.raftTerm > s.lease.raftTerm {", "if false {"}},
			[]catcher{model("woken-revokes", "no needless loss")}},
		{"unresolved rebind", "no renewal counts and no claim fails while a rebind's outcome is unknown",
			[]edit{{learnGo, "if s.unresolved || ack.Lease != s.lease.id {", "if false {"}},
			[]catcher{model("two-elections", "no needless loss")}},
		{"rebind from the last own write", "a rebind's put is conditional on the last own write, not only on the token",
			[]edit{{candidacyGo, "If(ss.written(claim)...).",
				"If(clientv3.Compare(clientv3.CreateRevision(ss.key), \"=\", claim.Token))."}},
			[]catcher{namedTest("./internal/etcdstore", "TestEtcdStoreConformsToTheStoreContract/RebindFromAnOldClaimFindsTheOwnKey",
				"second rebind from the old claim")}},
		{"in-time rule", "acknowledgement and confirmation count only if they arrive before the deadline in force",
			[]edit{
				{deadlineGo, "case !ack.Received.Before(ackedIn.Add(-margin)) || !confirmation.Received.Before(confirmedIn.Add(-margin)):", "case false:"},
				{learnGo, "if !r.Received.Before(s.lease.acked.Add(-Margin(s.lease.ttl))) {", "if false {"},
			},
			[]catcher{model("late-replies", "a yes has its key")}},
		{"keep-alives withheld from a stalled loop", "an elector whose loop stands still does not hold the key for ever",
			[]edit{{electorGo, "return e.LoopAge() <= StallLimit(e.cfg.TTL)", "return true"}},
			[]catcher{model("deadlocked-loop", "always a leader again")}},
		{"keep-alives withheld, in the store", "the stream asks whether the loop is alive before it sends",
			[]edit{{interceptGo, "if !r.session.req.Alive() {", "if false {"}},
			[]catcher{namedTest("./internal/etcdstore", "TestEtcdStoreConformsToTheStoreContract/LeaseRunsOutWhileKeepAlivesAreWithheld",
				"no election.OwnKeyDeleted came")}},
		{"confirmation through raft", "the confirming transaction is an entry of etcd's log, not a read",
			[]edit{{candidacyGo, `Then(clientv3.OpDelete(ss.key+"/never"), ss.store.firstCreate()).`,
				`Then(clientv3.OpGet(ss.key+"/never"), ss.store.firstCreate()).`}},
			[]catcher{namedTest("./internal/etcdstore", "TestAConfirmationIsAnEntryOfTheRaftLogAndNoRead",
				`50 confirmations are \d+ entries`)}},
		{"settled grant", "a lease counts in the raft term that an earlier reply carried",
			[]edit{{sessionGo, "if g.Reply.RaftTerm == raftTerm {", "if true {"}},
			[]catcher{namedTest("./internal/etcdstore", "TestALeaseThatWasGrantedWhileTheRaftTermChangedIsNotUsed",
				"opened with 1 grants, rebound after a change with 1 more")}},
		{"denial by an older etcd leader", "a leader that was deposed before the lease was granted is not believed",
			[]edit{{learnGo, "if r.TTL <= 0 && r.RaftTerm < s.lease.granted {", "if false {"}},
			[]catcher{model("deposed-acks", "no needless loss")}},
		{"sessions do not mix", "what comes of the calls of a session that was closed is not heard",
			[]edit{{stepGo, "if n, ok := sessionOf(ev); ok && n != s.session {", "if n, ok := sessionOf(ev); false && ok && n != s.session {"}},
			[]catcher{model("stragglers", "a term begins with the oldest key")}},
		{"token guard", "an elector that lived through a restore of etcd refuses to lead",
			[]edit{{stepGo, "if back {", "if false && back {"}},
			[]catcher{model("restore", "no term after etcd went back"), chaos("restore")}},
	}
}

// ofTheAnswer are the defences that keep an answer true and a promise kept.
func ofTheAnswer() []mutant {
	return []mutant{
		{"slow clocks", "a promise is kept by the slowest clock that it may be measured with",
			[]edit{{answerGo, "raise(promised, a.ExpiresAt.Add(a.ExpiresIn/Slowest))", "raise(promised, a.ExpiresAt)"}},
			[]catcher{namedTest("./internal/election", "TestAPromiseIsTheLeastOfItsLimits", "promised until .*clock may be")}},
		{"answer-time clock", "leadership is compared with the clock while answering",
			[]edit{{answerGo, "Sub(a.At); left > 0 {", "Sub(a.At); left > 0 || true {"}},
			[]catcher{model("paused", "a yes has its key"), chaos("pause")}},
		{"evaluation under the lock", "a term's end waits for evaluations that have begun",
			[]edit{{answerGo, "d.mu.RLock()\n\tdefer d.mu.RUnlock()\n\ta := Answer{State: d.state}\n\tf := &d.facts\n",
				"d.mu.RLock()\n\ta := Answer{State: d.state}\n\theld := d.facts\n\td.mu.RUnlock()\n\tf := &held\n"}},
			[]catcher{model("preempted-release", "no promise outlives its key")}},
		{"release waits for promises", "the key stays until every promise has run out",
			[]edit{{stepGo, "if e.promises && s.now.Before(t.promised) {", "if false {"}},
			[]catcher{model("promises-and-release", "no promise outlives its key"), chaos("promised")}},
		{"verification after Campaign", "Campaign's nil is a hint, not leadership",
			[]edit{{learnGo, "s.enter(Verifying, CauseWon)", "s.enter(Verifying, CauseWon)\n\ts.beginTerm(s.lease.acked)"}},
			[]catcher{model("startup", "a term begins with the oldest key")}},
		{"own-key watch", "a deletion of the own key is noticed at once",
			[]edit{{stepGo, "case OwnKeyDeleted:\n\t\ts.keyGone()", "case OwnKeyDeleted:"}},
			[]catcher{model("operator", "what the watch tells ends the yes"), chaos("delete")}},
		{"no resurrection", "a no is never followed by a yes of the same term",
			[]edit{
				{answerGo, "d.over.Store(true) // a no is never followed by a yes of the same term", ""},
				{answerGo, "if f.term && f.token == d.facts.token && d.over.Load() {", "if false {"},
			},
			[]catcher{model("preempted-readers", "a no is final")}},
		{"boot clock", "the clock counts the time in which the host is suspended",
			[]edit{{boottimeGo, "Duration { return read(unix.CLOCK_BOOTTIME) }\n", "Duration { return read(unix.CLOCK_MONOTONIC) }\n"}},
			[]catcher{namedTest("./cmd/elector", "TestExpiryCountsOnTheBootClockOfItsNamespace",
				"evaluated at .* in a namespace")}},
		{"join before release", "work has ended before the key is given up",
			[]edit{{stepGo, "if !e.on || t.working || s.vetting || t.begun && !t.stopped {", "if !e.on || s.vetting || t.begun && !t.stopped {"}},
			[]catcher{model("paused", "work ended before release")}},
	}
}
