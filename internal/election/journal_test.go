package election_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

// notebook is a journal in memory.
type notebook struct {
	before func(what string) error // runs ahead of each entry; its error is the entry's

	mu        sync.Mutex // guards the fields below
	candidacy election.Candidacy
	seen      election.Mark
	fenced    election.Cause
	calls     []string
}

func (n *notebook) take(what string, write func()) error {
	if n.before != nil {
		if err := n.before(what); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, what)
	write()
	return nil
}

func (n *notebook) Candidacy(c election.Candidacy) error {
	what := "key"
	if c.Token != 0 {
		what = "token"
	}
	return n.take(what, func() { n.candidacy = c })
}

func (n *notebook) Seen(m election.Mark) error {
	return n.take("seen", func() { n.seen = m })
}

func (n *notebook) Fenced(c election.Cause) error {
	return n.take("fence", func() {
		if n.fenced = c; c == election.CauseNone {
			n.seen = election.Mark{}
		}
	})
}

// read returns what the next process would be told, and the candidacy.
func (n *notebook) read() (election.Past, election.Candidacy) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return election.Past{Seen: n.seen, Fenced: n.fenced}, n.candidacy
}

func (n *notebook) called(what string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.calls, what)
}

func with(n *notebook) func(*election.Config) {
	return func(c *election.Config) { c.Journal = n }
}

func after(p election.Past) func(*election.Config) {
	return func(c *election.Config) { c.Past = p }
}

func (m *member) unfence() error {
	ctx, cancel := context.WithTimeout(context.Background(), ttl)
	defer cancel()
	return m.Unfence(ctx)
}

func TestKeyIsInTheJournalBeforeItIsPutAndItsTokenBeforeTheFirstYes(t *testing.T) {
	inBubble(t, func(f *fleet) {
		writing, written := make(chan string), make(chan struct{})
		n := &notebook{before: func(what string) error {
			if what == "key" || what == "token" {
				writing <- what
				<-written
			}
			return nil
		}}
		a := f.join("a", nil, with(n))
		for _, what := range []string{"key", "token"} {
			select {
			case now := <-writing:
				if now != what {
					t.Fatalf("writes the %s, want the %s", now, what)
				}
			case <-time.After(10 * ttl): // of the bubble's time
				t.Fatalf("never writes the %s", what)
			}
			synctest.Wait()
			s, _ := a.Watch()
			if stands := f.cluster.Candidates() == 1; stands != (what == "token") || s.Phase == election.Verifying || a.Look().Leading {
				t.Errorf("while the %s is being written: key put: %v, %+v", what, stands, s)
			}
			written <- struct{}{}
		}
		s := a.awaitPhase(election.Leader)
		oldest, lease, _ := f.cluster.Oldest()
		if _, c := n.read(); c.Token != s.Token || oldest.Token != s.Token || c.Lease != lease || c.ClusterID != electiontest.ClusterID || c.Key == "" {
			t.Errorf("noted %+v; token %d, lease %v", c, s.Token, lease)
		}
	})
}

func TestJournalThatFailsOrHangsDoesNotCostTheLead(t *testing.T) {
	for name, before := range map[string]func(over <-chan struct{}) error{
		"fails": func(<-chan struct{}) error { return errors.New("no space") },
		"hangs": func(over <-chan struct{}) error { <-over; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fleet) {
				over := make(chan struct{})
				n := &notebook{before: func(string) error { return before(over) }}
				var log strings.Builder
				a := f.join("a", nil, with(n), func(c *election.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				s := a.awaitPhase(election.Leader)
				if err := a.Resign(f.Context(), election.Resignation{}); err != nil {
					t.Error(err)
				}
				a.await("a later term", func(now election.State) bool { return now.Token > s.Token })
				a.stop()
				a.await("the key gone", func(election.State) bool { return f.cluster.Candidates() == 0 })
				close(over)
				<-a.done
				if said := strings.Count(log.String(), "state directory is not written"); said != 1 {
					t.Errorf("said %d times:\n%s", said, &log)
				}
			})
		})
	}
}

