package election

import (
	"reflect"
	"testing"
	"time"
)

// at is an instant some milliseconds after the tests' beginning.
func at(ms int) Instant { return Instant(time.Hour + time.Duration(ms)*time.Millisecond) }

func TestExtendCountsOnlyConfirmedRenewalsOfOneRaftTermInTime(t *testing.T) {
	const (
		ttl       = 10 * time.Second
		raftTerm  = 7
		inForceMS = 10_000
	)
	margin := Margin(ttl)
	type in struct {
		grantTerm    uint64
		ack          Renewal
		ackedIn      Instant
		confirmation Reply
	}
	good := in{raftTerm,
		Renewal{Lease: 1, Sent: at(3000), Received: at(3010), RaftTerm: raftTerm, TTL: ttl}, at(inForceMS),
		Reply{Sent: at(3010), Received: at(3020), RaftTerm: raftTerm}}
	last := at(inForceMS).Add(-margin)
	for _, row := range []struct {
		name   string
		change func(*in)
		want   RenewalResult
	}{
		{"as it should be", func(*in) {}, RenewalConfirmed},
		{"lease gone", func(i *in) { i.ack.TTL = 0 }, RenewalNegative},
		{"lease not settled", func(i *in) { i.grantTerm = 0 }, RenewalTermMismatch},
		{"lease not settled, and no raft term told", func(i *in) { i.grantTerm, i.ack.RaftTerm, i.confirmation.RaftTerm = 0, 0, 0 }, RenewalTermMismatch},
		{"acknowledged in an older raft term", func(i *in) { i.ack.RaftTerm-- }, RenewalTermMismatch},
		{"confirmed in a newer raft term", func(i *in) { i.confirmation.RaftTerm++ }, RenewalTermMismatch},
		{"both in a newer raft term", func(i *in) { i.ack.RaftTerm++; i.confirmation.RaftTerm++ }, RenewalTermMismatch},
		{"confirmation sent before the acknowledgement came", func(i *in) { i.confirmation.Sent = at(3009) }, RenewalUnconfirmed},
		{"acknowledged at the last instant", func(i *in) {
			i.ack.Received, i.confirmation.Sent, i.confirmation.Received = last-1, last-1, last-1
		}, RenewalConfirmed},
		{"acknowledged too late", func(i *in) {
			i.ack.Received, i.confirmation.Sent, i.confirmation.Received = last, last, last
		}, RenewalLate},
		{"acknowledged too late, and the deadline was moved before it was confirmed", func(i *in) {
			i.ackedIn = at(3010).Add(margin)
		}, RenewalLate},
		{"acknowledged in time, and the deadline was moved before it was confirmed", func(i *in) {
			i.ackedIn = at(3010).Add(margin + 1)
		}, RenewalConfirmed},
		{"confirmed too late", func(i *in) { i.confirmation.Received = last }, RenewalLate},
	} {
		t.Run(row.name, func(t *testing.T) {
			i := good
			row.change(&i)
			until, got := extend(i.grantTerm, margin, i.ack, i.ackedIn, i.confirmation, at(inForceMS))
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if got == RenewalConfirmed && until != at(3000).Add(ttl) {
				t.Errorf("deadline %v does not count from when the keep-alive was sent", until)
			}
		})
	}
}

// track is a core taken through events.
type track struct {
	*testing.T
	core    core
	actions []action
}

// feed steps the core and keeps what it asked for in this step.
func (k *track) feed(ms int, ev Event) *track {
	k.Helper()
	k.core, k.actions = step(k.core, at(ms), ev)
	return k
}

// asked returns the action of type A of the last step, if there was one.
func asked[A action](k *track) (A, bool) {
	for _, a := range k.actions {
		if a, ok := a.(A); ok {
			return a, true
		}
	}
	var none A
	return none, false
}

func (k *track) want(p Phase, c Cause) *track {
	k.Helper()
	if k.core.phase != p || k.core.cause != c {
		k.Fatalf("%s (%s), want %s (%s)", k.core.phase, k.core.cause, p, c)
	}
	return k
}

const (
	stepTTL   = 10 * time.Second
	stepLease = LeaseID(0x77)
	stepTerm  = 5 // raft term
	stepToken = 42
)

func replyAt(ms int, raftTerm uint64, revision int64) Reply {
	return Reply{Sent: at(ms), Received: at(ms), RaftTerm: raftTerm, Revision: revision}
}

