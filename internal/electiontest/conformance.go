package electiontest

import (
	"context"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Bed is one empty election that a conformance test runs on, and what an operator can do to it.
type Bed interface {
	Store(identity, incarnation string) election.Store
	Revision() int64
	Delete(key string)
	Overwrite(key string)
	Revoke(election.LeaseID)
	Stand(identity, incarnation string) // at the end of the queue, without a lease; no incarnation: not an elector
}

// Conformance is the contract of election.Store and election.Session as tests. on gives each of them an
// empty election, and may run it in a bubble of its own.
func Conformance(t *testing.T, on func(t *testing.T, test func(*testing.T, Bed))) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Bed)
	}{
		{"OpenGrantsALeaseInTheRaftTermOfAnEarlierReply", openGrantsSettled},
		{"CampaignWinsAndShowsTheOwnKey", campaignWins},
		{"CampaignWaitsForOlderKeys", campaignWaits},
		{"CampaignAgainFindsTheKey", campaignAgain},
		{"ConfirmHoldsAndCostsNoRevision", confirmHolds},
		{"ConfirmFailsForAnyOtherClaim", confirmFails},
		{"RebindKeepsTheTokenAndRenewsTheNewLease", rebindKeeps},
		{"RebindFromAnOldClaimFindsTheOwnKey", rebindOldClaim},
		{"OwnKeyIsWatched", ownKeyWatched},
		{"ObservationNamesTheOldestAndNobody", observes},
		{"RenewalsCarryTheirInstants", renewals},
		{"LeaseRunsOutWhileKeepAlivesAreWithheld", withheld},
		{"LeaseOfALostSessionIsRevokedByTheNext", leftover},
		{"AnOverwrittenKeyIsRemovedAllTheSame", overwrittenRemoved},
		{"OpenEndsWithItsContext", openEnds},
		{"ValueIsShownToAllAndGoesWithItsTerm", valueShown},
		{"ValueMovesWithTheKeyInARebind", valueMoves},
		{"ValueIsPublishedOnlyByTheTermUnderWay", valueNeedsItsTerm},
		{"ValueIsReplacedOnlyAtTheRevisionDemanded", valueRevision},
		{"QueueIsReadInItsOrder", queueRead},
		{"LeadIsPassedOnPastAllInBetween", leadPassed},
		{"LeadIsNotPassedOverOneThatIsNoElector", leadNotPassedOverOthers},
		{"LeadIsPassedOnAsFarAsATransactionReaches", leadPassedFar},
	} {
		t.Run(test.name, func(t *testing.T) { on(t, test.run) })
	}
}

// bench is a session under test with its events.
type bench struct {
	*testing.T
	election.Session
	opened election.Opened
	events chan election.Event
	alive  chan bool // holds one value
	closed bool
}

const testTTL = 3 * time.Second

func openOn(t *testing.T, s election.Store) *bench {
	t.Helper()
	b := &bench{T: t, events: make(chan election.Event, 4096), alive: make(chan bool, 1)}
	b.alive <- true
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var err error
	b.Session, b.opened, err = s.Open(ctx, election.OpenRequest{
		Number: 1, TTL: testTTL,
		Sink:  func(ev election.Event) { b.events <- ev },
		Alive: func() bool { v := <-b.alive; b.alive <- v; return v },
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return b
}

func (b *bench) close(release bool, c election.Claim) {
	if !b.closed {
		b.closed = true
		b.Close(release, c)
	}
}

// expect waits for an event of type E that satisfies want.
func expect[E election.Event](b *bench, want func(E) bool) E {
	b.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case ev := <-b.events:
			if e, ok := ev.(E); ok && want(e) {
				return e
			}
		case <-limit:
			var e E
			b.Fatalf("no %T came", e)
		}
	}
}

func expectAny[E election.Event](b *bench) E {
	b.Helper()
	return expect(b, func(E) bool { return true })
}

// win campaigns to the end and returns the claim.
func (b *bench) win() election.Claim {
	b.Helper()
	w, err := b.Campaign(b.Context())
	if err != nil {
		b.Fatalf("Campaign: %v", err)
	}
	return election.Claim{Token: w.Token, Mod: w.Mod, Lease: b.opened.Grant.Lease}
}

func (b *bench) confirm(c election.Claim) election.Confirmation {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	got, err := b.Confirm(ctx, c)
	if err != nil {
		b.Fatalf("Confirm: %v", err)
	}
	return got
}

func (b *bench) rebind(c election.Claim) election.Rebound {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	got, err := b.Rebind(ctx, c, b.opened.Grant.Reply.RaftTerm)
	if err != nil {
		b.Fatalf("Rebind: %v", err)
	}
	return got
}