func TestWhatWasSeenIsToldToTheNextProcess(t *testing.T) {
	inBubble(t, func(f *fleet) {
		n := &notebook{}
		first := f.join("b", nil)
		token := first.awaitPhase(election.Leader).Token
		a := f.join("a", nil, with(n))
		a.await("naming b", func(s election.State) bool { return s.Leader.Token == token })
		synctest.Wait()
		if past, _ := n.read(); past.Seen.Token != token || past.Seen.Revision < token {
			t.Errorf("noted %+v, token %d", past.Seen, token)
		}
		f.cluster.Restore(500) // grows: somebody else writes
		first.stop()
		next := a.awaitPhase(election.Leader).Token
		synctest.Wait() // it may lead before it has seen its own key standing first
		a.stop()
		<-a.done
		if past, _ := n.read(); past.Seen.Token != next || past.Seen.Revision <= 500 {
			t.Errorf("noted %+v at the end, token %d", past.Seen, next)
		}
	})
}

func TestElectorThatKeptStateRefusesARestoredEtcd(t *testing.T) {
	for name, seen := range map[string]election.Mark{
		"by the revision": {Revision: 1000},
		"by the token":    {Token: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(f *fleet) {
				f.join("b", nil).awaitPhase(election.Leader)
				n := &notebook{}
				a := f.join("a", nil, with(n), after(election.Past{Seen: seen}))
				s := a.awaitPhase(election.Fenced)
				a.await("the session closed", func(s election.State) bool { return s.Lease == 0 })
				synctest.Wait()
				if past, _ := n.read(); s.Cause != election.CauseTokenRegression || past.Fenced != s.Cause || a.Look().Leading {
					t.Errorf("%+v, noted %+v", s, past)
				}
			})
		})
	}
	inBubble(t, func(f *fleet) {
		f.join("a", nil, after(election.Past{Seen: election.Mark{Revision: f.cluster.Revision(), Token: 1}})).awaitPhase(election.Leader)
	})
}

func TestAPersonIsToldThatTheEndOfAFenceIsNotNoted(t *testing.T) {
	inBubble(t, func(f *fleet) {
		full := errors.New("the disk is full")
		n := &notebook{seen: election.Mark{Revision: 1000, Token: 900}, fenced: election.CauseTokenRegression, before: func(what string) error {
			if what == "fence" {
				return full
			}
			return nil
		}}
		past, _ := n.read()
		a := f.join("a", nil, with(n), after(past))
		a.awaitPhase(election.Fenced)
		if err := a.unfence(); !errors.Is(err, full) {
			t.Errorf("unfence: %v", err)
		}
	})
}

func TestFenceLastsUntilAPersonLiftsIt(t *testing.T) {
	inBubble(t, func(f *fleet) {
		n := &notebook{seen: election.Mark{Revision: 1000, Token: 900}, fenced: election.CauseTokenRegression}
		past, _ := n.read()
		a := f.join("a", nil, with(n), after(past))
		b := f.join("b", nil)
		b.awaitPhase(election.Leader)
		if s, _ := a.Watch(); s.Phase != election.Fenced || s.Cause != election.CauseTokenRegression || s.Lease != 0 || n.called("key") {
			t.Errorf("after a restart: %+v", s)
			return
		}
		if err := a.unfence(); err != nil {
			t.Errorf("unfence: %v", err)
			return
		}
		if past, _ := n.read(); past.Fenced != election.CauseNone || past.Seen.Revision >= 1000 {
			t.Errorf("noted %+v", past)
		}
		if s, _ := a.Watch(); s.Phase != election.Connecting || s.Cause != election.CauseUnfenced {
			t.Errorf("unfenced: %+v", s)
		}
		a.awaitPhase(election.Follower)
		b.stop()
		s := a.awaitPhase(election.Leader)
		if err := a.unfence(); !errors.Is(err, election.ErrNotFenced) {
			t.Errorf("unfenced twice: %v", err)
		}
		f.cluster.Restore(1)
		a.awaitPhase(election.Fenced)
		synctest.Wait()
		if past, _ := n.read(); past.Fenced != election.CauseTokenRegression || past.Seen.Token != s.Token {
			t.Errorf("noted %+v", past)
		}
		a.stop()
		<-a.done
		if err := a.unfence(); !errors.Is(err, election.ErrNoSession) {
			t.Errorf("unfenced after the end: %v", err)
		}
	})
}