// opened is a core with a session, waiting in the queue.
func opened(t *testing.T) *track {
	k := &track{T: t, core: core{phase: Connecting}}
	k.feed(0, Tick{})
	k.feed(1, SessionOpened{Session: 1, Opened: Opened{
		Grant: Grant{Lease: stepLease, TTL: stepTTL, Reply: replyAt(1, stepTerm, 40)},
		First: replyAt(0, stepTerm, 40), Key: "/k",
	}})
	if _, ok := asked[campaign](k); !ok {
		t.Fatal("does not campaign")
	}
	k.feed(2, renewedAt(2))
	return k.feed(3, OwnKeyPut{1, KeyState{Token: stepToken, Mod: stepToken, Lease: stepLease, Own: true}}).
		want(Follower, CauseRegistered)
}

func renewedAt(ms int) Renewed {
	return Renewed{1, Renewal{Lease: stepLease, Sent: at(ms), Received: at(ms), RaftTerm: stepTerm, TTL: stepTTL}}
}

func confirmedAt(ms int) Confirmed {
	return Confirmed{Session: 1, Confirmation: Confirmation{Reply: replyAt(ms, stepTerm, 50), Holds: true, Oldest: true}}
}

// led is a core that leads.
func led(t *testing.T) *track {
	k := opened(t).feed(10, CampaignWon{1, Won{stepToken, stepToken, stepTerm}}).want(Verifying, CauseWon)
	if _, ok := asked[confirm](k); !ok {
		t.Fatal("does not verify")
	}
	k.feed(12, confirmedAt(11)).want(Leader, CauseWon)
	if b, ok := asked[beginTerm](k); !ok || b.Token != stepToken {
		t.Fatalf("term begun: %v %+v", ok, b)
	}
	if k.core.term.deadline != at(2).Add(stepTTL) {
		t.Fatalf("deadline %v does not count from the confirmed keep-alive", k.core.term.deadline)
	}
	return k
}

func TestTermIsNotPublishedUntilARenewalIsConfirmed(t *testing.T) {
	k := opened(t).feed(10, CampaignWon{1, Won{stepToken, stepToken, stepTerm}})
	k.feed(20, renewedAt(20)).want(Verifying, CauseWon)
	k.feed(30, Confirmed{Session: 1, Failed: true}).want(Verifying, CauseWon)
	k.feed(31, Tick{})
	if _, ok := asked[confirm](k); ok {
		t.Error("repeats an unanswered confirmation without a pause")
	}
	k.feed(400, Tick{})
	if _, ok := asked[confirm](k); !ok {
		t.Error("gave up confirming")
	}
}

func TestWinnerOfANewerRaftTermRebindsBeforeItIsVerified(t *testing.T) {
	k := opened(t).feed(10, CampaignWon{1, Won{stepToken, stepToken, stepTerm + 1}})
	if _, ok := asked[confirm](k); ok {
		t.Error("confirms a lease of an older raft term")
	}
	r, ok := asked[rebind](k)
	if !ok || r.RaftTerm != stepTerm+1 {
		t.Fatalf("rebind: %v %+v", ok, r)
	}
	k.feed(20, KeyRebound{Session: 1, Rebound: Rebound{
		Grant: Grant{Lease: 0x78, TTL: stepTTL, Reply: replyAt(15, stepTerm+1, 50)}, Reply: replyAt(18, stepTerm+1, 51), Bound: true,
	}})
	c, ok := asked[confirm](k)
	if want := (Claim{Token: stepToken, Mod: 51, Lease: 0x78}); !ok || c.Claim != want {
		t.Fatalf("confirms %+v, want %+v", c.Claim, want)
	}
	k.feed(32, Confirmed{Session: 1, Confirmation: Confirmation{Reply: replyAt(31, stepTerm+1, 51), Holds: true, Oldest: true}}).
		want(Leader, CauseWon)
	if k.core.term.deadline != at(15).Add(stepTTL) {
		t.Errorf("deadline %v does not count from before the grant", k.core.term.deadline)
	}
}

