package election

import (
	"reflect"
	"testing"
	"time"
)

// all is a change made of several.
func all(changes ...func(*core)) func(*core) {
	return func(c *core) {
		for _, change := range changes {
			change(c)
		}
	}
}

// ends is what a session's end changes, and over what a term's does.
func ends(e ending, p Phase, cause Cause) func(*core) {
	return func(c *core) {
		e.on = true
		c.ending, c.leader = e, Candidate{}
		c.phase, c.cause = p, cause
	}
}

func over(e ending) func(*core) {
	return all(ends(e, SteppingDown, e.cause), func(c *core) { c.term.over = true })
}

func closes(c *core) { c.stage = closing }

func none(*core) {}

// confirmable is a core whose renewal of 2.5 s is being confirmed.
func confirmable(c core) core {
	c.ack = Renewal{Lease: stepLease, Sent: at(2500), Received: at(2600), RaftTerm: stepTerm, TTL: stepTTL}
	c.ackedIn = (&stepper{core: c}).inForce()
	c.proving, c.provingIn, c.confirming = c.ack, c.ackedIn, call{inFlight: true}
	return c
}

// newerTerm is a leader that is being rebound since etcd's raft term is another.
func newerTerm(c core) core {
	c.raftTerm, c.unresolved, c.rebinding = stepTerm+1, true, call{inFlight: true}
	return c
}

