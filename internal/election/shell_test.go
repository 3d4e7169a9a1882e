package election

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackOffDoublesUpToItsMost(t *testing.T) {
	for attempt, want := range map[int]time.Duration{
		2: 100 * time.Millisecond, 3: 200 * time.Millisecond, 4: 400 * time.Millisecond, 7: 3200 * time.Millisecond,
		8: 5 * time.Second, 12: 5 * time.Second, 1000: 5 * time.Second,
	} {
		if got := backoffBound(attempt); got != want {
			t.Errorf("attempt %d: up to %v, want %v", attempt, got, want)
		}
	}
	for _, attempt := range []int{0, 1} {
		if got := backoff(attempt); got != 0 {
			t.Errorf("attempt %d waits %v", attempt, got)
		}
	}
	waits := map[time.Duration]bool{}
	for range 20 {
		waits[backoff(2)] = true
	}
	if len(waits) < 2 {
		t.Error("all wait for the same time")
	}
}

func TestPauseIsCutShortByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live, end := context.WithCancel(t.Context())
		for _, d := range []time.Duration{-1, 0, time.Second} {
			began := time.Now()
			if !pause(live, d) || time.Since(began) != max(0, d) {
				t.Errorf("pause of %v took %v", d, time.Since(began))
			}
		}
		time.AfterFunc(time.Second, end)
		began := time.Now()
		if pause(live, time.Hour) || time.Since(began) != time.Second {
			t.Errorf("an end after a second was noticed after %v", time.Since(began))
		}
		for range 100 { // neither of two that are ready may win by chance
			if pause(live, 0) {
				t.Fatal("there is no pause, and nothing notices the end")
			}
		}
	})
}

func TestTwinsAreOtherProcessesOfOneIdentity(t *testing.T) {
	q := Queue{Standings: []Standing{
		{Candidate: Candidate{Identity: "a", Incarnation: "a-1"}}, {Candidate: Candidate{Identity: "b", Incarnation: "b-1"}},
		{Candidate: Candidate{Identity: "a", Incarnation: "a-2"}}, {Candidate: Candidate{Identity: "a"}},
	}}
	for _, row := range []struct {
		identity string
		known    []string
		want     int
	}{{"a", []string{"a-1"}, 2}, {"a", []string{"a-1", "a-2"}, 1}, {"a", nil, 3}, {"b", []string{"b-1"}, 0}, {"c", nil, 0}} {
		if got := q.Twins(row.identity, row.known...); got != row.want {
			t.Errorf("%s, known %q: %d twins, want %d", row.identity, row.known, got, row.want)
		}
	}
}

