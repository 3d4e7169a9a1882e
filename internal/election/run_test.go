package election_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

// lines keeps what is logged.
type lines struct {
	slog.Handler
	mu  sync.Mutex // guards got
	got []string
}

func logTo(l *lines) func(*election.Config) {
	l.Handler = slog.DiscardHandler
	return func(c *election.Config) { c.Logger = slog.New(l) }
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "state" || a.Key == "cause" {
			line += " " + a.Value.String()
		}
		return true
	})
	l.got = append(l.got, line)
	return nil
}

// with returns the lines that have a text in them.
func (l *lines) with(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.got {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// door is a store that opens no session until the test says so, and keeps when it was asked.
type door struct {
	election.Store
	clock election.Clock
	err   error // nil: it hangs

	mu    sync.Mutex // guards the fields below
	open  bool
	asked []election.Instant
	gave  []time.Duration // up after
}

func (d *door) Open(ctx context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	d.mu.Lock()
	asked := d.clock.Now()
	d.asked = append(d.asked, asked)
	open := d.open
	d.mu.Unlock()
	if open {
		return d.Store.Open(ctx, req)
	}
	if d.err != nil {
		return nil, election.Opened{}, d.err
	}
	<-ctx.Done()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gave = append(d.gave, d.clock.Now().Sub(asked))
	return nil, election.Opened{}, ctx.Err()
}

func (d *door) set(open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = open
}

func (d *door) tries() ([]election.Instant, []time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.asked), slices.Clone(d.gave)
}

func (f *fleet) behind(d *door) func(*election.Config) {
	d.clock = f.clock
	return func(c *election.Config) { d.Store, c.Store = c.Store, d }
}

func TestASessionIsAskedForAtOnceAndEachAttemptHasItsTime(t *testing.T) {
	inBubble(t, func(f *fleet) {
		d := &door{}
		start := f.clock.Now()
		a := f.join("a", nil, f.behind(d))
		time.Sleep(time.Minute)
		asked, gave := d.tries()
		if asked[0] != start {
			t.Errorf("first asked after %v", asked[0].Sub(start))
		}
		for _, took := range gave {
			if took != 10*time.Second {
				t.Errorf("an attempt was given up after %v", took)
			}
		}
		if s, _ := a.Watch(); s.Refusal != "" || s.Cause != election.CauseSessionLost {
			t.Errorf("%+v", s)
		}
		stopped := f.clock.Now()
		a.stop()
		<-a.done
		if took := f.clock.Now().Sub(stopped); took != 0 {
			t.Errorf("an attempt that hangs holds the end up for %v", took)
		}
	})
}

func TestARefusedSessionIsToldOnceUntilAllIsWell(t *testing.T) {
	inBubble(t, func(f *fleet) {
		const trouble = "no session with etcd; trying again"
		log := &lines{}
		d := &door{err: fmt.Errorf("open: %w: wrong password", election.ErrRefused)}
		a := f.join("a", nil, f.behind(d), logTo(log))
		s := a.await("a refusal", func(s election.State) bool { return s.Cause == election.CauseRefused })
		if s.Refusal != d.err.Error() {
			t.Errorf("says %q", s.Refusal)
		}
		time.Sleep(30 * time.Second)
		if got := log.with(trouble); len(got) != 1 || got[0] != "ERROR "+trouble {
			t.Errorf("logged %q", got)
		}
		d.set(true)
		if s := a.awaitPhase(election.Leader); s.Refusal != "" {
			t.Errorf("still says %q", s.Refusal)
		}
		d.set(false)
		if err := a.resign(election.Resignation{}); err != nil {
			t.Fatal(err)
		}
		a.await("a refusal", func(s election.State) bool { return s.Cause == election.CauseRefused })
		if got := log.with(trouble); len(got) != 2 {
			t.Errorf("logged %q", got)
		}
	})
}

// That an attempt ends with the process is no news.
func TestAnAttemptThatTheStopEndsIsNotComplainedOf(t *testing.T) {
	inBubble(t, func(f *fleet) {
		log := &lines{}
		a := f.join("a", nil, f.behind(&door{}), logTo(log))
		synctest.Wait()
		a.stop()
		<-a.done
		if got := log.with("trying again"); len(got) != 0 {
			t.Errorf("logged %q", got)
		}
	})
}

// moody is a store whose sessions fail in what the test says, for so many times.
type moody struct {
	election.Store
	op    string
	err   error
	times atomic.Int32
}

type moodySession struct {
	election.Session
	*moody
}

func (m *moody) Open(ctx context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	s, opened, err := m.Store.Open(ctx, req)
	return moodySession{s, m}, opened, err
}

func (m *moody) fails(op string) error {
	if op == m.op && m.times.Add(-1) >= 0 {
		return m.err
	}
	return nil
}

func (s moodySession) Campaign(ctx context.Context) (election.Won, error) {
	if err := s.fails("campaign"); err != nil {
		return election.Won{}, err
	}
	return s.Session.Campaign(ctx)
}

func (s moodySession) Confirm(ctx context.Context, c election.Claim) (election.Confirmation, error) {
	if err := s.fails("confirm"); err != nil {
		return election.Confirmation{}, err
	}
	return s.Session.Confirm(ctx, c)
}

func (s moodySession) Rebind(ctx context.Context, c election.Claim, raftTerm uint64) (election.Rebound, error) {
	if err := s.fails("rebind"); err != nil {
		return election.Rebound{}, err
	}
	return s.Session.Rebind(ctx, c, raftTerm)
}

// A call that fails is tried again, which is said once, and costs no term; a refusal is shown as long as it lasts.
func TestCallsThatFailAreTriedAgainAndSaid(t *testing.T) {
	refused := fmt.Errorf("%w: no permission", election.ErrRefused)
	for name, row := range map[string]struct {
		op   string
		err  error
		says []string
	}{
		"campaign":                {"campaign", errors.New("cut"), []string{"WARN campaign was cut short; taking it up again"}},
		"campaign, refused":       {"campaign", refused, []string{"ERROR campaign was cut short; taking it up again"}},
		"campaign, session ended": {"campaign", election.ErrSessionEnded, nil},
		"confirm":                 {"confirm", errors.New("cut"), []string{"WARN confirmation was not answered; trying again"}},
		"confirm, refused":        {"confirm", refused, []string{"ERROR confirmation was not answered; trying again"}},
		"rebind":                  {"rebind", errors.New("cut"), []string{"WARN key could not be bound to a new lease; trying again"}},
		"rebind, refused":         {"rebind", refused, []string{"ERROR key could not be bound to a new lease; trying again"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fleet) {
				log := &lines{}
				m := &moody{op: row.op, err: row.err}
				if row.op == "campaign" {
					m.times.Store(2)
				}
				a := f.join("a", nil, logTo(log), func(c *election.Config) { m.Store, c.Store = c.Store, m })
				if errors.Is(row.err, election.ErrRefused) && row.op == "campaign" {
					a.await("the refusal", func(s election.State) bool { return s.Refusal == row.err.Error() })
				}
				first := a.awaitPhase(election.Leader)
				if row.op != "campaign" {
					m.times.Store(2)
					f.cluster.BumpRaftTerm()
					if errors.Is(row.err, election.ErrRefused) {
						a.await("the refusal", func(s election.State) bool { return s.Refusal == row.err.Error() })
					}
					time.Sleep(ttl)
				}
				if s, _ := a.Watch(); s.Token != first.Token || s.Refusal != "" || m.times.Load() > 0 {
					t.Errorf("%d failures are left; term %d, then %+v", m.times.Load(), first.Token, s)
				}
				a.stop()
				<-a.done
				if got := log.with("again"); !slices.Equal(got, row.says) {
					t.Errorf("logged %q", got)
				}
			})
		})
	}
}

