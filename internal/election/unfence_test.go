package election

import "testing"

// fencedAt is a leader whose etcd went back, with a promise until 5 s that it still owes.
func fencedAt(t *testing.T) *track {
	k := led(t).feed(100, Observed{Session: 1, Reply: replyAt(99, stepTerm, 3), Leader: Candidate{Token: stepToken}})
	return k.want(SteppingDown, CauseTokenRegression).feed(101, TermStopped{PromisedUntil: at(5000)}).feed(102, WorkEnded{stepToken})
}

func TestUnfencedWhileSteppingDownTheSessionIsStillWoundUp(t *testing.T) {
	k := fencedAt(t).feed(200, UnfenceAsked{}).want(SteppingDown, CauseTokenRegression)
	k.feed(4999, Tick{})
	if _, ok := asked[closeSession](k); ok {
		t.Fatal("closes the session under a promise")
	}
	k.feed(5000, Tick{})
	if c, ok := asked[closeSession](k); !ok || !c.Release {
		t.Fatalf("does not release: %+v", k.actions)
	}
	k.feed(5010, SessionClosed{1}).want(Connecting, CauseTokenRegression)
	if _, ok := asked[openSession](k); !ok {
		t.Error("does not take part again")
	}
}

func TestUnfencedElectorTakesEtcdAsItIs(t *testing.T) {
	k := fencedAt(t).feed(5000, Tick{}).feed(5010, SessionClosed{1}).want(Fenced, CauseTokenRegression)
	if _, ok := asked[openSession](k); ok {
		t.Fatal("takes part though it is fenced")
	}
	k.feed(6000, UnfenceAsked{}).want(Connecting, CauseUnfenced)
	o, ok := asked[openSession](k)
	if !ok {
		t.Fatal("does not take part again")
	}
	k.feed(6010, SessionOpened{Session: o.Session, Opened: Opened{
		Grant: Grant{Lease: stepLease, TTL: stepTTL, Reply: replyAt(6005, stepTerm, 4)}, First: replyAt(6004, stepTerm, 4), Key: "/k",
	}})
	if _, ok := asked[campaign](k); !ok {
		t.Error("does not campaign")
	}
}
