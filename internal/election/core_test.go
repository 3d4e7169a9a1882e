package election

import (
	"testing"
	"time"
)

// queued is a core in the queue, with its campaign under way and its lease renewed at 0 s.
func queued() core {
	ack := Renewal{Lease: stepLease, Sent: at(0), Received: at(0), RaftTerm: stepTerm, TTL: stepTTL}
	return core{
		phase: Follower, cause: CauseRegistered, entered: true,
		session: 1, stage: open, attempt: 1, openedAt: at(-10), raftTerm: stepTerm, contact: at(0),
		lease: lease{id: stepLease, ttl: stepTTL, granted: stepTerm, raftTerm: stepTerm, acked: at(10_000)},
		key:   ownKey{path: "/k", seen: true, token: stepToken, lease: stepLease}, campaign: call{inFlight: true},
		ack: ack, ackedIn: at(10_000), settled: at(0),
		seen: evidence{revision: 50, revisionAt: at(0), token: 40, tokenAt: at(0)},
	}
}

// winner is one that has won at 2 s and is not verified; leader is one that leads.
func winner() core {
	c := queued()
	c.phase, c.cause = Verifying, CauseWon
	c.campaign, c.won, c.wonAt, c.key.mod = call{}, true, at(2000), stepToken
	return c
}

func leader() core {
	c := winner()
	c.phase = Leader
	c.term = term{begun: true, working: true, deadline: at(9000)}
	return c
}

// with is a value with a change.
func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

// resigned is one that has stopped to answer, whose work has ended and whose promises run until 5 s.
func resigned(c *core) {
	c.phase, c.cause = SteppingDown, CauseResigned
	c.ending = ending{on: true, cause: CauseResigned, release: true, promises: true}
	c.term.over, c.term.stopped, c.term.working, c.term.promised = true, true, false, at(5000)
}

func TestTheLoopWakesForWhateverComesNext(t *testing.T) {
	margin := Margin(stepTTL)
	for _, row := range []struct {
		name string
		core core
		want Instant
	}{
		{"without a session", with(leader(), func(c *core) { c.stage = closing }), 0},
		{"in the queue, for its lease's end", queued(), at(10_000)},
		{"in the queue, for a campaign", with(queued(), func(c *core) { c.campaign = call{notBefore: at(700)} }), at(700)},
		{"in the queue, for a campaign that comes later", with(queued(), func(c *core) { c.campaign = call{notBefore: at(12_000)} }), at(10_000)},
		{"won, for half a TTL without being verified", winner(), at(7000)},
		{"won late, for its lease's end", with(winner(), func(c *core) { c.wonAt = at(6000) }), at(10_000)},
		{"vetting, a margin before the lease's end", with(winner(), func(c *core) { c.vetting, c.wonAt = true, at(8000) }), at(10_000).Add(-margin)},
		{"vetting, by what was confirmed", with(winner(), func(c *core) { c.vetting, c.wonAt, c.proven = true, at(8000), at(9000) }), at(9000).Add(-margin)},
		{"leading, for its certainty's end", leader(), at(9000).Add(-margin)},
		{"leading, with work that needs time", with(leader(), func(c *core) { c.grace = 2 * time.Second }), at(7000).Add(-margin)},
		{"leading, for its lease's end", with(leader(), func(c *core) { c.lease.acked = at(4000) }), at(4000)},
		{"leading, for a confirmation", with(leader(), func(c *core) { c.ack.Sent, c.confirming = at(3000), call{notBefore: at(3300)} }), at(3300)},
		{"leading, with a confirmation under way", with(leader(), func(c *core) {
			c.ack.Sent, c.confirming = at(3000), call{inFlight: true, notBefore: at(3300)}
		}), at(9000).Add(-margin)},
		{"stepping down, for its promises' end", with(leader(), resigned), at(5000)},
		{"stepping down, while work goes on", with(with(leader(), resigned), func(c *core) { c.term.working = true }), 0},
		{"stepping down, not yet stopped", with(with(leader(), resigned), func(c *core) { c.term.stopped = false }), 0},
		{"stepping down, with promises that nobody waits for", with(with(leader(), resigned), func(c *core) { c.ending.promises = false }), 0},
		{"stepping down, for a rebind", with(with(leader(), resigned), func(c *core) { c.unresolved, c.rebinding = true, call{notBefore: at(4000)} }), at(4000)},
	} {
		if got := row.core.wake(); got != row.want {
			t.Errorf("%s: wakes at %v, want %v", row.name, got.Sub(at(0)), row.want.Sub(at(0)))
		}
	}
}