// A key that is gone or foreign can neither be confirmed nor rebound: while the work ends, nothing more
// is asked of etcd, and nothing wakes the loop.
func TestALostKeyIsLeftAloneWhileWorkEnds(t *testing.T) {
	for name, ev := range map[string]Event{
		"deleted":     OwnKeyDeleted{1},
		"negative":    Confirmed{Session: 1, Confirmation: Confirmation{Reply: replyAt(99, stepTerm, 60)}},
		"overwritten": OwnKeyPut{1, KeyState{Token: stepToken, Mod: 60}},
	} {
		t.Run(name, func(t *testing.T) {
			k := led(t).feed(100, ev).feed(100, TermStopped{PromisedUntil: at(90)})
			for _, ev := range []Event{
				renewedAt(3000),
				Observed{Session: 1, Reply: replyAt(3100, stepTerm+1, 70)},
				Renewed{1, Renewal{Lease: stepLease, Sent: at(6000), Received: at(6000), RaftTerm: stepTerm + 1, TTL: stepTTL}},
			} {
				if k.feed(6000, ev); len(k.actions) > 0 && !isCount(k.actions[0]) {
					t.Errorf("%T: asks for %T", ev, k.actions[0])
				}
			}
			if at := k.core.wake(); at != 0 {
				t.Errorf("wakes at %v", at)
			}
		})
	}
}

func isCount(a action) bool { _, ok := a.(countRenewal); return ok }

// A wake-up that has passed makes the loop spin.
func TestNoWakeUpHasPassedAfterAStep(t *testing.T) {
	k := led(t)
	k.feed(3000, renewedAt(3000))
	k.feed(3900, Confirmed{Session: 1, Failed: true})
	k.feed(4000, Observed{Session: 1, Reply: replyAt(4000, stepTerm+1, 70), Leader: Candidate{Token: stepToken}})
	for ms := 4000; ms < 6000; ms += 100 {
		if k.feed(ms, Tick{}); k.core.wake() <= at(ms) {
			t.Fatalf("at %d ms: wake-up %v has passed", ms, k.core.wake())
		}
	}
}

func TestARefusalIsForgottenWhenItIsOver(t *testing.T) {
	k := opened(t)
	k.core.key.seen, k.core.key.token, k.core.phase = false, 0, Connecting
	k.feed(10, CampaignFailed{Session: 1, Refusal: "no"})
	if k.core.refusal == "" || k.core.cause != CauseRefused {
		t.Fatalf("refusal %q, cause %s", k.core.refusal, k.core.cause)
	}
	k.feed(20, OwnKeyPut{1, KeyState{Token: stepToken, Mod: stepToken, Lease: stepLease, Own: true}}).want(Follower, CauseRegistered)
	if k.core.refusal != "" {
		t.Errorf("still refused: %s", k.core.refusal)
	}
}

func TestAForeignKeyThatWasNeverSeenAsOwnIsReleasedByItsToken(t *testing.T) {
	k := opened(t)
	k.core.key.seen, k.core.key.token = false, 0
	k.feed(10, OwnKeyPut{1, KeyState{Token: stepToken, Mod: stepToken + 1}}).want(Connecting, CauseKeyOverwritten)
	if c, ok := asked[closeSession](k); !ok || !c.Release || c.Claim.Token != stepToken {
		t.Errorf("closed: %v %+v", ok, c)
	}
}

func TestHandoverCountsFromTheDirectPredecessor(t *testing.T) {
	k := opened(t)
	k.feed(10, Observed{Session: 1, Reply: replyAt(10, stepTerm, 50), Leader: Candidate{Token: 41}, Predecessor: at(9)})
	k.feed(60_00, CampaignWon{1, Won{stepToken, stepToken, stepTerm}})
	k.feed(60_02, confirmedAt(60_01)).want(Leader, CauseWon)
	if b, _ := asked[beginTerm](k); b.Waited != 0 {
		t.Errorf("waited %v for another's predecessor", b.Waited)
	}
}

func TestSessionsCountAsLostOrReleasedByWhatEndedThem(t *testing.T) {
	for want, ev := range map[SessionResult]Event{SessionWasLost: OwnKeyDeleted{1}, SessionReleased: ShutdownAsked{}} {
		k := opened(t).feed(10, ev)
		k.feed(11, SessionClosed{1})
		if c, _ := asked[countSession](k); c.Result != want {
			t.Errorf("%T: counted as %s", ev, c.Result)
		}
	}
}

func TestADenialByAnOlderEtcdLeaderIsNotBelieved(t *testing.T) {
	k := led(t)
	k.feed(100, Renewed{1, Renewal{Lease: stepLease, Sent: at(90), Received: at(100), RaftTerm: stepTerm - 1}}).want(Leader, CauseWon)
	k.feed(200, Renewed{1, Renewal{Lease: stepLease, Sent: at(190), Received: at(200), RaftTerm: stepTerm}}).
		want(SteppingDown, CauseLeaseExpired)
}