func TestTheWorkIsToldOfItsTerm(t *testing.T) {
	inBubble(t, func(f *fleet) {
		terms := make(chan election.Term, 9)
		log := &lines{}
		a := f.join("a", func(ctx context.Context, term election.Term) error {
			terms <- term
			<-ctx.Done()
			return nil
		}, logTo(log), func(c *election.Config) {
			c.Vet = func(_ context.Context, term election.Term) error { terms <- term; return nil }
		})
		s := a.awaitPhase(election.Leader)
		want := election.Term{Token: s.Token, Identity: "a", Election: "default/test", Incarnation: "a-1"}
		for _, what := range []string{"veto", "work"} {
			term := <-terms
			key := term.Key
			if term.Key = ""; term != want || key == "" {
				t.Errorf("the %s is told of %+v with the key %q, want %+v", what, term, key, want)
			}
		}
		a.stop()
		<-a.done
		if got := slices.Concat(log.with("WARN"), log.with("ERROR")); len(got) != 0 {
			t.Errorf("complains: %q", got)
		}
	})
}

func TestWorkThatFailsIsSaid(t *testing.T) {
	inBubble(t, func(f *fleet) {
		log := &lines{}
		var terms atomic.Int32
		a := f.join("a", func(context.Context, election.Term) error {
			if terms.Add(1) == 1 {
				return errors.New("broken")
			}
			return nil
		}, logTo(log))
		a.await("three terms", func(election.State) bool { return terms.Load() >= 3 })
		if got := log.with("WARN"); len(got) != 1 || got[0] != "WARN work ended" {
			t.Errorf("logged %q", got)
		}
	})
}