func TestFenceThatCannotBeUnwrittenIsSaidToWhoeverLiftsIt(t *testing.T) {
	inBubble(t, func(f *fleet) {
		full := errors.New("no space")
		n := &notebook{before: func(string) error { return full }}
		a := f.join("a", nil, with(n), after(election.Past{Fenced: election.CauseTokenRegression}), func(c *election.Config) {
			c.Barred = election.Bar{Cause: election.CauseDrained}
		})
		if err := a.unfence(); !errors.Is(err, full) {
			t.Errorf("unfence: %v", err)
		}
		s := a.awaitPhase(election.Ineligible)
		if s.Cause != election.CauseDrained {
			t.Errorf("unfenced and not eligible: %+v", s)
		}
		a.bar(election.CauseNone)
		a.awaitPhase(election.Leader)
		bare := f.join("b", nil, after(election.Past{Fenced: election.CauseTokenRegression}))
		if err := bare.unfence(); err != nil {
			t.Errorf("without a journal: %v", err)
		}
		bare.awaitPhase(election.Follower)
	})
}

func TestWhoeverLiftsTheFenceDoesNotWaitForADiskThatHangs(t *testing.T) {
	inBubble(t, func(f *fleet) {
		healed := make(chan struct{})
		n := &notebook{before: func(string) error { <-healed; return nil }}
		a := f.join("a", nil, with(n), after(election.Past{Fenced: election.CauseTokenRegression}))
		if err := a.unfence(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unfence: %v", err)
		}
		if s, _ := a.Watch(); s.Phase == election.Fenced {
			t.Errorf("still fenced: %+v", s)
		}
		close(healed)
		a.awaitPhase(election.Leader)
	})
}

// twins tells what the recorder is told.
type twins struct {
	election.Recorder
	told chan int
}

func (r twins) Twins(n int) { r.told <- n }

func TestDeadProcessWhoseKeyStillStandsIsNoTwin(t *testing.T) {
	inBubble(t, func(f *fleet) {
		f.join("a", nil).awaitPhase(election.Leader) // a-1
		for _, row := range []struct {
			dead string
			want int
		}{{"a-1", 0}, {"a-0", 1}} {
			told := make(chan int, 16)
			later := f.join("a", nil, after(election.Past{Predecessors: []election.Predecessor{{Incarnation: row.dead}}}), func(c *election.Config) {
				c.Incarnation, c.Store = "a-2", f.cluster.Store("a", "a-2")
				c.Recorder = twins{quiet{}, told}
			})
			if n := <-told; n != row.want {
				t.Errorf("%d twins with %s dead, want %d", n, row.dead, row.want)
			}
			later.stop()
			<-later.done
		}
	})
}

// quiet records nothing.
type quiet struct{}

func (quiet) Renewal(election.RenewalResult, time.Duration, time.Duration) {}
func (quiet) Handover(time.Duration)                                       {}
func (quiet) Session(election.SessionResult)                               {}
func (quiet) TermStarted()                                                 {}
func (quiet) TermEnded(election.Cause)                                     {}
func (quiet) LeaderChanged()                                               {}
func (quiet) LoopLag(time.Duration)                                        {}
func (quiet) Twins(int)                                                    {}