// The lease does not count, since the key was put on it in the raft term after that of its grant.
func TestADenialOfALeaseThatDoesNotCountIsNotBelievedEither(t *testing.T) {
	k := led(t)
	k.feed(100, Observed{Session: 1, Reply: replyAt(100, stepTerm+1, 60), Leader: Candidate{Token: stepToken}})
	k.feed(200, KeyRebound{Session: 1, Rebound: Rebound{
		Grant: Grant{Lease: 0x99, TTL: stepTTL, Reply: replyAt(150, stepTerm+1, 60)}, Reply: replyAt(200, stepTerm+2, 61), Bound: true,
	}})
	k.feed(300, Renewed{1, Renewal{Lease: 0x99, Sent: at(290), Received: at(300), RaftTerm: stepTerm}}).want(Leader, CauseWon)
}

func TestNoRenewalCountsWhileARebindIsUnresolved(t *testing.T) {
	k := led(t)
	before := k.core.term.deadline
	k.feed(3000, renewedAt(3000)) // its confirmation is under way when a newer raft term shows
	k.feed(3005, Observed{Session: 1, Reply: replyAt(3004, stepTerm+1, 60), Leader: Candidate{Token: stepToken}})
	if _, ok := asked[rebind](k); !ok {
		t.Fatal("does not rebind")
	}
	k.feed(3006, Confirmed{Session: 1, Confirmation: Confirmation{Reply: replyAt(3006, stepTerm, 61)}}).want(Leader, CauseWon)
	k.feed(3007, KeyRebound{Session: 1, Failed: true})
	k.feed(3100, renewedAt(3100))
	if k.core.term.deadline != before {
		t.Error("a renewal of the old lease moved the deadline")
	}
	k.feed(3400, Tick{})
	if _, ok := asked[rebind](k); !ok {
		t.Fatal("does not ask again")
	}
	// The first one was applied after all, with a lease that nobody keeps alive: bind again, from there.
	k.feed(3410, KeyRebound{Session: 1, Rebound: Rebound{
		Reply: replyAt(3405, stepTerm+1, 62), Found: &KeyState{Token: stepToken, Mod: 61, Lease: 0x99, Own: true},
	}}).want(Leader, CauseWon)
	if r, ok := asked[rebind](k); !ok || r.Claim != (Claim{stepToken, 61, 0x99}) {
		t.Fatalf("rebind: %v %+v", ok, r)
	}
}

func TestEveryLossEndsTheTermAtOnceAndForGood(t *testing.T) {
	gone := func(c Confirmation) Confirmed { return Confirmed{Session: 1, Confirmation: c} }
	for _, row := range []struct {
		name string
		ms   int
		ev   Event
		want Cause
	}{
		{"deadline", 9900, Tick{}, CauseLeaseExpired},
		{"deadline found by a reader", 100, TermLapsed{stepToken}, CauseLeaseExpired},
		{"key deleted", 100, OwnKeyDeleted{1}, CauseKeyDeleted},
		{"key overwritten", 100, OwnKeyPut{1, KeyState{Token: stepToken, Mod: 99}}, CauseKeyOverwritten},
		{"key created anew", 100, OwnKeyPut{1, KeyState{Token: 99, Mod: 99, Own: true}}, CauseKeyDeleted},
		{"lease gone", 100, Renewed{1, Renewal{Lease: stepLease, Sent: at(90), Received: at(100), RaftTerm: stepTerm}}, CauseLeaseExpired},
		{"session over", 100, SessionOver{Session: 1}, CauseSessionLost},
		{"claim negative, key gone", 100, gone(Confirmation{Reply: replyAt(99, stepTerm, 60)}), CauseKeyDeleted},
		{"claim negative, key foreign", 100, gone(Confirmation{Reply: replyAt(99, stepTerm, 60), Found: &KeyState{Token: stepToken, Mod: 60}}), CauseKeyOverwritten},
		{"etcd went back", 100, Observed{Session: 1, Reply: replyAt(99, stepTerm, 3), Leader: Candidate{Token: stepToken}}, CauseTokenRegression},
		{"token went back", 100, Observed{Session: 1, Reply: replyAt(99, stepTerm, 60), Leader: Candidate{Token: 7}}, ""},
		{"work ended", 100, WorkEnded{stepToken}, CauseWorkEnded},
		{"shutdown", 100, ShutdownAsked{}, CauseShutdown},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := led(t)
			if row.want == "" { // a token is judged against an earlier one
				k.feed(50, Observed{Session: 1, Reply: replyAt(49, stepTerm, 55), Leader: Candidate{Token: stepToken}})
				row.want = CauseTokenRegression
			}
			k.feed(row.ms, row.ev).want(SteppingDown, row.want)
			if e, ok := asked[endTerm](k); !ok || e.Cause != row.want {
				t.Errorf("term ended: %v %+v", ok, e)
			}
			k.feed(row.ms+1, renewedAt(row.ms+1))
			k.feed(row.ms+2, confirmedAt(row.ms+2)).want(SteppingDown, row.want)
			if k.core.leading() {
				t.Error("leads again")
			}
		})
	}
}