// Each event changes so much of what is known and nothing else, and asks for so much. All happens at 3 s.
func TestWhatEachEventChanges(t *testing.T) {
	const ms = 3000
	now := at(ms)
	margin := Margin(stepTTL)
	other := Candidate{Identity: "b", Incarnation: "b-1", Token: 40}
	claim := Claim{Token: stepToken, Mod: stepToken, Lease: stepLease}
	reply := Reply{Sent: at(2900), Received: at(2950), RaftTerm: stepTerm, Revision: 60}
	replied := func(c *core) {
		c.contact, c.seen.revision, c.seen.revisionAt = reply.Sent, reply.Revision, reply.Received
	}
	renewal := Renewal{Lease: stepLease, Sent: at(2800), Received: at(2900), RaftTerm: stepTerm, TTL: stepTTL}
	denial := with(renewal, func(r *Renewal) { r.TTL = 0 })
	newer := with(renewal, func(r *Renewal) { r.RaftTerm++ })
	own := KeyState{Token: stepToken, Mod: stepToken, Lease: stepLease, Own: true}
	yes := Confirmed{Session: 1, Confirmation: Confirmation{Reply: reply, Holds: true, Oldest: true}}
	proven := confirmable(winner()).ack
	settled := func(c *core) { c.settled, c.confirming = at(2500), call{} }
	counted := func(result RenewalResult, r Renewal, confirmation Reply) action {
		return countRenewal{Result: result, Renewal: r, Confirmation: confirmation}
	}
	closed := func(release bool, c Claim) action { return closeSession{Session: 1, Release: release, Claim: c} }
	opening2 := func(c *core) { c.stage, c.session, c.attempt = opening, 2, c.attempt+1 }
	anew := Grant{Lease: 0x99, TTL: 8 * time.Second, Reply: Reply{Sent: at(2980), Received: at(2990), RaftTerm: stepTerm + 1, Revision: 60}}
	first := Reply{Sent: at(2950), Received: at(2960), RaftTerm: stepTerm, Revision: 61}
	rebound := Rebound{Grant: anew, Reply: Reply{Sent: at(2992), Received: at(2995), RaftTerm: stepTerm + 1, Revision: 62}, Bound: true}
	bound := func(c *core) {
		c.rebinding, c.unresolved, c.raftTerm, c.contact = call{}, false, stepTerm+1, at(2992)
		c.seen.revision, c.seen.revisionAt = 62, at(2995)
		c.key.mod, c.key.lease = 62, 0x99
		c.lease = lease{id: 0x99, ttl: 8 * time.Second, granted: stepTerm + 1, raftTerm: stepTerm + 1, acked: at(10_980)}
		c.ack = Renewal{Lease: 0x99, Sent: at(2980), Received: at(2990), RaftTerm: stepTerm + 1, TTL: 8 * time.Second}
		c.confirming = call{inFlight: true}
	}
	// stale is what an earlier session may have left.
	stale := with(leader(), func(c *core) {
		c.stage, c.phase, c.cause = opening, Connecting, CauseSessionLost
		c.contact, c.refusal, c.raftTerm, c.settled = 0, "no", 99, at(2999)
		c.campaign, c.confirming, c.rebinding = call{inFlight: true}, call{inFlight: true}, call{inFlight: true}
		c.unresolved, c.vetting, c.vetted, c.proven, c.predecessor = true, true, true, at(1), at(2)
		c.seen = evidence{}
	})
	stands := func(c *core) {
		c.stage, c.openedAt, c.raftTerm, c.contact, c.refusal = open, now, stepTerm+1, at(2980), ""
		c.lease = lease{id: 0x99, ttl: 8 * time.Second, granted: stepTerm + 1, raftTerm: stepTerm + 1, acked: at(10_980)}
		c.key = ownKey{path: "/n", lease: 0x99}
		c.campaign, c.confirming, c.rebinding = call{inFlight: true}, call{}, call{}
		c.won, c.unresolved, c.vetting, c.vetted, c.proven = false, false, false, false, 0
		c.term, c.settled, c.predecessor = term{}, 0, 0
		c.ack = Renewal{Lease: 0x99, Sent: at(2980), Received: at(2990), RaftTerm: stepTerm + 1, TTL: 8 * time.Second}
		c.ackedIn = at(10_980)
		c.seen = evidence{revision: 61, revisionAt: at(2960)}
	}
	ready := SessionOpened{Session: 1, Opened: Opened{Grant: anew, First: first, Key: "/n"}}
	closing1 := func(e ending) core {
		return with(leader(), func(c *core) {
			e.on = true
			c.stage, c.ending, c.term.over, c.phase, c.cause = closing, e, true, SteppingDown, e.cause
		})
	}
	emptied := func(c *core) {
		c.lease, c.key, c.term, c.ending, c.won = lease{}, ownKey{}, term{}, ending{}, false
	}

	for _, row := range []struct {
		name    string
		before  core
		event   Event
		change  func(*core)
		actions []action
	}{
		// What time alone ends.
		{"nothing, while there is time", leader(), Tick{}, none, nil},
		{"certainty is at its end", with(leader(), func(c *core) { c.term.deadline = now.Add(margin) }), Tick{},
			over(ending{cause: CauseLeaseExpired, promises: true}), []action{endTerm{CauseLeaseExpired}}},
		{"certainty has a moment left", with(leader(), func(c *core) { c.term.deadline = now.Add(margin + 1) }), Tick{}, none, nil},
		{"a follower's lease is at its end", with(queued(), func(c *core) { c.lease.acked = now }), Tick{},
			all(ends(ending{cause: CauseLeaseExpired, promises: true}, Connecting, CauseLeaseExpired), closes), []action{closed(false, Claim{Token: stepToken, Lease: stepLease})}},
		{"a follower's lease has a moment left", with(queued(), func(c *core) { c.lease.acked = now + 1 }), Tick{}, none, nil},
		{"a winner was not verified for half a TTL", with(winner(), func(c *core) { c.wonAt = at(-2000) }), Tick{},
			all(ends(ending{cause: CauseNotPublished, release: true}, Connecting, CauseNotPublished), closes), []action{closed(true, claim)}},
		{"a winner is almost given up", with(winner(), func(c *core) { c.wonAt = at(-2000) + 1 }), Tick{}, none, nil},
		{"a leader won long ago", with(leader(), func(c *core) { c.wonAt = at(-20_000) }), Tick{}, none, nil},
		{"a session that is being closed has no time", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.lease.acked, c.term.over, c.ending.on = at(0), false, false }), Tick{}, none, nil},
		{"a session that ends goes on ending", with(with(leader(), resigned), func(c *core) { c.lease.acked = at(0) }), Tick{}, none, nil},

		// A session opens, or does not.
		{"a session stands", stale, ready, stands, []action{countSession{SessionIsOpen}, campaign{1}}},
		{"a session stands while it cools down", with(stale, func(c *core) { c.cooldown = at(5000) }), ready,
			all(stands, func(c *core) { c.campaign = call{notBefore: at(5000)} }), []action{countSession{SessionIsOpen}}},
		{"a session stands for one that is barred", with(stale, func(c *core) { c.barred = CauseDrained }), ready,
			all(stands, func(c *core) { c.campaign = call{} }), []action{countSession{SessionIsOpen}}},
		{"a session stands for one that stops", with(stale, func(c *core) { c.shutdown = true }), ready,
			all(stands, func(c *core) { c.campaign = call{} }, ends(ending{cause: CauseShutdown, release: true}, Connecting, CauseShutdown), closes),
			[]action{countSession{SessionIsOpen}, closed(true, Claim{Lease: 0x99})}},
		{"no session", with(stale, func(c *core) { c.cause = CauseNone }), SessionFailed{Session: 1},
			all(opening2, func(c *core) { c.refusal, c.cause = "", CauseSessionLost }), []action{countSession{SessionNotOpen}, openSession{2, 2}}},
		{"no session any more since a refusal", with(stale, func(c *core) { c.cause = CauseRefused }), SessionFailed{Session: 1},
			all(opening2, func(c *core) { c.refusal, c.cause = "", CauseSessionLost }), []action{countSession{SessionNotOpen}, openSession{2, 2}}},
		{"no session after a resignation", with(stale, func(c *core) { c.cause = CauseResigned }), SessionFailed{Session: 1},
			all(opening2, func(c *core) { c.refusal = "" }), []action{countSession{SessionNotOpen}, openSession{2, 2}}},
		{"no session by a refusal", stale, SessionFailed{Session: 1, Refusal: "never"},
			all(opening2, func(c *core) { c.refusal, c.cause = "never", CauseRefused }), []action{countSession{SessionNotOpen}, openSession{2, 2}}},
		{"no session for one that stops", with(stale, func(c *core) { c.shutdown = true }), SessionFailed{Session: 1},
			func(c *core) { c.stage, c.refusal, c.done = noSession, "", true }, []action{countSession{SessionNotOpen}}},
		{"no session for one that is fenced", with(stale, func(c *core) { c.fenced = true }), SessionFailed{Session: 1, Refusal: "no"},
			func(c *core) { c.stage, c.phase, c.cause = noSession, Fenced, CauseRefused }, []action{countSession{SessionNotOpen}}},

		// A session is closed.
		{"closed after a resignation", closing1(ending{cause: CauseResigned}), SessionClosed{1},
			all(emptied, opening2, func(c *core) { c.phase = Connecting }), []action{countSession{SessionReleased}, openSession{2, 2}}},
		{"closed a whole TTL after it opened", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.openedAt = now.Add(-stepTTL) }), SessionClosed{1},
			all(emptied, opening2, func(c *core) { c.phase, c.attempt = Connecting, 1 }), []action{countSession{SessionReleased}, openSession{2, 1}}},
		{"closed, and it cools down", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.cooldown = now + 1 }), SessionClosed{1},
			all(emptied, opening2, func(c *core) { c.phase = Ineligible }), []action{countSession{SessionReleased}, openSession{2, 2}}},
		{"closed, and it has cooled down", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.cooldown = now }), SessionClosed{1},
			all(emptied, opening2, func(c *core) { c.phase = Connecting }), []action{countSession{SessionReleased}, openSession{2, 2}}},
		{"closed, and it is barred", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.barred = CauseDrained }), SessionClosed{1},
			all(emptied, opening2, func(c *core) { c.phase, c.cause = Ineligible, CauseDrained }), []action{countSession{SessionReleased}, openSession{2, 2}}},
		{"closed, and it is fenced", with(closing1(ending{cause: CauseTokenRegression}), func(c *core) { c.fenced = true }), SessionClosed{1},
			all(emptied, func(c *core) { c.stage, c.phase = noSession, Fenced }), []action{countSession{SessionWasLost}}},
		{"closed for one that stops", with(closing1(ending{cause: CauseShutdown}), func(c *core) { c.shutdown = true }), SessionClosed{1},
			all(emptied, func(c *core) { c.stage, c.phase, c.done = noSession, Connecting, true }), []action{countSession{SessionReleased}}},

		// Renewals.
		{"a renewal of the lease", queued(), Renewed{1, renewal},
			func(c *core) { c.contact, c.ack, c.lease.acked = at(2800), renewal, at(12_800) }, nil},
		{"a renewal of a winner's lease", winner(), Renewed{1, renewal}, func(c *core) {
			c.contact, c.ack, c.lease.acked = at(2800), renewal, at(12_800)
			c.confirming, c.proving, c.provingIn = call{inFlight: true}, renewal, at(10_000)
		}, []action{confirm{1, claim}}},
		{"a renewal of a leader's lease is judged by the term's deadline", leader(), Renewed{1, renewal}, func(c *core) {
			c.contact, c.ack, c.ackedIn, c.lease.acked = at(2800), renewal, at(9000), at(12_800)
			c.confirming, c.proving, c.provingIn = call{inFlight: true}, renewal, at(9000)
		}, []action{confirm{1, claim}}},
		{"a renewal of another lease", queued(), Renewed{1, with(renewal, func(r *Renewal) { r.Lease = 0x99 })}, none, nil},
		{"a renewal of a session that is being closed", closing1(ending{cause: CauseResigned}), Renewed{1, renewal}, none, nil},
		{"a renewal of an older raft term", winner(), Renewed{1, with(renewal, func(r *Renewal) { r.RaftTerm-- })},
			func(c *core) { c.contact, c.lease.acked = at(2800), at(12_800) },
			[]action{counted(RenewalTermMismatch, with(renewal, func(r *Renewal) { r.RaftTerm-- }), Reply{})}},
		{"a follower's renewal of a newer raft term", queued(), Renewed{1, newer},
			func(c *core) { c.contact, c.lease.acked, c.raftTerm = at(2800), at(12_800), stepTerm+1 }, nil},
		{"a leader's renewal of a newer raft term", leader(), Renewed{1, newer}, func(c *core) {
			c.contact, c.lease.acked, c.raftTerm = at(2800), at(12_800), stepTerm+1
			c.unresolved, c.rebinding = true, call{inFlight: true}
		}, []action{counted(RenewalTermMismatch, newer, Reply{}), rebind{1, claim, stepTerm + 1}}},
		{"a renewal that was sent before the newest", with(queued(), func(c *core) { c.contact, c.lease.acked = at(2900), at(12_900) }), Renewed{1, renewal},
			func(c *core) { c.ack, c.ackedIn = renewal, at(12_900) }, nil},
		{"the lease is gone", leader(), Renewed{1, denial},
			all(func(c *core) { c.contact = at(2800) }, over(ending{cause: CauseLeaseExpired, release: true, promises: true})),
			[]action{counted(RenewalNegative, denial, Reply{}), endTerm{CauseLeaseExpired}}},
		{"a leader of an older raft term does not know the lease", leader(), Renewed{1, with(denial, func(r *Renewal) { r.RaftTerm-- })},
			func(c *core) { c.contact = at(2800) }, nil},
		{"a renewal in the last margin", with(queued(), func(c *core) { c.lease.acked = renewal.Received.Add(margin) }), Renewed{1, renewal},
			all(func(c *core) { c.contact = at(2800) }, ends(ending{cause: CauseLeaseExpired, promises: true}, Connecting, CauseLeaseExpired), closes),
			[]action{closed(false, Claim{Token: stepToken, Lease: stepLease})}},
		{"a winner's renewal in the last margin", with(winner(), func(c *core) { c.lease.acked = renewal.Received.Add(margin) }), Renewed{1, renewal},
			all(func(c *core) { c.contact = at(2800) }, ends(ending{cause: CauseLeaseExpired, promises: true}, Connecting, CauseLeaseExpired), closes),
			[]action{counted(RenewalLate, renewal, Reply{}), closed(false, claim)}},
		{"another request was answered", queued(), InTouch{1, at(2900)}, func(c *core) { c.contact = at(2900) }, nil},
		{"an earlier request was answered", queued(), InTouch{1, at(-1)}, none, nil},

		// The own key.
		{"the own key is seen", with(queued(), func(c *core) {
			c.phase, c.cause, c.entered, c.key.seen, c.key.token, c.refusal = Connecting, CauseNone, false, false, 0, "no"
		}), OwnKeyPut{1, own}, func(c *core) {
			c.phase, c.cause, c.entered, c.key.seen, c.key.token, c.refusal = Follower, CauseRegistered, true, true, stepToken, ""
		}, nil},
		{"the own key is seen again", leader(), OwnKeyPut{1, own}, none, nil},
		{"the own key is seen while the session ends", with(leader(), resigned), OwnKeyPut{1, KeyState{Token: 99}}, none, nil},
		{"the own key is seen while the session closes", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.ending.on = false }), OwnKeyPut{1, KeyState{Token: 99}}, none, nil},
		{"a winner's key was overwritten", winner(), OwnKeyPut{1, KeyState{Token: stepToken, Mod: 60}},
			all(ends(ending{cause: CauseKeyOverwritten, release: true, promises: true}, Connecting, CauseKeyOverwritten), closes, func(c *core) { c.won = false }), []action{closed(true, claim)}},
		{"a winner's key was deleted", winner(), OwnKeyDeleted{1},
			all(ends(ending{cause: CauseKeyDeleted, release: true}, Connecting, CauseKeyDeleted), closes, func(c *core) { c.won, c.key.seen = false, false }), []action{closed(true, claim)}},
		{"a leader's key was deleted", leader(), OwnKeyDeleted{1},
			all(over(ending{cause: CauseKeyDeleted, release: true}), func(c *core) { c.won, c.key.seen = false, false }), []action{endTerm{CauseKeyDeleted}}},

		// The campaign.
		{"the campaign is won", with(queued(), func(c *core) { c.refusal = "no" }), CampaignWon{1, Won{stepToken, 43, stepTerm}}, func(c *core) {
			c.campaign, c.won, c.wonAt, c.refusal, c.key.mod, c.phase, c.cause = call{}, true, now, "", 43, Verifying, CauseWon
		}, nil},
		{"the campaign is won before the key was seen", with(queued(), func(c *core) { c.key.token, c.key.seen = 0, false }), CampaignWon{1, Won{stepToken, 43, stepTerm}}, func(c *core) {
			c.campaign, c.won, c.wonAt, c.key.token, c.key.mod, c.phase, c.cause = call{}, true, now, stepToken, 43, Verifying, CauseWon
		}, nil},
		{"the campaign is won in a newer raft term", queued(), CampaignWon{1, Won{stepToken, stepToken, stepTerm + 1}}, func(c *core) {
			c.campaign, c.won, c.wonAt, c.key.mod, c.phase, c.cause = call{}, true, now, stepToken, Verifying, CauseWon
			c.raftTerm, c.unresolved, c.rebinding = stepTerm+1, true, call{inFlight: true}
		}, []action{rebind{1, claim, stepTerm + 1}}},
		{"the campaign is won by another key", queued(), CampaignWon{1, Won{99, 99, stepTerm}},
			all(func(c *core) { c.campaign, c.key.seen = call{}, false }, ends(ending{cause: CauseKeyDeleted, release: true}, Connecting, CauseKeyDeleted), closes),
			[]action{closed(true, Claim{Token: stepToken, Lease: stepLease})}},
		{"the campaign is won while the session closes", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.campaign, c.won, c.ending.on = call{inFlight: true}, false, false }),
			CampaignWon{1, Won{stepToken, 43, stepTerm}}, func(c *core) { c.campaign = call{} }, nil},
		{"the campaign is won while the session ends", with(with(leader(), resigned), func(c *core) { c.campaign, c.won = call{inFlight: true}, false }),
			CampaignWon{1, Won{stepToken, 43, stepTerm}}, func(c *core) { c.campaign = call{} }, nil},
		{"the campaign was cut short", queued(), CampaignFailed{Session: 1}, func(c *core) { c.campaign = call{notBefore: at(3250)} }, nil},
		{"the campaign was refused", queued(), CampaignFailed{Session: 1, Refusal: "no"},
			func(c *core) { c.campaign, c.refusal, c.cause = call{notBefore: at(5500)}, "no", CauseRefused }, nil},
		{"the campaign was refused while the session closes", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.ending.on = false }), CampaignFailed{Session: 1, Refusal: "no"},
			func(c *core) { c.campaign = call{notBefore: at(3250)} }, nil},
		{"the campaign was refused while the session ends", with(leader(), resigned), CampaignFailed{Session: 1, Refusal: "no"},
			func(c *core) { c.campaign = call{notBefore: at(3250)} }, nil},

		// Confirmations.
		{"a winner is confirmed", with(confirmable(winner()), func(c *core) { c.refusal, c.key.seen, c.entered = "no", false, false }), yes, all(replied, settled, func(c *core) {
			c.refusal, c.key.seen, c.entered, c.phase = "", true, true, Leader
			c.term = term{begun: true, working: true, deadline: at(12_500)}
		}), []action{counted(RenewalConfirmed, proven, reply), beginTerm{Token: stepToken, Key: "/k"}}},
		{"a winner is confirmed that saw its predecessor go", with(confirmable(winner()), func(c *core) { c.predecessor = at(2000) }), yes, all(replied, settled, func(c *core) {
			c.phase, c.term = Leader, term{begun: true, working: true, deadline: at(12_500)}
		}), []action{counted(RenewalConfirmed, proven, reply), beginTerm{Token: stepToken, Key: "/k", Waited: time.Second}}},
		{"a winner is not the oldest", confirmable(winner()), with(yes, func(e *Confirmed) { e.Confirmation.Oldest = false }),
			all(replied, settled, ends(ending{cause: CauseNotPublished, release: true}, Connecting, CauseNotPublished), closes), []action{counted(RenewalConfirmed, proven, reply), closed(true, claim)}},
		{"a winner is confirmed, and somebody is to be asked", with(confirmable(winner()), func(c *core) { c.vets = true }), yes,
			all(replied, settled, func(c *core) { c.proven, c.vetting = at(12_500), true }),
			[]action{counted(RenewalConfirmed, proven, reply), vet{1, stepToken, "/k"}}},
		{"a winner is confirmed again while somebody is asked", with(confirmable(winner()), func(c *core) { c.vets, c.vetting, c.proven = true, true, at(10_000) }), yes,
			all(replied, settled, func(c *core) { c.proven = at(12_500) }), []action{counted(RenewalConfirmed, proven, reply)}},
		{"a winner is confirmed that nobody has anything against", with(confirmable(winner()), func(c *core) { c.vets, c.vetted = true, true }), yes, all(replied, settled, func(c *core) {
			c.phase, c.term = Leader, term{begun: true, working: true, deadline: at(12_500)}
		}), []action{counted(RenewalConfirmed, proven, reply), beginTerm{Token: stepToken, Key: "/k"}}},
		{"a winner is confirmed whose work would have no time", with(confirmable(winner()), func(c *core) { c.grace = at(12_500).Sub(now) - margin }), yes,
			all(replied, settled), []action{counted(RenewalConfirmed, proven, reply)}},
		{"a leader is confirmed", confirmable(leader()), yes, all(replied, settled, func(c *core) { c.term.deadline = at(12_500) }), []action{counted(RenewalConfirmed, proven, reply)}},
		{"a leader is confirmed, by less than it has", with(confirmable(leader()), func(c *core) { c.term.deadline = at(13_000) }), yes, all(replied, settled), []action{counted(RenewalConfirmed, proven, reply)}},
		{"a leader that steps down is confirmed", confirmable(with(leader(), func(c *core) {
			resigned(c)
			c.term.working = true
		})), yes, all(replied, settled, func(c *core) { c.term.deadline = at(12_500) }), []action{counted(RenewalConfirmed, proven, reply)}},
		{"a confirmation is not answered", confirmable(leader()), Confirmed{Session: 1, Failed: true, Refusal: "no"},
			func(c *core) { c.confirming, c.refusal = call{notBefore: at(3250)}, "no" }, []action{counted(RenewalUnconfirmed, proven, Reply{})}},
		{"a confirmation of a session that is being closed", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.confirming = call{inFlight: true} }), yes,
			func(c *core) { c.confirming = call{} }, nil},
		{"a confirmation of another raft term", confirmable(leader()), with(yes, func(e *Confirmed) { e.Confirmation.Reply.RaftTerm++ }), all(replied, settled, func(c *core) {
			c.raftTerm, c.unresolved, c.rebinding = stepTerm+1, true, call{inFlight: true}
		}), []action{counted(RenewalTermMismatch, proven, with(reply, func(r *Reply) { r.RaftTerm++ })), rebind{1, claim, stepTerm + 1}}},
		{"a confirmation that a rebind has overtaken", newerTerm(confirmable(leader())), with(yes, func(e *Confirmed) { e.Confirmation.Holds = false }),
			all(replied, func(c *core) { c.confirming = call{} }), []action{counted(RenewalTermMismatch, proven, reply)}},
		{"a confirmation of the lease before", with(confirmable(leader()), func(c *core) { c.lease.id, c.settled = 0x99, at(2600) }), with(yes, func(e *Confirmed) { e.Confirmation.Holds = false }),
			all(replied, func(c *core) { c.confirming = call{} }), []action{counted(RenewalTermMismatch, proven, reply)}},
		{"a confirmation of another raft term when somebody is to be asked", with(confirmable(winner()), func(c *core) { c.vets = true }), with(yes, func(e *Confirmed) { e.Confirmation.Reply.RaftTerm++ }), all(replied, settled, func(c *core) {
			c.raftTerm, c.unresolved, c.rebinding = stepTerm+1, true, call{inFlight: true}
		}), []action{counted(RenewalTermMismatch, proven, with(reply, func(r *Reply) { r.RaftTerm++ })), rebind{1, claim, stepTerm + 1}}},
		{"a confirmation while a veto is wound up", with(confirmable(winner()), func(c *core) {
			c.vets, c.vetting, c.ending = true, true, ending{on: true, cause: CauseDrained, release: true}
		}), yes, all(replied, settled), []action{counted(RenewalConfirmed, proven, reply)}},
		{"a claim that does not hold, of a key that is another", confirmable(leader()), with(yes, func(e *Confirmed) {
			e.Confirmation.Holds, e.Confirmation.Found = false, &KeyState{Token: 99}
		}), all(replied, func(c *core) { c.confirming, c.won, c.key.seen = call{}, false, false }, over(ending{cause: CauseKeyDeleted, release: true})),
			[]action{counted(RenewalNegative, proven, reply), endTerm{CauseKeyDeleted}}},

		// The veto.
		{"nobody has anything against it", with(winner(), func(c *core) { c.vets, c.vetting, c.proven = true, true, at(9000) }), Vetted{Session: 1}, func(c *core) {
			c.vetting, c.vetted, c.phase, c.term = false, true, Leader, term{begun: true, working: true, deadline: at(9000)}
		}, []action{beginTerm{Token: stepToken, Key: "/k"}}},
		{"nobody has anything against it, and nothing is confirmed", with(winner(), func(c *core) { c.vets, c.vetting = true, true }), Vetted{Session: 1},
			func(c *core) { c.vetting, c.vetted = false, true }, nil},
		{"nobody has anything against it while it is rebound", with(newerTerm(winner()), func(c *core) { c.vets, c.vetting, c.proven = true, true, at(9000) }), Vetted{Session: 1},
			func(c *core) { c.vetting, c.vetted = false, true }, nil},
		{"somebody has something against it", with(winner(), func(c *core) { c.vets, c.vetting, c.proven = true, true, at(9000) }), Vetted{Session: 1, Refused: true, Until: at(13_000)},
			all(func(c *core) { c.vetting, c.cooldown = false, at(13_000) }, ends(ending{cause: CauseVetoed, release: true}, Ineligible, CauseVetoed), closes), []action{closed(true, claim)}},
		{"somebody has something against it that cools down longer", with(winner(), func(c *core) { c.vets, c.vetting, c.cooldown = true, true, at(20_000) }), Vetted{Session: 1, Refused: true, Until: at(13_000)},
			all(func(c *core) { c.vetting = false }, ends(ending{cause: CauseVetoed, release: true}, Ineligible, CauseVetoed), closes), []action{closed(true, claim)}},
		{"the veto ends with the session", with(winner(), func(c *core) { c.vets, c.vetting = true, true }), OwnKeyDeleted{1},
			all(ends(ending{cause: CauseKeyDeleted, release: true}, Connecting, CauseKeyDeleted), func(c *core) { c.won, c.key.seen = false, false }), []action{endVet{CauseKeyDeleted}}},
		{"the answer to a veto that has ended", with(winner(), func(c *core) {
			c.vets, c.vetting, c.won, c.ending = true, true, false, ending{on: true, cause: CauseKeyDeleted, release: true}
		}), Vetted{Session: 1, Refused: true, Until: at(13_000)}, all(closes, func(c *core) { c.vetting = false }), []action{closed(true, claim)}},

		{"the answer to a veto while the session ends", with(winner(), func(c *core) {
			c.vets, c.vetting, c.proven, c.ending = true, true, at(9000), ending{on: true, cause: CauseDrained, release: true}
		}), Vetted{Session: 1}, all(closes, func(c *core) { c.vetting = false }), []action{closed(true, claim)}},
		{"the answer to a veto while the session closes", with(winner(), func(c *core) { c.stage, c.vets, c.vetting, c.proven = closing, true, true, at(9000) }), Vetted{Session: 1},
			func(c *core) { c.vetting = false }, nil},
		{"the answer to a veto about a key that is not won any more", with(winner(), func(c *core) {
			c.vets, c.vetting, c.proven, c.won, c.campaign.inFlight = true, true, at(9000), false, true
		}), Vetted{Session: 1},
			func(c *core) { c.vetting = false }, nil},

		// Rebinding.
		{"the key is bound to a new lease", with(newerTerm(leader()), func(c *core) { c.refusal, c.proven, c.key.seen = "no", at(1), false }), KeyRebound{Session: 1, Rebound: rebound},
			all(bound, func(c *core) {
				c.refusal, c.proven, c.settled, c.key.seen, c.ackedIn = "", 0, 0, true, at(9000)
				c.proving, c.provingIn = c.ack, at(9000)
			}), []action{confirm{1, Claim{Token: stepToken, Mod: 62, Lease: 0x99}}}},
		{"a winner's key is bound to a new lease", newerTerm(winner()), KeyRebound{Session: 1, Rebound: rebound},
			all(bound, func(c *core) { c.settled, c.ackedIn = 0, at(10_980); c.proving, c.provingIn = c.ack, at(10_980) }), []action{confirm{1, Claim{Token: stepToken, Mod: 62, Lease: 0x99}}}},
		{"the key is bound in yet another raft term", newerTerm(leader()), KeyRebound{Session: 1, Rebound: with(rebound, func(r *Rebound) { r.Reply.RaftTerm++ })},
			all(bound, func(c *core) {
				c.settled, c.ackedIn, c.raftTerm, c.lease.raftTerm, c.confirming = 0, at(9000), stepTerm+2, 0, call{}
				c.unresolved, c.rebinding = true, call{inFlight: true}
			}), []action{rebind{1, Claim{Token: stepToken, Mod: 62, Lease: 0x99}, stepTerm + 2}}},
		{"the key is bound to a lease of a newer raft term than the put's", newerTerm(leader()), KeyRebound{Session: 1, Rebound: with(rebound, func(r *Rebound) { r.Grant.Reply.RaftTerm++ })},
			all(bound, func(c *core) {
				c.settled, c.ackedIn, c.raftTerm, c.lease.granted, c.lease.raftTerm, c.ack.RaftTerm, c.confirming = 0, at(9000), stepTerm+2, stepTerm+2, 0, stepTerm+2, call{}
				c.unresolved, c.rebinding = true, call{inFlight: true}
			}), []action{rebind{1, Claim{Token: stepToken, Mod: 62, Lease: 0x99}, stepTerm + 2}}},
		{"a rebind finds no key", newerTerm(leader()), KeyRebound{Session: 1, Rebound: Rebound{Grant: anew, Reply: reply}},
			all(replied, over(ending{cause: CauseKeyDeleted, release: true}), func(c *core) { c.raftTerm, c.rebinding, c.won, c.key.seen = stepTerm+1, call{}, false, false }), []action{endTerm{CauseKeyDeleted}}},
		{"a rebind is not answered", newerTerm(leader()), KeyRebound{Session: 1, Failed: true, Refusal: "no"},
			func(c *core) { c.rebinding, c.refusal = call{notBefore: at(3250)}, "no" }, nil},
		{"a rebind of a session that is being closed", with(closing1(ending{cause: CauseResigned}), func(c *core) { c.rebinding = call{inFlight: true} }), KeyRebound{Session: 1, Rebound: rebound},
			func(c *core) { c.rebinding = call{} }, nil},
		{"an earlier rebind was applied", newerTerm(leader()), KeyRebound{Session: 1, Rebound: Rebound{Grant: anew, Reply: reply, Found: &KeyState{Token: stepToken, Mod: 61, Lease: 0x98, Own: true}}},
			all(replied, func(c *core) { c.key.mod, c.key.lease = 61, 0x98 }), []action{rebind{1, Claim{Token: stepToken, Mod: 61, Lease: 0x98}, stepTerm + 1}}},
		{"a rebind finds the key overwritten", newerTerm(leader()), KeyRebound{Session: 1, Rebound: Rebound{Grant: anew, Reply: reply, Found: &KeyState{Token: stepToken, Mod: 61}}},
			all(replied, over(ending{cause: CauseKeyOverwritten, release: true, promises: true}), func(c *core) { c.rebinding, c.won = call{}, false }), []action{endTerm{CauseKeyOverwritten}}},
		{"a rebind finds another key", newerTerm(leader()), KeyRebound{Session: 1, Rebound: Rebound{Grant: anew, Reply: reply, Found: &KeyState{Token: 99, Own: true}}},
			all(replied, over(ending{cause: CauseKeyDeleted, release: true}), func(c *core) { c.rebinding, c.won, c.key.seen = call{}, false, false }), []action{endTerm{CauseKeyDeleted}}},

		// The others.
		{"another leads", with(queued(), func(c *core) { c.predecessor = at(1) }), Observed{Session: 1, Reply: reply, Leader: other, Predecessor: at(2000)},
			all(replied, func(c *core) { c.leader, c.predecessor = other, 0 }), nil},
		{"the own key is the oldest", queued(), Observed{Session: 1, Reply: reply, Leader: Candidate{Token: stepToken}, Predecessor: at(2000)},
			all(replied, func(c *core) {
				c.leader, c.predecessor, c.seen.token, c.seen.tokenAt = Candidate{Token: stepToken}, at(2000), stepToken, reply.Received
			}), nil},
		{"nobody leads", with(queued(), func(c *core) { c.leader = other }), Observed{Session: 1, Reply: reply}, all(replied, func(c *core) { c.leader = Candidate{} }), nil},
		{"another leads while the session ends", with(with(leader(), resigned), func(c *core) { c.term.working = true }), Observed{Session: 1, Reply: reply, Leader: other}, replied, nil},
		{"another leads while the session closes", closing1(ending{cause: CauseResigned}), Observed{Session: 1, Reply: reply, Leader: other}, none, nil},
		{"nothing is new", queued(), Observed{Session: 1, Reply: Reply{Sent: at(1), Received: at(2), RaftTerm: stepTerm, Revision: 50}, Leader: other},
			func(c *core) { c.contact, c.leader = at(1), other }, nil},
		{"a member lags", queued(), Observed{Session: 1, Reply: Reply{Sent: at(0), Received: at(2), RaftTerm: stepTerm - 1, Revision: 40}, Leader: Candidate{Token: 30}},
			func(c *core) { c.leader = Candidate{Token: 30} }, nil},
		{"etcd went back", queued(), Observed{Session: 1, Reply: Reply{Sent: at(1), Received: at(2), RaftTerm: stepTerm, Revision: 49}},
			all(func(c *core) { c.fenced = true }, ends(ending{cause: CauseTokenRegression, release: true, promises: true}, Fenced, CauseTokenRegression), closes),
			[]action{closed(true, Claim{Token: stepToken, Lease: stepLease})}},
		{"a token went back", queued(), Observed{Session: 1, Reply: reply, Leader: Candidate{Token: 39}},
			all(func(c *core) { c.fenced = true }, ends(ending{cause: CauseTokenRegression, release: true, promises: true}, Fenced, CauseTokenRegression), closes),
			[]action{closed(true, Claim{Token: stepToken, Lease: stepLease})}},

		// What is asked.
		{"a resignation", leader(), ResignAsked{Token: stepToken, Until: at(8000)}, all(func(c *core) { c.cooldown = at(8000) }, over(ending{cause: CauseResigned, release: true, promises: true})), []action{endTerm{CauseResigned}}},
		{"a resignation by whom the promises were given to", leader(), ResignAsked{Token: stepToken, Stopped: true}, over(ending{cause: CauseResigned, release: true}), []action{endTerm{CauseResigned}}},
		{"a resignation that cools down for less", with(leader(), func(c *core) { c.cooldown = at(9000) }), ResignAsked{Token: stepToken, Until: at(8000)},
			over(ending{cause: CauseResigned, release: true, promises: true}), []action{endTerm{CauseResigned}}},
		{"a resignation from another term", leader(), ResignAsked{Token: 41}, none, nil},
		{"a resignation without a term", winner(), ResignAsked{Token: stepToken}, none, nil},
		{"a second resignation", with(leader(), resigned), ResignAsked{Token: stepToken, Until: at(8000)}, func(c *core) { c.cooldown = at(8000) }, nil},
		{"a second resignation, now with the token", with(leader(), resigned), ResignAsked{Token: stepToken, Stopped: true}, all(closes, func(c *core) { c.ending.promises = false }), []action{closed(true, claim)}},
		{"a second resignation, now without the token", with(leader(), func(c *core) {
			resigned(c)
			c.ending.promises, c.term.working = false, true
		}), ResignAsked{Token: stepToken}, none, nil},
		{"a transfer", leader(), TransferAsked{Token: stepToken, To: other}, over(ending{cause: CauseTransferred, release: true, promises: true, to: other}), []action{endTerm{CauseTransferred}}},
		{"a transfer by whom the promises were given to", leader(), TransferAsked{Token: stepToken, To: other, Stopped: true}, over(ending{cause: CauseTransferred, release: true, to: other}), []action{endTerm{CauseTransferred}}},
		{"a transfer from another term", leader(), TransferAsked{Token: 41, To: other}, none, nil},
		{"a transfer without a term", winner(), TransferAsked{Token: stepToken, To: other}, none, nil},
		{"a transfer of what is ending", with(leader(), resigned), TransferAsked{Token: stepToken, To: other}, none, nil},
		{"a transfer that is carried out", with(leader(), func(c *core) { resigned(c); c.ending.to, c.term.promised = other, now }), Tick{}, closes,
			[]action{closeSession{Session: 1, Release: true, Claim: claim, To: other}}},
		{"a bar for a leader", leader(), EligibilityChanged{CauseDrained}, all(func(c *core) { c.barred = CauseDrained }, over(ending{cause: CauseDrained, release: true, promises: true})), []action{endTerm{CauseDrained}}},
		{"a bar for a follower", queued(), EligibilityChanged{CauseDrained},
			all(func(c *core) { c.barred = CauseDrained }, ends(ending{cause: CauseDrained, release: true, promises: true}, Ineligible, CauseDrained), closes),
			[]action{closed(true, Claim{Token: stepToken, Lease: stepLease})}},
		{"another bar", with(queued(), func(c *core) { c.phase, c.cause, c.barred, c.campaign = Ineligible, CauseDrained, CauseDrained, call{} }), EligibilityChanged{CauseUnhealthy},
			func(c *core) { c.barred, c.cause = CauseUnhealthy, CauseUnhealthy }, nil},
		{"a bar while the session closes", closing1(ending{cause: CauseResigned}), EligibilityChanged{CauseDrained}, func(c *core) { c.barred = CauseDrained }, nil},
		{"a bar for one that is fenced", with(leader(), func(c *core) { c.fenced = true; resigned(c); c.term.working = true }), EligibilityChanged{CauseDrained}, func(c *core) { c.barred = CauseDrained }, nil},
		{"a bar is lifted", with(queued(), func(c *core) {
			c.phase, c.cause, c.barred, c.campaign = Ineligible, CauseUnhealthy, CauseUnhealthy, call{}
		}), EligibilityChanged{},
			func(c *core) {
				c.barred, c.phase, c.cause, c.campaign = CauseNone, Connecting, CauseEligible, call{inFlight: true}
			}, []action{campaign{1}}},
		{"a drain is lifted", with(queued(), func(c *core) { c.phase, c.cause, c.barred, c.campaign = Ineligible, CauseDrained, CauseDrained, call{} }), EligibilityChanged{},
			func(c *core) {
				c.barred, c.phase, c.cause, c.campaign = CauseNone, Connecting, CauseUndrained, call{inFlight: true}
			}, []action{campaign{1}}},
		{"a bar is lifted while it cools down", with(queued(), func(c *core) {
			c.phase, c.cause, c.barred, c.cooldown, c.campaign = Ineligible, CauseUnhealthy, CauseUnhealthy, at(5000), call{notBefore: at(5000)}
		}), EligibilityChanged{}, func(c *core) { c.barred, c.cause = CauseNone, CauseEligible }, nil},
		{"no bar where there was none, while it cools down", with(queued(), func(c *core) {
			c.phase, c.cause, c.cooldown, c.campaign = Ineligible, CauseResigned, at(5000), call{notBefore: at(5000)}
		}), EligibilityChanged{}, none, nil},
		{"it has cooled down", with(queued(), func(c *core) {
			c.phase, c.cause, c.cooldown, c.campaign = Ineligible, CauseResigned, at(3000), call{notBefore: at(3000)}
		}), Tick{}, func(c *core) { c.phase, c.campaign = Connecting, call{inFlight: true} }, []action{campaign{1}}},
		{"a bar is lifted while the session closes", with(closing1(ending{cause: CauseDrained}), func(c *core) { c.barred, c.phase = CauseDrained, Ineligible }), EligibilityChanged{}, func(c *core) { c.barred = CauseNone }, nil},
		{"the fence is lifted", with(core{phase: Fenced, cause: CauseTokenRegression, fenced: true, seen: evidence{revision: 9}}, none), UnfenceAsked{},
			func(c *core) {
				c.fenced, c.seen, c.phase, c.cause = false, evidence{}, Connecting, CauseUnfenced
				c.stage, c.session, c.attempt = opening, 1, 1
			}, []action{openSession{1, 1}}},
		{"the fence is lifted where there is none", leader(), UnfenceAsked{}, none, nil},
		{"a stop", leader(), ShutdownAsked{}, all(func(c *core) { c.shutdown = true }, over(ending{cause: CauseShutdown, release: true, promises: true})), []action{endTerm{CauseShutdown}}},
		{"a stop, with promises declared void", with(leader(), func(c *core) { c.releaseNow = true }), ShutdownAsked{}, all(func(c *core) { c.shutdown = true }, over(ending{cause: CauseShutdown, release: true})), []action{endTerm{CauseShutdown}}},
		{"a stop while it steps down", with(leader(), func(c *core) { resigned(c); c.ending.release = false }), ShutdownAsked{}, func(c *core) { c.shutdown, c.ending.release = true, true }, nil},
		{"a stop while it steps down, with promises declared void", with(leader(), func(c *core) { resigned(c); c.releaseNow = true }), ShutdownAsked{},
			all(closes, func(c *core) { c.shutdown, c.ending.promises = true, false }), []action{closed(true, claim)}},

		// The end of a term.
		{"a reader found the deadline passed", leader(), TermLapsed{stepToken}, over(ending{cause: CauseLeaseExpired, promises: true}), []action{endTerm{CauseLeaseExpired}}},
		{"a reader found another term's deadline passed", leader(), TermLapsed{41}, none, nil},
		{"a reader found the deadline of a term passed that is over", with(leader(), resigned), TermLapsed{stepToken}, none, nil},
		{"work ended", leader(), WorkEnded{stepToken}, all(func(c *core) { c.term.working = false }, over(ending{cause: CauseWorkEnded, release: true, promises: true})), []action{endTerm{CauseWorkEnded}}},
		{"another term's work ended", leader(), WorkEnded{41}, none, nil},
		{"the term is stopped", with(leader(), func(c *core) { resigned(c); c.term.stopped, c.term.promised = false, 0 }), TermStopped{at(4000)}, func(c *core) { c.term.stopped, c.term.promised = true, at(4000) }, nil},
		{"the term is stopped, with nothing left to wait for", with(leader(), func(c *core) { resigned(c); c.term.stopped, c.term.promised = false, 0 }), TermStopped{at(3000)},
			all(closes, func(c *core) { c.term.stopped, c.term.promised = true, at(3000) }), []action{closed(true, claim)}},
		{"the session is over", queued(), SessionOver{1}, all(ends(ending{cause: CauseSessionLost, promises: true}, Connecting, CauseSessionLost), closes), []action{closed(false, Claim{Token: stepToken, Lease: stepLease})}},
		{"the session is over before it stands", with(stale, func(c *core) { c.ending = ending{} }), SessionOver{1}, none, nil},
		{"a stop before a session stands", stale, ShutdownAsked{}, func(c *core) { c.shutdown = true }, nil},
		{"a reader found a deadline passed, and there is no term", winner(), TermLapsed{stepToken}, none, nil},
		{"a drain is lifted while its term steps down", with(leader(), func(c *core) {
			resigned(c)
			c.barred, c.cause, c.ending.cause = CauseDrained, CauseDrained, CauseDrained
		}), EligibilityChanged{},
			func(c *core) { c.barred = CauseNone }, nil},
		{"a bar for one that is fenced and has no session", core{phase: Fenced, cause: CauseTokenRegression, fenced: true}, EligibilityChanged{CauseDrained}, func(c *core) { c.barred = CauseDrained }, nil},
		{"a bar before a session stands", stale, EligibilityChanged{CauseDrained}, func(c *core) { c.barred, c.phase, c.cause = CauseDrained, Ineligible, CauseDrained }, nil},
		{"a stop of one that nobody acts on any more", with(leader(), func(c *core) { resigned(c); c.ending.promises, c.term.working = false, true }), ShutdownAsked{}, func(c *core) { c.shutdown = true }, nil},
		{"the campaign is taken up again", with(queued(), func(c *core) { c.campaign = call{notBefore: now} }), Tick{}, func(c *core) { c.campaign = call{inFlight: true} }, []action{campaign{1}}},
		{"an event of another session", leader(), OwnKeyDeleted{2}, none, nil},
	} {
		want := row.before
		row.change(&want)
		got, actions := step(row.before, now, row.event)
		if got != want {
			t.Errorf("%s: the core is\n%+v\nwant\n%+v", row.name, got, want)
		}
		if !reflect.DeepEqual(actions, row.actions) {
			t.Errorf("%s: asks for %+v, want %+v", row.name, actions, row.actions)
		}
	}
}