// A candidacy that ends for another reason needs no word about whoever was asked.
func TestWhatAVetoCostsIsSaid(t *testing.T) {
	const refused, silent = "WARN the term is refused before it begins; passing the lead on", "WARN what is asked before a term has not answered within half a TTL; passing the lead on"
	for name, row := range map[string]struct {
		vet     election.Lead
		drained bool
		want    []string
	}{
		"refused": {func(context.Context, election.Term) error { return errors.New("busy") }, false, []string{refused}},
		"silent":  {func(ctx context.Context, _ election.Term) error { <-ctx.Done(); return ctx.Err() }, false, []string{silent}},
		"drained": {func(ctx context.Context, _ election.Term) error { <-ctx.Done(); return ctx.Err() }, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fleet) {
				log := &lines{}
				a := f.join("a", nil, logTo(log), func(c *election.Config) { c.Vet = row.vet })
				if row.drained {
					a.awaitPhase(election.Verifying)
					synctest.Wait()
					a.bar(election.CauseDrained)
				}
				a.await("its end", func(s election.State) bool {
					return s.Phase == election.Ineligible || s.Cause == election.CauseNotPublished
				})
				synctest.Wait()
				if got := log.with("WARN"); !slices.Equal(got, row.want) {
					t.Errorf("logged %q", got)
				}
			})
		})
	}
}

func TestAFenceIsSaidWhenItIsSeen(t *testing.T) {
	const fence = "ERROR etcd went back in time"
	inBubble(t, func(f *fleet) {
		log := &lines{}
		n := &notebook{}
		b := f.join("b", nil, logTo(log), with(n), after(election.Past{Seen: election.Mark{Revision: 9, Token: 9}, Fenced: election.CauseTokenRegression}))
		synctest.Wait()
		if got := log.with(fence); len(got) != 1 {
			t.Errorf("at the start: %q", got)
		}
		b.stop()
		<-b.done
		if len(n.calls) != 0 {
			t.Errorf("notes again what it was told: %q", n.calls)
		}
		log = &lines{}
		a := f.join("a", nil, logTo(log))
		a.awaitPhase(election.Leader)
		if got := log.with(fence); len(got) != 0 {
			t.Errorf("without a fence: %q", got)
		}
		f.cluster.Restore(1)
		a.awaitPhase(election.Fenced)
		synctest.Wait()
		if got := log.with(fence); len(got) != 1 {
			t.Errorf("when etcd went back: %q", got)
		}
	})
}

// jumping is a clock that can be set forward, as a suspend does.
type jumping struct {
	bubbleClock
	by *atomic.Int64
}

func (c jumping) Now() election.Instant { return c.bubbleClock.Now().Add(time.Duration(c.by.Load())) }

// tally keeps what a recorder is told.
type tally struct {
	quiet
	mu       sync.Mutex // guards the fields below
	told     []string
	lag      time.Duration
	early    bool
	renewals map[election.RenewalResult]int
}

func (r *tally) take(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf(format, args...))
}

func (r *tally) Session(s election.SessionResult) { r.take("session %s", s) }
func (r *tally) TermStarted()                     { r.take("term") }
func (r *tally) TermEnded(c election.Cause)       { r.take("end %s", c) }
func (r *tally) LeaderChanged()                   { r.take("leader") }
func (r *tally) LoopLag(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lag, r.early = max(r.lag, d), r.early || d < 0
}

func (r *tally) lags() (most time.Duration, early bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lag, r.early
}

func (r *tally) Renewal(result election.RenewalResult, _, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.renewals == nil {
		r.renewals = map[election.RenewalResult]int{}
	}
	r.renewals[result]++
}