func openGrantsSettled(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	g, first := b.opened.Grant, b.opened.First
	if g.Lease == 0 || g.TTL < testTTL || b.opened.Key == "" || b.opened.ClusterID == 0 {
		t.Errorf("opened %+v", b.opened)
	}
	if first.RaftTerm == 0 || g.Reply.RaftTerm != first.RaftTerm || g.Reply.Sent < first.Received || g.Reply.Received < g.Reply.Sent {
		t.Errorf("grant %+v after %+v", g.Reply, first)
	}
}

func campaignWins(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	c := b.win()
	put := expectAny[election.OwnKeyPut](b)
	if !put.Key.Own || put.Key.Token != c.Token || put.Key.Lease != c.Lease || put.Key.Mod != c.Mod {
		t.Errorf("won %+v, saw %+v", c, put.Key)
	}
}

func campaignWaits(t *testing.T, bed Bed) {
	a, b := openOn(t, bed.Store("a", "1")), openOn(t, bed.Store("b", "1"))
	defer a.close(true, election.Claim{})
	defer b.close(true, election.Claim{})
	first := a.win()
	won := make(chan election.Won, 1)
	go func() {
		if w, err := b.Campaign(b.Context()); err == nil {
			won <- w
		}
	}()
	expectAny[election.OwnKeyPut](b)
	select {
	case w := <-won:
		t.Fatalf("won with %+v while %+v stands", w, first)
	default:
	}
	a.close(true, first)
	if w := <-won; w.Token <= first.Token {
		t.Errorf("token %d after %d", w.Token, first.Token)
	}
}

