package election

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Run takes part in the election until ctx ends, then winds up: answers no, joins the work, lets
// promises run out, releases the key and closes the session. With etcd out of reach the release takes
// at most a few seconds more. lead is the work of each term; nil means that the term needs none in
// this process. Run may be called once. Nothing it started is left when it returns. The error is nil:
// whatever fails is tried again.
func (e *Elector) Run(ctx context.Context, lead Lead) error {
	if lead == nil {
		lead = func(ctx context.Context, _ Term) error { <-ctx.Done(); return nil }
	}
	r := newRun(e, lead)
	defer r.finish()
	if r.core.fenced {
		r.sayFenced()
	}
	if r.scribe != nil {
		r.start(func() { r.scribe.run(r.over.Done()) })
	}
	r.handle(Tick{})
	stop := ctx.Done()
	for !r.core.done {
		due := r.arm()
		select {
		case ev := <-r.events:
			r.handle(ev)
		case f := <-r.asks:
			f(r)
		case <-r.timer.C:
			e.cfg.Recorder.LoopLag(max(0, e.cfg.Clock.Now().Sub(due)))
			r.handle(Tick{})
		case <-stop:
			stop = nil
			r.stopOpening()
			r.handle(ShutdownAsked{})
		}
	}
	return nil
}

// run is one Run in progress: the shell around the core. Its fields belong to Run's goroutine, except
// that the goroutines it starts, which workers joins, send to events until over is done.
type run struct {
	*Elector
	core  core
	state State
	lead  Lead
	timer *time.Timer

	session     Session            // of the core's current session, once opened
	opened      Opened             // what it was opened with
	leave       context.CancelFunc // ends the calls on it
	inSession   context.Context
	endWork     context.CancelCauseFunc
	opening     context.Context
	stopOpening context.CancelFunc
	warnings    throttle
	lastLeader  int64 // token
	value       *Value

	refusedBeside string                  // by the session's etcd, what is no part of the candidacy
	forewarned    string                  // of a refusal to come
	bar           Bar                     // why no candidacy may be
	endVet        context.CancelCauseFunc // of the veto that is being asked for
	twins         int                     // other processes under the own identity, when the queue was last read
	uncounted     bool                    // the queue could not be read then
	twinsFrom     Instant                 // when that was
	standing      int                     // candidates in the election, as last heard

	scribe     *scribe // nil: no journal
	fence      Cause   // as noted
	fenceNoted <-chan error
	complaints throttle // about the journal
	seen       Mark     // as noted
	seenAt     Instant  // when that was

	events  chan Event
	over    context.Context
	end     context.CancelFunc
	workers sync.WaitGroup
}

func newRun(e *Elector, lead Lead) *run {
	r := &run{
		Elector: e,
		core: core{
			releaseNow: e.cfg.ReleaseNow, grace: e.cfg.Grace, vets: e.cfg.Vet != nil, barred: e.cfg.Barred.Cause,
			fenced: e.cfg.Past.Fenced != CauseNone, seen: e.cfg.Past.Seen.evidence(),
		},
		lead:   lead,
		bar:    e.cfg.Barred,
		fence:  e.cfg.Past.Fenced,
		seen:   e.cfg.Past.Seen,
		timer:  time.NewTimer(0),
		events: make(chan Event, 64),
	}
	r.scribe = newScribe(e.cfg.Journal, r.journalFailed)
	r.state, _ = e.desk.watch()
	r.core.enter(r.state.Phase, r.state.Cause)
	r.over, r.end = context.WithCancel(context.Background())
	r.opening, r.stopOpening = context.WithCancel(r.over)
	return r
}

// finish joins everything and publishes the last state.
func (r *run) finish() {
	r.noteSeen(r.core.seen.mark())
	r.end()
	r.workers.Wait()
	r.timer.Stop()
	r.state.Ended = true
	r.desk.publish(r.state, facts{})
	close(r.ended)
}

// arm sets the timer for the core's next wake-up, or for the end of its rest, and returns the instant it is set for.
func (r *run) arm() Instant {
	now := r.cfg.Clock.Now()
	due := now.Add(r.core.rest(r.cfg.TTL))
	if at := r.core.wake(); at > 0 && at < due {
		due = max(at, now)
	}
	r.timer.Reset(due.Sub(now))
	return due
}

// emit hands an event to the loop.
func (r *run) emit(ev Event) {
	select {
	case r.events <- ev:
	case <-r.over.Done():
	}
}