func TestTheRecorderIsToldOfSessionsAndTerms(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		var unconfirmed atomic.Bool
		f.cluster.Inject(func(who, op string) electiontest.Fault {
			if who == "b" && op == "confirm" && !unconfirmed.Swap(true) {
				return electiontest.BeforeApply
			}
			return electiontest.None
		})
		r := &tally{}
		b := f.join("b", nil, func(c *election.Config) { c.Recorder = r })
		b.await("naming a", func(s election.State) bool { return s.Leader.Identity == "a" })
		a.stop()
		<-a.done
		b.awaitPhase(election.Leader)
		if err := b.resign(election.Resignation{}); err != nil {
			t.Fatal(err)
		}
		b.await("another term", func(s election.State) bool {
			return s.Cause == election.CauseResigned && s.Phase != election.SteppingDown
		})
		b.awaitPhase(election.Leader)
		b.stop()
		<-b.done
		want := []string{
			"session opened", "leader", "leader", "term", "end resigned", "session released",
			"session opened", "leader", "term", "end shutdown", "session released",
		}
		if !slices.Equal(r.told, want) {
			t.Errorf("told %q", r.told)
		}
		if r.renewals[election.RenewalConfirmed] < 2 || r.renewals[election.RenewalUnconfirmed] != 1 {
			t.Errorf("renewals %v", r.renewals)
		}
	})
}

func TestTheLoopsLagIsToldOnTheBootClock(t *testing.T) {
	inBubble(t, func(f *fleet) {
		var by atomic.Int64
		r := &tally{}
		a := f.join("a", nil, func(c *election.Config) { c.Recorder, c.Clock = r, jumping{f.clock, &by} })
		a.awaitPhase(election.Leader)
		synctest.Wait()
		if lag, early := r.lags(); lag != 0 || early {
			t.Errorf("lags %v", lag)
		}
		by.Store(int64(3 * time.Second))
		time.Sleep(election.LoopInterval(ttl))
		synctest.Wait()
		if lag, _ := r.lags(); lag < 2*time.Second || lag > 3*time.Second {
			t.Errorf("lags %v after a suspend of 3s", lag)
		}
		by.Store(0)
		time.Sleep(election.LoopInterval(ttl))
		synctest.Wait()
		if _, early := r.lags(); early {
			t.Error("lags by less than nothing")
		}
	})
}

// What is noted last is on disk when Run returns.
func TestHowFarEtcdWasSeenIsNotedAtTheEnd(t *testing.T) {
	inBubble(t, func(f *fleet) {
		n := &notebook{before: func(string) error { time.Sleep(time.Second); return nil }}
		a := f.join("a", nil, with(n))
		a.awaitPhase(election.Leader)
		time.Sleep(ttl)
		f.cluster.Stand("b", "b-1")
		time.Sleep(ttl)
		revision := f.cluster.Revision()
		a.stop()
		<-a.done
		if past, _ := n.read(); past.Seen.Revision < revision {
			t.Errorf("noted %+v, and etcd was at %d", past.Seen, revision)
		}
	})
}

// A context that ends says why.
func TestWorkOfNoKindEndsWithItsTerm(t *testing.T) {
	inBubble(t, func(f *fleet) {
		why := make(chan error, 9)
		a := f.join("a", func(ctx context.Context, _ election.Term) error {
			<-ctx.Done()
			why <- context.Cause(ctx)
			return nil
		})
		a.awaitPhase(election.Leader)
		a.bar(election.CauseDrained)
		var ended *election.CauseError
		if err := <-why; !errors.As(err, &ended) || ended.Cause != election.CauseDrained || !strings.Contains(err.Error(), "drained") {
			t.Errorf("told %v", err)
		}
	})
}

func TestWorkIsToldAtTheInstantAtWhichCertaintyEnds(t *testing.T) {
	inBubble(t, func(f *fleet) {
		told := make(chan election.Instant, 1)
		a := f.join("a", func(ctx context.Context, _ election.Term) error {
			<-ctx.Done()
			told <- f.clock.Now()
			return nil
		}, func(c *election.Config) { c.AnswerMax = ttl })
		a.awaitPhase(election.Leader)
		time.Sleep(ttl / 2)
		synctest.Wait()
		a.cut.Store(true)
		end := a.Answer(ttl).ExpiresAt
		if at := <-told; at != end {
			t.Errorf("told %v after the end of certainty", at.Sub(end))
		}
	})
}