func campaignAgain(t *testing.T, bed Bed) {
	a, b := openOn(t, bed.Store("a", "1")), openOn(t, bed.Store("b", "1"))
	defer a.close(true, election.Claim{})
	defer b.close(true, election.Claim{})
	first := a.win()
	if again := a.win(); again != first {
		t.Errorf("won %+v, then %+v", first, again)
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { _, err := b.Campaign(ctx); failed <- err }()
	waiting := expectAny[election.OwnKeyPut](b)
	cancel()
	if err := <-failed; err == nil {
		t.Error("a campaign that was cut short won")
	}
	a.close(true, first)
	if w := b.win(); w.Token < waiting.Key.Token {
		t.Errorf("won with token %d, stood with %d", w.Token, waiting.Key.Token)
	}
}

func confirmHolds(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	c := b.win()
	before := bed.Revision()
	for range 3 {
		got := b.confirm(c)
		if !got.Holds || !got.Oldest || got.Reply.RaftTerm != b.opened.Grant.Reply.RaftTerm || got.Reply.Sent > got.Reply.Received {
			t.Errorf("confirmation %+v", got)
		}
	}
	if after := bed.Revision(); after != before {
		t.Errorf("revision went from %d to %d", before, after)
	}
	other := openOn(t, bed.Store("b", "1"))
	defer other.close(true, election.Claim{})
	go other.Campaign(t.Context()) //nolint:errcheck // ends with the session
	k := expectAny[election.OwnKeyPut](other).Key
	if got := other.confirm(election.Claim{Token: k.Token, Mod: k.Mod, Lease: k.Lease}); !got.Holds || got.Oldest {
		t.Errorf("second candidate's confirmation %+v", got)
	}
}

func confirmFails(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	c := b.win()
	for name, wrong := range map[string]election.Claim{
		"token": {Token: c.Token - 1, Mod: c.Mod, Lease: c.Lease},
		"mod":   {Token: c.Token, Mod: c.Mod - 1, Lease: c.Lease},
		"lease": {Token: c.Token, Mod: c.Mod, Lease: c.Lease + 1},
	} {
		got := b.confirm(wrong)
		if got.Holds || got.Found == nil || !got.Found.Own || got.Found.Token != c.Token {
			t.Errorf("wrong %s: %+v", name, got)
		}
	}
	bed.Overwrite(b.opened.Key)
	if got := b.confirm(c); got.Holds || got.Found == nil || got.Found.Own {
		t.Errorf("overwritten: %+v, found %+v", got, got.Found)
	}
	bed.Delete(b.opened.Key)
	if got := b.confirm(c); got.Holds || got.Found != nil {
		t.Errorf("deleted: %+v", got)
	}
}

func rebindKeeps(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	c := b.win()
	r := b.rebind(c)
	if !r.Bound || r.Grant.Lease == c.Lease || r.Reply.Revision <= c.Mod || r.Reply.Sent < r.Grant.Reply.Received {
		t.Fatalf("rebound %+v", r)
	}
	now := election.Claim{Token: c.Token, Mod: r.Reply.Revision, Lease: r.Grant.Lease}
	if got := b.confirm(now); !got.Holds {
		t.Errorf("new claim does not hold: %+v", got)
	}
	if got := b.confirm(c); got.Holds {
		t.Error("old claim still holds")
	}
	expect(b, func(e election.Renewed) bool { return e.Renewal.Lease == now.Lease && e.Renewal.TTL > 0 })
	bed.Revoke(c.Lease)
	if got := b.confirm(now); !got.Holds {
		t.Errorf("the old lease took the key with it: %+v", got)
	}
}

func rebindOldClaim(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	c := b.win()
	first := b.rebind(c)
	again := b.rebind(c)
	if again.Bound || again.Found == nil || !again.Found.Own || again.Found.Mod != first.Reply.Revision || again.Found.Lease != first.Grant.Lease {
		t.Errorf("second rebind from the old claim: %+v, found %+v", again, again.Found)
	}
	bed.Delete(b.opened.Key)
	if gone := b.rebind(c); gone.Bound || gone.Found != nil {
		t.Errorf("rebind of a deleted key: %+v", gone)
	}
}

func ownKeyWatched(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	c := b.win()
	bed.Overwrite(b.opened.Key)
	expect(b, func(e election.OwnKeyPut) bool { return !e.Key.Own && e.Key.Token == c.Token })
	bed.Delete(b.opened.Key)
	expectAny[election.OwnKeyDeleted](b)

	other := openOn(t, bed.Store("b", "1"))
	defer other.close(true, election.Claim{})
	other.win()
	expectAny[election.OwnKeyPut](other)
	bed.Revoke(other.opened.Grant.Lease)
	expectAny[election.OwnKeyDeleted](other)
}

func observes(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	expect(b, func(e election.Observed) bool { return e.Leader == (election.Candidate{}) })
	other := openOn(t, bed.Store("b", "7"))
	defer other.close(true, election.Claim{})
	c := other.win()
	want := election.Candidate{Identity: "b", Incarnation: "7", Token: c.Token}
	expect(b, func(e election.Observed) bool { return e.Leader == want })
	other.close(true, c)
	expect(b, func(e election.Observed) bool { return e.Leader == (election.Candidate{}) && e.Predecessor > 0 })
}

func renewals(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	var last election.Renewal
	for range 3 {
		r := expectAny[election.Renewed](b).Renewal
		if r.Lease != b.opened.Grant.Lease || r.TTL != b.opened.Grant.TTL || r.Sent < b.opened.Grant.Reply.Received ||
			r.Received < r.Sent || r.Sent <= last.Sent || r.RaftTerm != b.opened.Grant.Reply.RaftTerm {
			t.Errorf("renewal %+v after %+v", r, last)
		}
		last = r
	}
}

func withheld(t *testing.T, bed Bed) {
	b := openOn(t, bed.Store("a", "1"))
	defer b.close(true, election.Claim{})
	b.win()
	<-b.alive
	b.alive <- false
	expectAny[election.OwnKeyDeleted](b)
}

func leftover(t *testing.T, bed Bed) {
	store := bed.Store("a", "1")
	b := openOn(t, store)
	defer b.close(true, election.Claim{})
	c := b.win()
	watcher := openOn(t, bed.Store("b", "1"))
	defer watcher.close(true, election.Claim{})
	expect(watcher, func(e election.Observed) bool { return e.Leader.Token == c.Token })
	b.close(false, c)
	again := openOn(t, store)
	defer again.close(true, election.Claim{})
	if w := again.win(); w.Token <= c.Token {
		t.Errorf("token %d after %d", w.Token, c.Token)
	}
	expect(watcher, func(e election.Observed) bool { return e.Predecessor > 0 })
}

// An operator's put without a lease detaches the key: no revoke takes it, and it would block the election.
// That holds too where the campaign's reply was lost and the token is not known, or is that of a key which was
// there before.
func overwrittenRemoved(t *testing.T, bed Bed) {
	for n := range 6 {
		release := n%2 == 0
		store := bed.Store("a", "1")
		b := openOn(t, store)
		defer b.close(true, election.Claim{})
		c := b.win()
		bed.Overwrite(b.opened.Key)
		before := election.Claim{Token: c.Token - 1, Mod: c.Token - 1, Lease: c.Lease}
		b.close(release, []election.Claim{c, {}, before}[n/2])
		again := openOn(t, store)
		defer again.close(true, election.Claim{})
		now := again.win()
		if now.Token <= c.Token {
			t.Errorf("token %d after %d", now.Token, c.Token)
		}
		again.close(true, now)
	}
}

func openEnds(t *testing.T, bed Bed) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := bed.Store("a", "1").Open(ctx, election.OpenRequest{
		Number: 1, TTL: testTTL, Sink: func(election.Event) {}, Alive: func() bool { return true },
	}); err == nil {
		t.Error("opened with a context that had ended")
	}
}