// handle takes an event through the core, publishes what came of it, and only then acts.
func (r *run) handle(ev Event) {
	for pending := []Event{ev}; len(pending) > 0; pending = pending[1:] {
		switch ev := pending[0].(type) {
		case sessionReady:
			r.session, r.opened, r.refusedBeside = ev.session, ev.Opened, ""
			r.standing = ev.Opened.Standing
			r.inSession, r.leave = context.WithCancel(r.over)
			pending[0] = ev.SessionOpened
		case ValueSeen:
			if ev.Session == r.core.session {
				r.value = ev.Value
			}
		case Observed:
			r.standing = ev.Standing
		case Refused:
			r.refusedElsewhere(ev)
		case queueRead:
			r.count(ev)
			pending[0] = Tick{}
		}
		now := r.cfg.Clock.Now()
		r.lastLoop.Store(int64(now))
		registered := r.state.Registered
		next, actions := step(r.core, now, pending[0])
		r.core = next
		lapsed, promised := r.publish()
		r.takeCensus(!registered && r.state.Registered)
		r.takeNotes()
		if lapsed {
			pending = append(pending, TermLapsed{Token: next.key.token})
		}
		for _, a := range actions {
			if r.perform(a) {
				pending = append(pending, TermStopped{PromisedUntil: promised})
			}
		}
	}
}

// publish derives the state and the facts from the core: the one place from which answers are fed.
func (r *run) publish() (lapsed bool, promised Instant) {
	c, old := &r.core, r.state
	s := State{
		Phase: c.phase, Cause: c.cause, Since: old.Since,
		Registered: c.key.seen, EverRegistered: c.entered, Lease: c.lease.id, LeaseTTL: c.lease.ttl,
		Leader: c.leader, LeaderFrom: old.LeaderFrom, Bar: r.bar, Value: r.value, Refusal: r.refusalNow(),
	}
	f := facts{leaseEnd: c.lease.acked, renewed: max(c.ack.Sent, c.lease.acked.Add(-c.lease.ttl))} // the latter in any raft term
	if c.stage == open {
		f.contact = c.contact.Add(ContactWindow(c.lease.ttl))
	}
	if c.leading() {
		s.Token = c.key.token
		s.Leader = Candidate{Identity: r.cfg.Identity, Incarnation: r.cfg.Incarnation, Token: s.Token}
		f.term, f.token, f.deadline, f.margin = true, s.Token, c.term.deadline, c.margin()
		f.leaseEnd = c.term.deadline
	}
	if c.termOnKey() {
		f.workEnd = c.workUntil()
	}
	if s.Phase != old.Phase {
		s.Since = time.Now()
	}
	if s.Leader != old.Leader {
		s.LeaderFrom = time.Time{}
		if s.Leader != (Candidate{}) {
			s.LeaderFrom = time.Now()
		}
	}
	lapsed, promised = r.desk.publish(s, f)
	r.state = s
	r.report(old, s)
	return lapsed, promised
}

// report logs and counts the difference between two states.
func (r *run) report(old, s State) {
	r.past.note(old, s, time.Now())
	if s.Phase != old.Phase || s.Cause != old.Cause {
		r.cfg.Logger.Info("state", "state", string(s.Phase), "cause", string(s.Cause), "was", string(old.Phase),
			"token", r.core.key.token, "lease", s.Lease.String())
	}
	if s.Leader.Token != 0 && s.Leader.Token != r.lastLeader {
		r.lastLeader = s.Leader.Token
		r.cfg.Recorder.LeaderChanged()
		r.cfg.Logger.Info("leader", "leader", s.Leader.Identity, "token", s.Leader.Token)
	}
	if s.Phase == Fenced && old.Phase != Fenced {
		r.sayFenced()
	}
	switch {
	case s.Token != 0 && old.Token == 0:
		r.cfg.Recorder.TermStarted()
	case s.Token == 0 && old.Token != 0:
		r.cfg.Recorder.TermEnded(s.Cause)
	}
}