func TestTheLogHasALineForEachTransition(t *testing.T) {
	inBubble(t, func(f *fleet) {
		log := &lines{}
		d := &door{err: election.ErrRefused}
		a := f.join("a", nil, f.behind(d), logTo(log))
		a.await("a refusal", func(s election.State) bool { return s.Cause == election.CauseRefused })
		d.set(true)
		a.awaitPhase(election.Leader)
		time.Sleep(5 * ttl) // of the bubble's time, in which renewals change nothing that is told
		a.stop()
		<-a.done
		want := []string{
			"INFO state connecting refused", "ERROR no session with etcd; trying again", "INFO state verifying won",
			"INFO state leader won", "INFO leader", "INFO state stepping-down shutdown", "INFO state connecting shutdown",
		}
		slices.Sort(want)
		// An own key that is seen only after the campaign was won does not make a follower.
		got := slices.DeleteFunc(log.got, func(line string) bool { return line == "INFO state follower registered" })
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("logged %q", got)
		}
	})
}

// A clock that was read wrong once ends the term all the same: whoever asked was told no.
func TestATermThatAReaderFoundLapsedIsWoundUp(t *testing.T) {
	inBubble(t, func(f *fleet) {
		var by atomic.Int64
		a := f.join("a", nil, func(c *election.Config) { c.Clock = jumping{f.clock, &by} })
		first := a.awaitPhase(election.Leader)
		synctest.Wait()
		by.Store(int64(ttl))
		leads := a.Look().Leading
		by.Store(0)
		if leads {
			t.Error("leads after its lease's end")
		}
		a.await("the next term", func(s election.State) bool { return s.Phase == election.Leader && s.Token > first.Token })
		if h := a.History(); len(h) != 2 || h[0].Token != first.Token || h[0].Cause != election.CauseLeaseExpired {
			t.Errorf("remembers %+v", h)
		}
	})
}

func TestWhatOldSessionsSayIsNotHeard(t *testing.T) {
	inBubble(t, func(f *fleet) {
		opened := make(chan election.OpenRequest, 9)
		a := f.join("a", nil, func(c *election.Config) { c.Store = overheard{c.Store, opened} })
		s := a.awaitPhase(election.Leader)
		req := <-opened
		value := &election.Value{Bytes: []byte("v"), Token: s.Token}
		shown := func() *election.Value {
			synctest.Wait()
			s, _ := a.Watch()
			return s.Value
		}
		req.Sink(election.ValueSeen{Session: req.Number - 1, Value: value})
		if shown() != nil {
			t.Error("shows a value of an earlier session")
		}
		req.Sink(election.ValueSeen{Session: req.Number, Value: value})
		if shown() != value {
			t.Error("does not show a value")
		}
		a.stop()
		<-a.done
		for range 100 { // more than there is room for
			req.Sink(election.InTouch{Session: req.Number})
		}
	})
}

func TestAJournalThatFailsIsComplainedOfAndAQuickOneCostsNoTime(t *testing.T) {
	const complaint = "WARN the state directory is not written"
	inBubble(t, func(f *fleet) {
		log := &lines{}
		full := errors.New("no space")
		var fails, seen atomic.Bool
		n := &notebook{before: func(what string) error {
			if fails.Load() && (what != "seen" || seen.Load()) {
				return full
			}
			return nil
		}}
		start := f.clock.Now()
		a := f.join("a", nil, with(n), logTo(log))
		a.awaitPhase(election.Leader)
		if took := f.clock.Now().Sub(start); took != 0 {
			t.Errorf("leads after %v", took)
		}
		said := func(want int) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			if got := log.with(complaint); len(got) != want {
				t.Errorf("complained %q, want %d", got, want)
			}
		}
		said(0)
		fails.Store(true)
		if err := a.resign(election.Resignation{}); err != nil {
			t.Fatal(err)
		}
		a.await("the next term", func(s election.State) bool { return s.Phase == election.Leader })
		said(1)
		time.Sleep(time.Minute)
		seen.Store(true)
		f.cluster.Stand("b", "b-1")
		time.Sleep(2 * time.Minute)
		said(2)
	})
}

