package main

// The files that edits of the defences around eligibility are made in.
const (
	gateGo    = "internal/health/gate.go"
	hooksGo   = "internal/work/hooks.go"
	monitorGo = "internal/health/monitor.go"
	passGo    = "internal/etcdstore/pass.go"
)

// ofEligibility are the defences of who may lead, of what is asked and told on the way, and of a lead that is passed on.
func ofEligibility() []mutant {
	passed := func(says string) catcher {
		return namedTest("./internal/etcdstore", "TestEtcdStoreConformsToTheStoreContract/LeadIsPassedOnPastAllInBetween", says)
	}
	return []mutant{
		{"past all in between", "a lead that is passed on goes past all who stand in between",
			[]edit{{passGo, "		if i < at {\n", "		if i == 0 {\n"}},
			[]catcher{passed("the last one does not come to lead")}},
		{"only from the own key", "only the oldest candidate passes the lead on",
			[]edit{{passGo, "len(r.Kvs) == 0 || string(r.Kvs[0].Key) != ss.key || r.Kvs[0].CreateRevision != token", "len(r.Kvs) == 0"}},
			[]catcher{passed("by one that is not the oldest")}},
		{"the queue as it was read", "what is removed is what was read, or nothing is",
			[]edit{{passGo, "If(stand...).", "If()."}},
			[]catcher{namedTest("./internal/etcdstore", "TestLeadIsNotPassedOnInAQueueThatHasChanged", "passed on by one that does not lead any more")}},
		{"within a transaction", "a transfer that etcd could not do in one transaction is refused",
			[]edit{{"internal/election/transfer.go", "		case i > MaxPassed:\n", "		case i > 10*MaxPassed:\n"}},
			[]catcher{namedTest("./internal/election", "TestTransfersAreRefused", "beyond a transaction")}},
		{"the veto", "a term that is refused before it begins does not begin",
			[]edit{{learnGo, "	case s.vets && !s.vetted:\n", "	case false:\n"}},
			[]catcher{namedTest("./internal/election", "TestVetoThatIsAnsweredWhileTheKeyIsReboundWaitsForAConfirmation", `leader \(won\), want verifying`)}},
		{"join of the veto", "the key stays until the veto has been answered",
			[]edit{{stepGo, "t.working || s.vetting || t.begun", "t.working || t.begun"}},
			[]catcher{model("veto-and-shutdown", "work ended before release")}},
		{"a veto and a rebind", "what was confirmed before a rebind does not begin a term after it",
			[]edit{{learnGo, "		s.settled, s.unresolved, s.proven = 0, false, 0\n", "		s.settled, s.unresolved = 0, false\n"},
				{learnGo, "if !s.unresolved && s.proven > 0 {", "if s.proven > 0 {"}},
			[]catcher{namedTest("./internal/election", "TestVetoThatIsAnsweredWhileTheKeyIsReboundWaitsForAConfirmation", "answered .*: begins a term")}},
		{"a bar ends a term", "an elector that may not lead gives the lead up",
			[]edit{{stepGo, "	case s.stage == open && s.phase != Ineligible:\n", "	case s.stage == open && s.phase != Ineligible && !s.leading():\n"}},
			[]catcher{namedTest("./internal/election", "TestLeaderThatIsNotEligibleAnyMoreStepsDownByChoice", "barred: ")}},
		{"all must agree", "of several things that stand against a candidacy each suffices",
			[]edit{{gateGo, "		if b.Cause == election.CauseNone {\n			continue\n", "		if b.Cause == election.CauseNone {\n			return election.Bar{}\n"}},
			[]catcher{namedTest("./internal/health", "TestGateTellsTheWholeAndItsWeightiestCause", "after .*: told")}},
		{"fall", "a check fails only after several failures in a row",
			[]edit{{monitorGo, "if r.Up && w.failed >= fall {", "if r.Up {"}},
			[]catcher{namedTest("./internal/health", "TestChecksTurnAfterSoManyLooksInARow", ".*want")}},
		{"one hook at a time", "hooks never overlap",
			[]edit{{hooksGo, "	h := &Hooks{cfg: cfg, client: newHookClient(), turn: make(chan struct{}, 1),", "	h := &Hooks{cfg: cfg, client: newHookClient(), turn: make(chan struct{}, 9),"}},
			[]catcher{namedTest("./internal/work", "TestHooksRunOneAtATimeAndInOrder", ".* while .* runs")}},
		{"a drain that lasts", "a drain outlasts the process that was told of it",
			[]edit{{dirGo, "fresh.Seen, fresh.Fenced, fresh.Drained = old.Seen, old.Fenced, old.Drained", "fresh.Seen, fresh.Fenced = old.Seen, old.Fenced"}},
			[]catcher{namedTest("./internal/statedir", "TestDrainOutlastsItsProcessUntilItIsUndone", "after a restart")}},
	}
}
