package work

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

func TestOnLeadIsKilledAtTheTermsEnd(t *testing.T) {
	b := newRig(t, func(c *HooksConfig) {
		c.OnLead, c.OnFollow = sh(`trap '' TERM; echo leading >>$FILE; sleep 1000`), sh(`echo following >>$FILE`)
	})
	b.start()
	end := b.during(7, b.Lead)
	says(t, b.file, "leading")
	end(election.CauseResigned)
	b.expect("on-lead cancelled", "on-follow ok")
	if log := b.log.String(); !strings.Contains(log, "cut short: term ended: resigned") {
		t.Errorf("log %s", log)
	}
}

func TestFailingOnLeadDoesNotEndTheTerm(t *testing.T) {
	b := newRig(t, func(c *HooksConfig) { c.OnLead = sh(`echo first; echo why; exit 3`) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	b.elector.publish(election.Leader, 7, election.CauseWon)
	go func() { done <- b.Lead(ctx, termOf(7)) }()
	b.expect("on-lead failed")
	b.settle()
	select {
	case err := <-done:
		t.Fatalf("the work has returned: %v", err)
	default:
	}
	cancel()
	if err := await(t, "the work's end", done); err != nil {
		t.Error(err)
	}
	if log := b.log.String(); !strings.Contains(log, `hook=on-lead token=7 err="exit status 3: why"`) {
		t.Errorf("log %s", log)
	}
}

func TestBeforeReleaseRunsBetweenTheWorkAndTheKeysRelease(t *testing.T) {
	for cause, work := range map[election.Cause]string{election.CauseResigned: "told", election.CauseWorkEnded: "returns by itself"} {
		b := newRig(t, func(c *HooksConfig) {
			c.BeforeRelease = sh(`echo $ELECTOR_HOOK $ELECTOR_TERM_TOKEN $ELECTOR_TERM_STATE $ELECTOR_TERM_CAUSE >>$FILE`)
		})
		failed := errors.New("failed")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		err := b.Around(func(context.Context, election.Term) error {
			if work == "told" {
				cancel(&election.CauseError{Cause: cause})
			}
			select {
			case got := <-b.results:
				t.Errorf("%s while the work goes on", got)
			default:
			}
			return failed
		})(ctx, termOf(7))
		if got := b.wrote(); !errors.Is(err, failed) || !slices.Equal(got, []string{"before-release 7 stepping-down " + string(cause)}) {
			t.Errorf("work that %s: wrote %q, returned %v", work, got, err)
		}
	}
}

func TestBeforeReleaseIsNotRunWhenTheWorkMustHaveEnded(t *testing.T) {
	for _, left := range []time.Duration{0, -time.Second, -time.Hour} { // the last: there is no term
		b := newRig(t, func(c *HooksConfig) { c.BeforeRelease = sh("exit 0") })
		b.elector.workEnd.Store(b.elector.now.Load() + int64(left))
		end := b.during(7, b.Around(nil))
		end(election.CauseLeaseExpired)
		if len(b.results) > 0 || !strings.Contains(b.log.String(), "no time is left") {
			t.Errorf("with %v left: %d runs, log %s", left, len(b.results), b.log)
		}
	}
}

func TestBeforeReleaseIsCutShortWhenTheWorkMustHaveEnded(t *testing.T) {
	b := newRig(t, func(c *HooksConfig) { c.BeforeRelease = sh(`echo begun >>$FILE; sleep 1000`) })
	end := b.during(7, b.Around(nil))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end(election.CauseResigned)
	}()
	says(t, b.file, "begun")
	b.elector.now.Store(b.elector.workEnd.Load())
	b.expect("before-release timeout")
	await(t, "the term's end", ended)
}

func TestRenewalGivesBeforeReleaseMoreTime(t *testing.T) {
	d := newDesk(t, hookBeforeRelease)
	b := newRig(t, func(c *HooksConfig) { c.BeforeRelease = d.hook() })
	b.elector.asked = make(chan struct{})
	const left = 20 * time.Millisecond
	b.elector.workEnd.Store(b.elector.now.Load() + int64(left))
	end := b.during(7, b.Around(nil))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end(election.CauseResigned)
	}()
	for range 5 { // the time that was left first has passed, and has been looked at anew
		await(t, "a look at the work's end", b.elector.asked)
	}
	await(t, "before-release", d.arrived)
	b.elector.workEnd.Add(int64(time.Hour))
	b.elector.now.Add(int64(time.Minute))
	for range 2 {
		await(t, "a look at the work's end", b.elector.asked)
	}
	d.answer <- struct{}{}
	b.expect("before-release ok")
	await(t, "the term's end", ended)
}
