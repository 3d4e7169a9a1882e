package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

func TestHooksRunOneAtATimeAndInOrder(t *testing.T) {
	// Long enough to be overtaken, were that possible.
	tell := sh(`read state; echo begin $ELECTOR_HOOK ${ELECTOR_TERM_TOKEN:--} $state >>$FILE; sleep 0.004; echo end $ELECTOR_HOOK >>$FILE`)
	b := newRig(t, func(c *HooksConfig) {
		c.BeforeLead, c.OnLead, c.BeforeRelease, c.OnFollow, c.OnChange = tell, tell, tell, tell, tell
	})
	ended := b.start()
	for token := int64(1); token <= 10; token++ { // five changes each
		b.elector.publish(election.Follower, 0, election.CauseRegistered)
		b.elector.publish(election.Verifying, 0, election.CauseWon)
		if err := b.BeforeLead(t.Context(), termOf(token)); err != nil {
			t.Error(err)
		}
		led := make(chan struct{})
		end := b.during(token, b.Around(All(b.Lead, func(ctx context.Context, _ election.Term) error {
			close(led)
			<-ctx.Done()
			return nil
		})))
		if <-led; token%2 == 0 { // the other terms are over before on-lead has had its turn, or in its midst
			says(t, b.file, fmt.Sprint("begin on-lead ", token))
		}
		end(election.CauseResigned)
	}
	b.elector.end()
	await(t, "Run's end", ended)

	told := b.inOrder()
	state, _ := b.elector.Watch()
	if told.seq != state.Seq || told.last != hookOnFollow || told.runs < 30 {
		t.Errorf("told of the changes to %d of %d, and of the others %d, at last %s", told.seq, state.Seq, told.runs, told.last)
	}
	last := ""
	for len(b.results) > 0 { // an on-lead that was killed may have written nothing
		switch hook, _, _ := strings.Cut(<-b.results, " "); hook {
		case last:
			t.Errorf("%s has run twice in a row", hook)
		case hookOnLead, hookOnFollow:
			last = hook
		}
	}
}

// account is what has been told so far.
type account struct {
	runs  int    // of all but on-change
	seq   uint64 // that on-change was told
	token int64  // of the latest term
	last  string // of on-lead and on-follow
}

// inOrder reads what commands have written of their beginning and their end, and finds nothing wrong with it.
func (b *rig) inOrder() (told account) {
	b.t.Helper()
	running := ""
	for _, line := range b.wrote() {
		var what, hook, token string
		var seq uint64
		fmt.Sscan(line, &what, &hook, &token, &seq)
		if what == "end" {
			if hook != running {
				b.t.Errorf("%q while %q runs", line, running)
			}
			running = ""
			continue
		}
		if running != "" && running != hookOnLead { // which is killed when its term is over
			b.t.Errorf("%q while %q runs", line, running)
		}
		running = hook
		told.note(b.t, line, hook, token, seq)
	}
	return told
}

// note takes in the beginning of a run.
func (a *account) note(t *testing.T, line, hook, token string, seq uint64) {
	t.Helper()
	if hook == hookOnChange {
		if seq <= a.seq {
			t.Errorf("%q after the state %d", line, a.seq)
		}
		a.seq = seq
		return
	}
	a.runs++
	var of int64 // none for on-follow
	fmt.Sscan(token, &of)
	switch {
	case hook != hookOnFollow && of < a.token:
		t.Errorf("%q after the term %d", line, a.token)
	case of > a.token && a.last == hookOnLead:
		t.Errorf("%q before on-follow has told of the end of the term %d", line, a.token)
	}
	a.token = max(a.token, of)
	if hook == hookOnLead || hook == hookOnFollow {
		a.last = hook
	}
}

func TestOnChangeSkipsToTheNewestState(t *testing.T) {
	d := newDesk(t, hookOnChange)
	b := newRig(t, func(c *HooksConfig) { c.OnChange = d.hook() })
	b.start()
	for _, want := range []string{"on-change 1 connecting", "on-change 9 ineligible"} {
		if got := await(t, want, d.arrived); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		for state, _ := b.elector.Watch(); state.Seq < 9; state.Seq++ {
			b.elector.publish(election.Ineligible, 0, election.CauseDrained)
		}
		d.answer <- struct{}{}
	}
	close(d.answer) // of the last state, which ends Run
	b.expect("on-change ok", "on-change ok")
}

func TestStateIsReadWhenTheTurnHasCome(t *testing.T) {
	inHookBubble(t, func(t *testing.T, b *rig, told func() []string) {
		if err := b.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.start()
		for range 3 {
			if got := told(); got != nil {
				t.Errorf("told %q out of turn", got)
			}
			b.elector.publish(election.Follower, 0, election.CauseRegistered)
		}
		b.give()
		if got := told(); !slices.Equal(got, []string{"on-follow 4 follower", "on-change 4 follower"}) {
			t.Errorf("told %q", got)
		}
	})
}

func TestTermThatIsOverIsNotToldThoughItsWorkDoesNotKnow(t *testing.T) {
	inHookBubble(t, func(t *testing.T, b *rig, told func() []string) {
		b.elector.publish(election.SteppingDown, 0, election.CauseLeaseExpired)
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Lead(ctx, termOf(7)) }()
		if got := told(); got != nil {
			t.Errorf("told %q", got)
		}
		end()
		<-done
	})
}