func TestASessionCountsAsLostByTheseCauses(t *testing.T) {
	for cause, want := range map[Cause]SessionResult{
		CauseLeaseExpired: SessionWasLost, CauseSessionLost: SessionWasLost, CauseKeyDeleted: SessionWasLost, CauseKeyOverwritten: SessionWasLost,
		CauseTokenRegression: SessionWasLost, CauseResigned: SessionReleased, CauseTransferred: SessionReleased, CauseNotPublished: SessionReleased,
		CauseShutdown: SessionReleased, CauseWorkEnded: SessionReleased, CauseDrained: SessionReleased, CauseVetoed: SessionReleased,
	} {
		before := with(leader(), func(c *core) { c.stage, c.ending = closing, ending{on: true, cause: cause} })
		if _, actions := step(before, at(3000), SessionClosed{1}); actions[0] != (countSession{want}) {
			t.Errorf("%s: %+v", cause, actions)
		}
	}
}

func TestEveryEventOfASessionIsKnownByItsNumber(t *testing.T) {
	for _, ev := range []Event{
		Tick{}, SessionOpened{}, SessionFailed{}, SessionOver{}, SessionClosed{}, Renewed{}, InTouch{}, OwnKeyPut{}, OwnKeyDeleted{}, CampaignWon{},
		CampaignFailed{}, Confirmed{}, KeyRebound{}, Observed{}, ValueSeen{}, Refused{}, TermStopped{}, TermLapsed{}, WorkEnded{}, ResignAsked{},
		TransferAsked{}, Vetted{}, EligibilityChanged{}, UnfenceAsked{}, ShutdownAsked{},
	} {
		v := reflect.New(reflect.TypeOf(ev)).Elem()
		want := 0
		if f := v.FieldByName("Session"); f.IsValid() {
			want = 7
			f.SetInt(7)
		}
		if n, ok := sessionOf(v.Interface().(Event)); ok != (want != 0) || n != want {
			t.Errorf("%T is of session %d, %v", ev, n, ok)
		}
	}
}