// perform carries out one action. It reports whether it was the end of a term.
func (r *run) perform(a action) (stopped bool) {
	switch a := a.(type) {
	case openSession:
		r.start(func() { r.open(a) })
	case campaign:
		session, opened, ctx := r.session, r.opened, r.inSession
		r.start(func() { r.emit(r.campaign(ctx, session, opened, a)) })
	case confirm:
		session, ctx := r.session, r.inSession
		r.start(func() { r.emit(r.confirm(ctx, session, a)) })
	case rebind:
		session, ctx := r.session, r.inSession
		r.start(func() { r.emit(r.rebind(ctx, session, a)) })
	case closeSession:
		session, leave := r.session, r.leave
		r.start(func() {
			if a.Release && a.To != (Candidate{}) {
				r.pass(session, a)
			}
			session.Close(a.Release, a.Claim)
			leave()
			r.emit(SessionClosed{a.Session})
		})
	case beginTerm:
		r.begin(a)
	case endTerm:
		r.endWork(&CauseError{a.Cause})
		return true
	case vet:
		r.vet(a)
	case endVet:
		r.endVet(&CauseError{a.Cause})
	case countRenewal:
		var confirmation time.Duration
		if a.Confirmation.Received > 0 {
			confirmation = a.Confirmation.Received.Sub(a.Confirmation.Sent)
		}
		r.cfg.Recorder.Renewal(a.Result, a.Renewal.Received.Sub(a.Renewal.Sent), confirmation)
	case countSession:
		r.cfg.Recorder.Session(a.Result)
	}
	return false
}

func (r *run) start(f func()) { r.workers.Go(f) }

func (r *run) campaign(ctx context.Context, session Session, opened Opened, a campaign) Event {
	won, err := session.Campaign(ctx)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, ErrSessionEnded) {
			r.warn("campaign was cut short; taking it up again", err)
		}
		return CampaignFailed{Session: a.Session, Refusal: refusal(err)}
	}
	r.noteCandidacy(ctx, candidacy(opened, won.Token))
	return CampaignWon{Session: a.Session, Won: won}
}

func (r *run) confirm(ctx context.Context, session Session, a confirm) Event {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout(r.cfg.TTL))
	defer cancel()
	c, err := session.Confirm(ctx, a.Claim)
	if err != nil {
		r.warn("confirmation was not answered; trying again", err)
	}
	return Confirmed{Session: a.Session, Confirmation: c, Failed: err != nil, Refusal: refusal(err)}
}

func (r *run) rebind(ctx context.Context, session Session, a rebind) Event {
	ctx, cancel := context.WithTimeout(ctx, 2*CallTimeout(r.cfg.TTL))
	defer cancel()
	rb, err := session.Rebind(ctx, a.Claim, a.RaftTerm)
	if err != nil {
		r.warn("key could not be bound to a new lease; trying again", err)
	}
	return KeyRebound{Session: a.Session, Rebound: rb, Failed: err != nil, Refusal: refusal(err)}
}

// vet asks whether a term may begin. The answer is an event like any other.
func (r *run) vet(a vet) {
	ctx, cancel := context.WithCancelCause(r.inSession)
	r.endVet = cancel
	t := r.termOf(a.Token, a.Key)
	r.start(func() {
		defer cancel(nil)
		err := r.cfg.Vet(ctx, t)
		ended := (*CauseError)(nil)
		switch {
		case err == nil:
		case ctx.Err() == nil:
			r.cfg.Logger.Warn("the term is refused before it begins; passing the lead on", "token", t.Token, "err", err)
		case errors.As(context.Cause(ctx), &ended) && ended.Cause == CauseNotPublished:
			r.cfg.Logger.Warn("what is asked before a term has not answered within half a TTL; passing the lead on", "token", t.Token, "err", err)
		}
		r.emit(Vetted{Session: a.Session, Refused: err != nil, Until: r.cfg.Clock.Now().Add(r.cfg.TTL)})
	})
}

func (r *run) termOf(token int64, key string) Term {
	return Term{Token: token, Key: key, Identity: r.cfg.Identity, Election: r.cfg.Election, Incarnation: r.cfg.Incarnation}
}

// begin starts the work of a term. Its end is an event like any other. When the loop has stood still
// since the decision and certainty has ended meanwhile, the term is over before its work has begun.
func (r *run) begin(a beginTerm) {
	if !r.cfg.Clock.Now().Before(r.core.certainUntil()) {
		r.endWork = func(error) {}
		r.start(func() { r.emit(WorkEnded{a.Token}) })
		return
	}
	if a.Waited > 0 {
		r.cfg.Recorder.Handover(a.Waited)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	r.endWork = cancel
	t := r.termOf(a.Token, a.Key)
	r.start(func() {
		if err := r.lead(ctx, t); err != nil {
			r.cfg.Logger.Warn("work ended", "token", t.Token, "err", err)
		}
		cancel(nil)
		r.emit(WorkEnded{t.Token})
	})
}

// warn logs an error that is being retried: at once when it is new, then once a minute.
func (r *run) warn(msg string, err error) {
	level := slog.LevelWarn
	if errors.Is(err, ErrRefused) {
		level = slog.LevelError
	}
	if r.warnings.allow(msg+err.Error(), time.Now()) {
		r.cfg.Logger.Log(context.Background(), level, msg, "err", err)
	}
}