func TestKeyIsReleasedOnlyAfterWorkAndPromises(t *testing.T) {
	k := led(t).feed(100, ShutdownAsked{})
	closed := func() bool { _, ok := asked[closeSession](k); return ok }
	if k.feed(101, TermStopped{PromisedUntil: at(2000)}); closed() {
		t.Error("released while work was going on")
	}
	if k.feed(1000, WorkEnded{stepToken}); closed() {
		t.Error("released while a promise was running")
	}
	if at := k.core.wake(); at != Instant(time.Hour+2*time.Second) {
		t.Errorf("wakes at %v", at)
	}
	if k.feed(2000, Tick{}); !closed() {
		t.Error("not released when the promise had run out")
	}
	k.feed(2001, SessionClosed{1})
	if !k.core.done {
		t.Error("not done")
	}
}

func TestAKeyThatIsGoneIsNotWaitedFor(t *testing.T) {
	k := led(t).feed(100, OwnKeyDeleted{1})
	k.feed(100, TermStopped{PromisedUntil: at(2000)})
	k.feed(101, WorkEnded{stepToken})
	if c, ok := asked[closeSession](k); !ok || !c.Release {
		t.Errorf("closed: %v %+v", ok, c)
	}
	k.feed(102, SessionClosed{1})
	if o, ok := asked[openSession](k); !ok || o.Session != 2 {
		t.Errorf("reopened: %v %+v", ok, o)
	}
}

// Whoever is asked may have begun to act, and the key must not go before it is told to stop.
func TestAVetoIsEndedBeforeTheLeaseCanExpire(t *testing.T) {
	for name, acknowledged := range map[string]bool{"nothing is acknowledged": false, "an acknowledgement is not confirmed": true} {
		t.Run(name, func(t *testing.T) {
			k := opened(t)
			k.core.vets = true
			k.feed(7000, CampaignWon{1, Won{stepToken, stepToken, stepTerm}}).feed(7010, confirmedAt(7005))
			if _, ok := asked[vet](k); !ok {
				t.Fatal("asks nobody")
			}
			if acknowledged {
				k.feed(8000, renewedAt(8000))
			}
			last := int((2*time.Millisecond + stepTTL - Margin(stepTTL)) / time.Millisecond)
			if _, ok := asked[endVet](k.feed(last-1, Tick{})); ok {
				t.Error("is ended too early")
			}
			if k.core.wake() > at(last) {
				t.Errorf("wakes at %v", k.core.wake())
			}
			if _, ok := asked[endVet](k.feed(last, Tick{})); !ok {
				t.Error("is not ended")
			}
			if _, ok := asked[closeSession](k); ok {
				t.Error("the session is closed before there is an answer")
			}
		})
	}
}

func TestALateAcknowledgementEndsAFollowersSession(t *testing.T) {
	k := opened(t)
	// In the last margin an acknowledgement can race the revoke, clocks being what they are.
	late := Renewed{1, Renewal{Lease: stepLease, Sent: at(9000), Received: at(9900), RaftTerm: stepTerm, TTL: stepTTL}}
	k.feed(9900, late).want(Connecting, CauseLeaseExpired)
}