// Run may have seen the later term's state before its work begins, and made nothing of it.
func TestTermThatWaitsForOnFollowWakesRun(t *testing.T) {
	inHookBubble(t, func(t *testing.T, b *rig, told func() []string) {
		work := func(token int64, want ...string) {
			t.Helper()
			ctx, end := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- b.Lead(ctx, termOf(token)) }()
			if got := told(); !slices.Equal(got, want) {
				t.Errorf("term %d: told %q, want %q", token, got, want)
			}
			end()
			<-done
		}
		b.elector.publish(election.Leader, 7, election.CauseWon)
		work(7, "on-lead 2 leader")
		b.start()
		b.elector.publish(election.Leader, 8, election.CauseWon)
		if got := told(); !slices.Equal(got, []string{"on-change 3 leader"}) {
			t.Errorf("told %q", got)
		}
		work(8, "on-follow 3 leader", "on-lead 3 leader")
	})
}

func TestHookThatHangsIsKilledAndTheNextRuns(t *testing.T) {
	b := newRig(t, func(c *HooksConfig) {
		c.Timeout = time.Second
		c.OnChange = sh(`read seq phase; echo $seq $$ >>$FILE; [ $seq -gt 1 ] && exit; trap '' TERM; echo stuck; (trap '' TERM; sleep 1000) & sleep 1000`)
	})
	b.start()
	b.expect("on-change timeout")
	var seq, group int
	if _, err := fmt.Sscan(b.wrote()[0], &seq, &group); err != nil || group <= 1 {
		t.Fatalf("wrote %q", b.wrote())
	}
	if err := syscall.Kill(-group, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("something of the group is left: %v", err)
	}
	b.settle()
	if log := b.log.String(); !strings.Contains(log, `"a hook has failed" hook=on-change token=0 err="has not ended within its timeout: stuck"`) {
		t.Errorf("log %s", log)
	}
	b.elector.publish(election.Ineligible, 0, election.CauseDrained)
	b.expect("on-change ok")
}

func TestTermWithoutATurnIsNotTold(t *testing.T) {
	d := newDesk(t, hookOnChange)
	b := newRig(t, func(c *HooksConfig) { c.OnChange, c.OnLead, c.OnFollow = d.hook(), d.hook(), d.hook() })
	b.elector.publish(election.Follower, 0, election.CauseRegistered)
	b.start()
	for _, want := range []string{"on-follow 2 follower", "on-change 2 follower"} {
		if got := await(t, want, d.arrived); got != want {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
	b.during(7, b.Lead)(election.CauseResigned) // all the while on-change runs
	b.elector.publish(election.Follower, 0, election.CauseRegistered)
	end := b.during(8, b.Lead)
	d.answer <- struct{}{}
	next := await(t, "the next hook", d.arrived)
	if next == "on-change 7 leader" { // its order to on-lead is not promised
		d.answer <- struct{}{}
		next = await(t, "the next hook", d.arrived)
	}
	if next != "on-lead 7 leader" {
		t.Errorf("told %q", next)
	}
	close(d.answer)
	end(election.CauseResigned)
	for next = ""; !strings.HasPrefix(next, hookOnFollow); next = await(t, "on-follow", d.arrived) {
		if strings.HasPrefix(next, hookOnLead) {
			t.Errorf("told %q twice", next)
		}
	}
}

func TestEndOfATermIsToldBeforeTheNextBegins(t *testing.T) {
	d := newDesk(t, hookOnChange)
	b := newRig(t, func(c *HooksConfig) {
		c.OnChange, c.OnLead, c.OnFollow, c.BeforeLead = d.hook(), d.hook(), d.hook(), d.hook()
	})
	end := b.during(7, b.Lead)
	await(t, "on-lead", d.arrived)
	b.start()
	await(t, "on-change", d.arrived)
	end(election.CauseResigned) // all the while on-change runs
	refused := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	b.elector.publish(election.Verifying, 0, election.CauseWon)
	go func() { refused <- b.BeforeLead(ctx, termOf(8)) }()
	cancel() // before its turn
	if err := await(t, "before-lead", refused); !errors.Is(err, context.Canceled) {
		t.Errorf("refused with %v", err)
	}
	end = b.during(9, b.Around(b.Lead))
	close(d.answer)
	var told []string
	for len(told) < 2 {
		if hook, _, _ := strings.Cut(await(t, "the next hook", d.arrived), " "); hook != hookOnChange {
			told = append(told, hook)
		}
	}
	if !slices.Equal(told, []string{hookOnFollow, hookOnLead}) {
		t.Errorf("told %v", told)
	}
	end(election.CauseResigned)
}

// Whoever is told last must be told the truth, though the program has been asked to end long ago.
func TestLastWordsAreSaidAfterTheStop(t *testing.T) {
	tell := sh(`read state; echo $ELECTOR_HOOK $state >>$FILE`)
	b := newRig(t, func(c *HooksConfig) { c.OnLead, c.OnFollow, c.OnChange = tell, tell, tell })
	ctx, stop := context.WithCancel(t.Context())
	stop()
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	end := b.during(7, b.Lead)
	says(t, b.file, "on-lead 2 leader")
	end(election.CauseShutdown)
	b.elector.end()
	if err := await(t, "Run's end", done); err != nil {
		t.Error(err)
	}
	told := b.wrote()
	if last := told[len(told)-1]; last != "on-change 5 connecting" || !strings.Contains(strings.Join(told, "\n"), "on-follow") {
		t.Errorf("told %q", told)
	}
}