func TestATransferTellsWhichTermEndsAndWhyItCannotBe(t *testing.T) {
	inBubble(t, func(f *fleet) {
		all := f.queued(2, nil)
		wish := election.Transfer{To: "c1"}
		if token, to, err := all[1].Transfer(context.Background(), wish); !errors.Is(err, election.ErrNotLeading) || token != 0 || to != (election.Candidate{}) {
			t.Errorf("by a follower: %d, %+v, %v", token, to, err)
		}
		f.cluster.Inject(func(_, op string) electiontest.Fault {
			if op == "read" {
				return electiontest.BeforeApply
			}
			return electiontest.None
		})
		if token, to, err := all[0].Transfer(context.Background(), wish); !errors.Is(err, electiontest.ErrInjected) || token != 0 || to != (election.Candidate{}) {
			t.Errorf("in a queue that cannot be read: %d, %+v, %v", token, to, err)
		}
		f.cluster.Inject(f.fate)
		leads := all[0].Look().Token
		if token, to, err := all[0].Transfer(context.Background(), wish); err != nil || token != leads || to.Identity != "c1" {
			t.Errorf("%d, %+v, %v", token, to, err)
		}
	})
}

// What somebody waits for has an end, also when etcd is silent.
func TestCallsThatSomebodyWaitsForAreBounded(t *testing.T) {
	for ttl, bound := range map[time.Duration]time.Duration{2 * time.Second: 2 * time.Second, 10 * time.Second: 4 * time.Second} {
		inBubble(t, func(f *fleet) {
			a := f.join("a", nil, func(c *election.Config) { c.TTL = ttl })
			token := a.awaitPhase(election.Leader).Token
			synctest.Wait()
			f.cluster.Inject(func(_, op string) electiontest.Fault {
				if op == "value" {
					return electiontest.NeverReplies
				}
				return electiontest.None
			})
			began := time.Now()
			if _, err := a.PutValue(context.Background(), election.ValuePut{Token: token}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("TTL %v: %v", ttl, err)
			}
			if took := time.Since(began); took != bound {
				t.Errorf("TTL %v: told after %v, want %v", ttl, took, bound)
			}
		})
	}
}

func TestPassingOnThatIsNotAnsweredHoldsTheReleaseUpForTwoSeconds(t *testing.T) {
	const complaint = "WARN the lead may not have been passed on as asked"
	for name, row := range map[string]struct {
		fault electiontest.Fault
		after time.Duration
		says  int
	}{"answered": {electiontest.None, 0, 0}, "silent": {electiontest.NeverReplies, 2 * time.Second, 1}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fleet) {
				log := &lines{}
				a := f.join("a", nil, logTo(log))
				token := a.awaitPhase(election.Leader).Token
				b := f.join("b", nil)
				b.awaitPhase(election.Follower)
				f.cluster.Inject(func(_, op string) electiontest.Fault {
					if op == "pass" {
						return row.fault
					}
					return electiontest.None
				})
				began := time.Now()
				if _, err := a.transfer("b", token); err != nil {
					t.Fatal(err)
				}
				b.awaitPhase(election.Leader)
				if took := time.Since(began); took != row.after || len(log.with(complaint)) != row.says {
					t.Errorf("b leads after %v, want %v; logged %q", took, row.after, log.with(complaint))
				}
			})
		})
	}
}

func TestAnAccountIsKeptWithTheElectorThatAnswers(t *testing.T) {
	inBubble(t, func(f *fleet) {
		a := f.join("a", nil)
		a.awaitPhase(election.Leader)
		var account election.Promises
		for limit, want := range map[time.Duration]time.Duration{-time.Second: 0, time.Second: time.Second, time.Minute: 2 * time.Second} {
			if yes := a.AnswerTo(&account, limit); !yes.Leading || yes.ExpiresIn != want {
				t.Errorf("asked for %v: %+v", limit, yes)
			}
		}
		until := account.Until()
		if until != f.clock.Now().Add(2*time.Second+2*time.Second/election.Slowest) {
			t.Errorf("owed until %v", until)
		}
		account.Settle(true)
		a.stop()
		<-a.done
		if f.clock.Now() < until {
			t.Errorf("released at %v, owed until %v", f.clock.Now(), until)
		}
	})
}

// Work that returns by itself has stopped; whoever was promised something has not.
func TestWorkThatReturnsDoesNotCutPromisesShort(t *testing.T) {
	inBubble(t, func(f *fleet) {
		finish := make(chan struct{})
		a := f.join("a", func(context.Context, election.Term) error { <-finish; return nil })
		a.awaitPhase(election.Leader)
		b := f.join("b", nil)
		b.awaitPhase(election.Follower)
		yes := a.Answer(time.Minute)
		close(finish)
		b.awaitPhase(election.Leader)
		if !yes.Leading || f.clock.Now() < yes.ExpiresAt {
			t.Errorf("b leads at %v, and a promised until %v", f.clock.Now(), yes.ExpiresAt)
		}
	})
}