func TestEventsOfAnEarlierSessionChangeNothing(t *testing.T) {
	k := led(t).feed(100, OwnKeyDeleted{1})
	k.feed(100, TermStopped{}).feed(101, WorkEnded{stepToken}).feed(102, SessionClosed{1})
	before := k.core
	for _, ev := range []Event{
		SessionOver{Session: 1}, renewedAt(103), InTouch{1, at(103)}, OwnKeyPut{1, KeyState{}}, OwnKeyDeleted{1},
		CampaignWon{1, Won{}}, CampaignFailed{Session: 1}, confirmedAt(103), KeyRebound{Session: 1},
		Observed{Session: 1, Reply: replyAt(103, 9, 1)}, SessionClosed{1}, SessionFailed{Session: 1},
	} {
		if k.feed(103, ev); !reflect.DeepEqual(k.core, before) || len(k.actions) > 0 {
			t.Errorf("%T changed the core", ev)
		}
	}
}

func TestLaggingHeadersDoNotFence(t *testing.T) {
	k := led(t)
	k.feed(100, Observed{Session: 1, Reply: Reply{Sent: at(90), Received: at(100), RaftTerm: stepTerm, Revision: 90}, Leader: Candidate{Token: stepToken}})
	// Sent before the reply above was received: it may well be older.
	k.feed(101, Observed{Session: 1, Reply: Reply{Sent: at(99), Received: at(101), RaftTerm: stepTerm, Revision: 80}, Leader: Candidate{Token: stepToken}}).
		want(Leader, CauseWon)
	// Sent at the very instant: which was first cannot be told.
	k.feed(101, Observed{Session: 1, Reply: Reply{Sent: at(100), Received: at(101), RaftTerm: stepTerm, Revision: 80}, Leader: Candidate{Token: stepToken}}).
		want(Leader, CauseWon)
}

func TestBackOffIsForEverAndStartsAfreshAfterALongSession(t *testing.T) {
	k := &track{T: t, core: core{phase: Connecting}}
	k.feed(0, Tick{})
	for i := range 100 {
		o, ok := asked[openSession](k)
		if !ok || o.Attempt != i+1 || o.Session != i+1 {
			t.Fatalf("attempt %d: %v %+v", i+1, ok, o)
		}
		k.feed(i, SessionFailed{Session: o.Session})
	}
	for attempt := range 60 {
		if d := backoff(attempt); d > backoffMax || attempt <= 1 && d != 0 {
			t.Errorf("attempt %d waits %v", attempt, d)
		}
	}
	lived := led(t).feed(9900, Tick{})
	lived.feed(9900, TermStopped{}).feed(9901, WorkEnded{stepToken}).feed(10_002, SessionClosed{1})
	if o, _ := asked[openSession](lived); o.Attempt != 1 {
		t.Errorf("attempt %d after a session of a whole TTL", o.Attempt)
	}
}

// What was confirmed of the lease before a rebind says nothing of the one after it.
func TestVetoThatIsAnsweredWhileTheKeyIsReboundWaitsForAConfirmation(t *testing.T) {
	rebound := KeyRebound{Session: 1, Rebound: Rebound{
		Grant: Grant{Lease: 0x78, TTL: stepTTL, Reply: replyAt(15, stepTerm+1, 60)}, Reply: replyAt(18, stepTerm+1, 61), Bound: true,
	}}
	for name, order := range map[string][]Event{
		"answered before": {Vetted{Session: 1}, rebound},
		"answered after":  {rebound, Vetted{Session: 1}},
	} {
		k := opened(t)
		k.core.vets = true
		k.feed(10, CampaignWon{1, Won{stepToken, stepToken, stepTerm}}).feed(12, confirmedAt(11)).want(Verifying, CauseWon)
		if v, ok := asked[vet](k); !ok || v.Token != stepToken || v.Key != "/k" {
			t.Fatalf("asks %+v, %v", v, ok)
		}
		k.feed(13, Observed{Session: 1, Reply: replyAt(13, stepTerm+1, 60)})
		if _, ok := asked[rebind](k); !ok {
			t.Fatal("does not rebind")
		}
		for i, ev := range order {
			if k.feed(20+i, ev); k.core.term.begun {
				t.Errorf("%s: begins a term by what was confirmed before the rebind", name)
			}
		}
		k.feed(32, Confirmed{Session: 1, Confirmation: Confirmation{Reply: replyAt(31, stepTerm+1, 61), Holds: true, Oldest: true}}).want(Leader, CauseWon)
		if k.core.term.deadline != at(15).Add(stepTTL) {
			t.Errorf("%s: deadline %v", name, k.core.term.deadline)
		}
	}
}