func TestWhatTheCandidacyCallsFor(t *testing.T) {
	const nothing, campaigning, rebinding, confirming = "nothing", "to campaign", "to rebind", "to confirm"
	acked := func(c *core) { c.ack.Sent = at(3000) }
	for _, row := range []struct {
		name string
		core core
		want string
	}{
		{"in the queue", queued(), campaigning},
		{"barred", with(queued(), func(c *core) { c.barred = CauseDrained }), nothing},
		{"in the queue, ending", with(queued(), func(c *core) { c.ending.on = true }), nothing},
		{"barred, ending", with(queued(), func(c *core) { c.barred, c.ending.on = CauseDrained, true }), nothing},
		{"won, with nothing to confirm", winner(), nothing},
		{"won", with(winner(), acked), confirming},
		{"won, when it is barred", with(with(winner(), acked), func(c *core) { c.barred = CauseDrained }), confirming},
		{"won, in a newer raft term", with(with(winner(), acked), func(c *core) { c.unresolved = true }), rebinding},
		{"won, ending without a term", with(with(winner(), acked), func(c *core) { c.ending.on = true }), nothing},
		{"leading", with(leader(), acked), confirming},
		{"stepping down", with(with(leader(), acked), resigned), confirming},
		{"stepping down, in a newer raft term", with(with(leader(), resigned), func(c *core) { c.unresolved = true }), rebinding},
		{"stepping down, without its key", with(with(with(leader(), acked), resigned), func(c *core) { c.won = false }), nothing},
	} {
		c := row.core
		got := nothing
		switch c.wanted() {
		case &c.campaign:
			got = campaigning
		case &c.rebinding:
			got = rebinding
		case &c.confirming:
			got = confirming
		}
		if got != row.want {
			t.Errorf("%s: calls for %s, want %s", row.name, got, row.want)
		}
	}
}

func TestATermIsOnItsKeyUntilTheSessionCloses(t *testing.T) {
	for name, row := range map[string]struct {
		core core
		want bool
	}{
		"leading":       {leader(), true},
		"stepping down": {with(leader(), resigned), true},
		"not verified":  {winner(), false},
		"closing":       {with(leader(), func(c *core) { c.stage = closing }), false},
	} {
		if got := row.core.termOnKey(); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Each figure has its reason in deadline.go; none changes unnoticed.
func TestTimesAreFractionsOfTheTTLWithFloorsAndCeilings(t *testing.T) {
	const ms = time.Millisecond
	for _, row := range []struct {
		ttl                                                        time.Duration
		margin, grace, contact, stall, interval, rest, call, retry time.Duration
	}{
		{2 * time.Second, 150 * ms, 350 * ms, 1500 * ms, 2 * time.Second / 3, 2 * time.Second / 12, time.Second / 3, 200 * ms, 50 * ms},
		{10 * time.Second, 200 * ms, 4300 * ms, 5500 * ms, 10 * time.Second / 3, 10 * time.Second / 12, 10 * time.Second / 6, 1000 * ms, 250 * ms},
		{300 * time.Second, 3100 * ms, 146_400 * ms, 150_500 * ms, 100 * time.Second, time.Second, 2 * time.Second, 30 * time.Second, 7500 * ms},
		{time.Second, 150 * ms, 0, 1000 * ms, time.Second / 3, time.Second / 12, time.Second / 6, 200 * ms, 25 * ms}, // which no elector asks for
		{600 * ms, 150 * ms, 0, 800 * ms, 200 * ms, 50 * ms, 100 * ms, 200 * ms, 25 * ms},
	} {
		c, term := core{lease: lease{ttl: row.ttl}}, leader()
		for name, pair := range map[string][2]time.Duration{
			"margin": {Margin(row.ttl), row.margin}, "grace": {MaxGrace(row.ttl), row.grace}, "contact": {ContactWindow(row.ttl), row.contact},
			"stall": {StallLimit(row.ttl), row.stall}, "interval": {LoopInterval(row.ttl), row.interval},
			"rest without a term": {c.rest(row.ttl), row.rest}, "rest during one": {term.rest(row.ttl), row.interval},
			"call": {CallTimeout(row.ttl), row.call}, "retry": {c.retryAfter(), row.retry},
		} {
			if pair[0] != pair[1] {
				t.Errorf("TTL %v: %s is %v, want %v", row.ttl, name, pair[0], pair[1])
			}
		}
	}
}

// A loop that stands still withholds keep-alives before anybody would restart the process for it.
func TestALoopThatStandsStillIsToldFromOneThatRests(t *testing.T) {
	now := at(0)
	e := &Elector{cfg: Config{TTL: stepTTL, Clock: fixedClock{&now}}, desk: newDesk(fixedClock{&now}, time.Second, "a")}
	if e.LoopAge() != 0 || e.Stalled() || !e.alive() {
		t.Error("stands still before it runs")
	}
	e.lastLoop.Store(int64(at(0)))
	for phase, limit := range map[Phase]time.Duration{
		Leader: stepTTL, SteppingDown: stepTTL, Follower: 2 * stepTTL, Verifying: 2 * stepTTL, Connecting: 2 * stepTTL,
	} {
		e.desk.publish(State{Phase: phase}, facts{})
		for age, want := range map[time.Duration]bool{0: false, limit: false, limit + 1: true} {
			now = at(0).Add(age)
			if got := e.Stalled(); got != want || e.LoopAge() != age {
				t.Errorf("%s, its loop ran %v ago: stalled %v", phase, e.LoopAge(), got)
			}
		}
	}
	for age, want := range map[time.Duration]bool{StallLimit(stepTTL): true, StallLimit(stepTTL) + 1: false} {
		now = at(0).Add(age)
		if e.alive() != want {
			t.Errorf("its loop ran %v ago: alive %v", age, !want)
		}
	}
}