func TestHeirIsTheFirstOfItsNameBehindTheLeader(t *testing.T) {
	stand := func(identity, incarnation string, token int64) Standing {
		return Standing{Candidate: Candidate{Identity: identity, Incarnation: incarnation, Token: token}}
	}
	leads, b, c, stranger := stand("a", "a-1", 10), stand("b", "b-1", 11), stand("c", "c-1", 12), stand("etcdctl", "", 13)
	crowd := []Standing{leads}
	for range MaxPassed - 1 {
		crowd = append(crowd, stand("x", "x-1", 5))
	}
	queue := func(s ...Standing) Queue { return Queue{Standings: s, Total: len(s)} }
	longer := queue(leads, b)
	longer.Total++
	for name, row := range map[string]struct {
		queue    Queue
		identity string
		want     Candidate
		err      error
	}{
		"next":                            {queue(leads, b, c), "b", b.Candidate, nil},
		"last":                            {queue(leads, b, c), "c", c.Candidate, nil},
		"a later one of its name too":     {queue(leads, b, stand("b", "b-2", 14)), "b", b.Candidate, nil},
		"nobody":                          {queue(leads, b, c), "d", Candidate{}, ErrNotStanding},
		"itself":                          {queue(leads, b), "a", Candidate{}, ErrNotStanding},
		"a twin":                          {queue(leads, b, stand("a", "a-2", 14)), "a", Candidate{Identity: "a", Incarnation: "a-2", Token: 14}, nil},
		"a stranger":                      {queue(leads, stranger), "etcdctl", stranger.Candidate, nil},
		"behind a stranger":               {queue(leads, stranger, c), "c", Candidate{}, ErrForeignBetween},
		"behind a stranger and another":   {queue(leads, stranger, b, c), "c", Candidate{}, ErrForeignBetween},
		"before a stranger":               {queue(leads, b, stranger), "b", b.Candidate, nil},
		"the furthest":                    {queue(append(crowd[:MaxPassed:MaxPassed], b)...), "b", b.Candidate, nil},
		"further":                         {queue(append(crowd[:MaxPassed:MaxPassed], c, b)...), "b", Candidate{}, ErrTooFarBack},
		"where the queue was not read":    {longer, "c", Candidate{}, ErrTooFarBack},
		"read, of a queue that is longer": {longer, "b", b.Candidate, nil},
	} {
		if got, err := row.queue.heir(row.identity, 10); got != row.want || err != row.err {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAnElectorIsEligibleUnlessItIsBarredOrRests(t *testing.T) {
	barred := Bar{Cause: CauseDrained}
	for _, row := range []struct {
		state State
		want  bool
	}{
		{State{Phase: Connecting}, true}, {State{Phase: Leader}, true}, {State{Phase: Leader, Bar: barred}, false},
		{State{Phase: Ineligible}, false}, {State{Phase: Fenced}, false},
	} {
		if got := row.state.Eligible(); got != row.want {
			t.Errorf("%s, barred %q: %v", row.state.Phase, row.state.Bar.Cause, got)
		}
	}
}

// renewals keeps what a recorder is told of renewals.
type renewals struct {
	noRecorder
	told []any
}

func (r *renewals) Renewal(result RenewalResult, renewal, confirmation time.Duration) {
	r.told = append(r.told, result, renewal, confirmation)
}

func TestRenewalsAreToldWithTheTimeTheyTook(t *testing.T) {
	rec := &renewals{}
	r := &run{Elector: &Elector{cfg: Config{Recorder: rec}}}
	renewal := Renewal{Sent: at(1000), Received: at(1200)}
	r.perform(countRenewal{Result: RenewalLate, Renewal: renewal, Confirmation: Reply{Sent: at(1300), Received: at(1350)}})
	r.perform(countRenewal{Result: RenewalUnconfirmed, Renewal: renewal})
	want := []any{RenewalLate, 200 * time.Millisecond, 50 * time.Millisecond, RenewalUnconfirmed, 200 * time.Millisecond, time.Duration(0)}
	if !slices.Equal(rec.told, want) {
		t.Errorf("told %v, want %v", rec.told, want)
	}
}

// What is published of a core: the state for all, and the facts for answers.
func TestWhatIsPublishedOfTheCore(t *testing.T) {
	margin := Margin(stepTTL)
	other, self := Candidate{Identity: "b", Incarnation: "b-1", Token: 40}, Candidate{Identity: "a", Incarnation: "a-1", Token: stepToken}
	bar, value := Bar{Cause: CauseDrained, Why: "a person"}, &Value{Token: 40}
	window := ContactWindow(stepTTL)
	for _, row := range []struct {
		name  string
		core  core
		state State
		facts facts
	}{
		{"a follower", with(queued(), func(c *core) { c.leader, c.refusal, c.ack.Sent = other, "no", at(500) }),
			State{Phase: Follower, Cause: CauseRegistered, Registered: true, EverRegistered: true, Lease: stepLease, LeaseTTL: stepTTL, Leader: other, Refusal: "no"},
			facts{contact: at(0).Add(window), leaseEnd: at(10_000), renewed: at(500)}},
		{"a follower in another raft term", with(queued(), func(c *core) { c.lease.acked = at(13_000) }),
			State{Phase: Follower, Cause: CauseRegistered, Registered: true, EverRegistered: true, Lease: stepLease, LeaseTTL: stepTTL, Refusal: "beside"},
			facts{contact: at(0).Add(window), leaseEnd: at(13_000), renewed: at(3000)}},
		{"a leader", with(leader(), func(c *core) { c.leader, c.grace = other, time.Second }),
			State{Phase: Leader, Cause: CauseWon, Token: stepToken, Registered: true, EverRegistered: true, Lease: stepLease, LeaseTTL: stepTTL, Leader: self, Refusal: "beside"},
			facts{
				term: true, token: stepToken, deadline: at(9000), margin: margin + time.Second, contact: at(0).Add(window),
				leaseEnd: at(9000), renewed: at(0), workEnd: at(9000).Add(-margin),
			}},
		{"one that steps down", with(leader(), resigned),
			State{Phase: SteppingDown, Cause: CauseResigned, Registered: true, EverRegistered: true, Lease: stepLease, LeaseTTL: stepTTL, Refusal: "beside"},
			facts{contact: at(0).Add(window), leaseEnd: at(10_000), renewed: at(0), workEnd: at(9000).Add(-margin)}},
		{"one that closes its session", with(with(leader(), resigned), func(c *core) { c.stage = closing }),
			State{Phase: SteppingDown, Cause: CauseResigned, Registered: true, EverRegistered: true, Lease: stepLease, LeaseTTL: stepTTL},
			facts{leaseEnd: at(10_000), renewed: at(0)}},
		{"one without a session", core{phase: Connecting}, State{Phase: Connecting}, facts{}},
	} {
		now := at(3000)
		d := newDesk(fixedClock{&now}, time.Second, "a")
		long := time.Now().Add(-time.Hour)
		old := State{Phase: row.core.phase, Since: long, Leader: row.state.Leader, LeaderFrom: long}
		r := &run{
			Elector: &Elector{cfg: Config{Identity: "a", Incarnation: "a-1", Recorder: noRecorder{}, Logger: slog.New(slog.DiscardHandler)}, desk: d},
			core:    row.core, state: old, bar: bar, value: value, refusedBeside: "beside",
		}
		r.publish()
		want := row.state
		want.Bar, want.Value, want.Since, want.LeaderFrom = bar, value, long, long
		if r.state != want {
			t.Errorf("%s: state\n%+v, want\n%+v", row.name, r.state, want)
		}
		if want.Seq = 1; d.state != want || d.facts != row.facts {
			t.Errorf("%s: published\n%+v\n%+v, want\n%+v\n%+v", row.name, d.state, d.facts, want, row.facts)
		}
		r.state.Phase, r.state.Leader = Fenced, Candidate{Token: 1}
		began := time.Now()
		r.publish()
		if r.state.Since.Before(began) {
			t.Errorf("%s: in its phase since %v", row.name, r.state.Since)
		}
		if nobody := row.state.Leader == (Candidate{}); nobody != r.state.LeaderFrom.IsZero() || !nobody && r.state.LeaderFrom.Before(began) {
			t.Errorf("%s: led since %v", row.name, r.state.LeaderFrom)
		}
	}
}

// handovers keeps what a recorder is told of them.
type handovers struct {
	noRecorder
	told []time.Duration
}

func (h *handovers) Handover(d time.Duration) { h.told = append(h.told, d) }

func TestWorkIsBegunOnlyWhileThereIsCertainty(t *testing.T) {
	core := leader()
	end := core.certainUntil()
	for _, row := range []struct {
		now    Instant
		waited time.Duration
		begun  bool
	}{{end, time.Second, false}, {end - 1, time.Second, true}, {end - 1, 0, true}, {end + 1, 0, false}} {
		synctest.Test(t, func(t *testing.T) {
			rec, begun := &handovers{}, make(chan Term, 1)
			r := &run{
				Elector: &Elector{cfg: Config{Clock: fixedClock{&row.now}, Recorder: rec}}, core: core, events: make(chan Event, 1),
				lead: func(ctx context.Context, term Term) error { begun <- term; <-ctx.Done(); return nil },
			}
			r.over, r.end = context.WithCancel(t.Context())
			r.begin(beginTerm{Token: stepToken, Key: "/k", Waited: row.waited})
			synctest.Wait()
			if (len(begun) == 1) != row.begun || (len(r.events) == 1) == row.begun {
				t.Errorf("%v before the end: %d begun, %d ended", end.Sub(row.now), len(begun), len(r.events))
			}
			if want := row.begun && row.waited > 0; (len(rec.told) == 1) != want || want && rec.told[0] != row.waited {
				t.Errorf("handovers %v", rec.told)
			}
			r.endWork(nil)
			if ev := <-r.events; ev != (WorkEnded{stepToken}) {
				t.Errorf("%+v", ev)
			}
			r.end()
		})
	}
}

func TestTransfersThatCannotBeAreRefused(t *testing.T) {
	standing := func(identity string, token int64) Standing {
		return Standing{Candidate: Candidate{Identity: identity, Incarnation: identity + "-1", Token: token}}
	}
	q := Queue{Standings: []Standing{standing("a", stepToken), standing("b", 50)}, Total: 2}
	for name, row := range map[string]struct {
		core core
		wish Transfer
		want error
	}{
		"not verified":           {winner(), Transfer{To: "b"}, ErrNotLeading},
		"stepping down":          {with(leader(), resigned), Transfer{To: "b"}, ErrNotLeading},
		"over":                   {with(leader(), func(c *core) { c.term.over = true }), Transfer{To: "b"}, ErrNotLeading},
		"ending":                 {with(leader(), func(c *core) { c.ending.on = true }), Transfer{To: "b"}, ErrNotLeading},
		"without a session":      {with(leader(), func(c *core) { c.stage = closing }), Transfer{To: "b"}, ErrNotLeading},
		"another term":           {leader(), Transfer{To: "b", Token: stepToken + 1}, ErrTokenMismatch},
		"to nobody":              {leader(), Transfer{To: "c"}, ErrNotStanding},
		"to nobody, this term's": {leader(), Transfer{To: "c", Token: stepToken}, ErrNotStanding},
		"to itself":              {leader(), Transfer{To: "a"}, ErrNotStanding},
	} {
		r := &run{core: row.core}
		if token, to, err := r.transfer(row.wish, q); err != row.want || token != 0 || to != (Candidate{}) {
			t.Errorf("%s: %d, %+v, %v", name, token, to, err)
		}
	}
}

// pages is a journal that keeps what it is told.
type pages struct{ told []any }

func (p *pages) Candidacy(c Candidacy) error { p.told = append(p.told, c); return nil }
func (p *pages) Seen(m Mark) error           { p.told = append(p.told, m); return nil }
func (p *pages) Fenced(c Cause) error        { p.told = append(p.told, c); return nil }

func TestWhatIsNotedOfTheCore(t *testing.T) {
	now, book := at(0), &pages{}
	r := &run{Elector: &Elector{cfg: Config{Clock: fixedClock{&now}}}, scribe: newScribe(book, nil)}
	see := func(revision, token int64) func(*core) {
		return func(c *core) { c.seen.revision, c.seen.token = revision, token }
	}
	fence := func(c *core) { c.fenced = true }
	unfence := func(c *core) { c.fenced = false }
	minute := int(seenEvery.Milliseconds())
	for _, row := range []struct {
		what   string
		ms     int
		change func(*core)
		want   []any
	}{
		{"nothing was seen", 0, none, nil},
		{"a token", 1000, see(10, 5), []any{Mark{10, 5}}},
		{"nothing new", 2 * minute, none, nil},
		{"a revision, a moment before a minute has passed", 1000 + minute - 1, see(11, 5), nil},
		{"a revision, after a minute", 1000 + minute, none, []any{Mark{11, 5}}},
		{"a revision, at once after another", 1000 + minute + 1, see(12, 5), nil},
		{"another token", 1000 + minute + 2, see(13, 12), []any{Mark{13, 12}}},
		{"a fence", 1000 + minute + 3, fence, []any{CauseTokenRegression}},
		{"the same fence", 1000 + minute + 4, none, nil},
		{"the fence is lifted", 1000 + minute + 5, func(c *core) { unfence(c); see(0, 0)(c) }, []any{CauseNone}},
		{"less than was seen before the fence", 1000 + minute + 6, see(3, 2), []any{Mark{3, 2}}},
	} {
		now, book.told = at(row.ms), nil
		row.change(&r.core)
		r.takeNotes()
		r.scribe.writeAll()
		if !slices.Equal(book.told, row.want) {
			t.Errorf("%s: noted %+v, want %+v", row.what, book.told, row.want)
		}
	}
	book.told = nil
	for _, seen := range []Mark{{3, 2}, {4, 2}} {
		r.noteSeen(seen)
	}
	r.scribe.writeAll()
	if want := []any{Mark{4, 2}}; !slices.Equal(book.told, want) {
		t.Errorf("noted %+v, want %+v", book.told, want)
	}
}

func TestWhatIsNotedBeforeTheEndIsWritten(t *testing.T) {
	over := make(chan struct{})
	close(over)
	for range 50 { // whichever of two reasons to look the scribe takes first
		book := &pages{}
		s := newScribe(book, nil)
		s.note("a mark", func(j Journal) error { return j.Seen(Mark{1, 1}) })
		if s.run(over); len(book.told) != 1 {
			t.Fatalf("wrote %v", book.told)
		}
	}
}
