package health

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunEndsWhenChangedAndAllProbesHaveReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, slow := make(chan error), make(chan struct{})
		cfg := config(well, func(context.Context) error { return <-stuck })
		var calls atomic.Int32
		cfg.Changed = func(context.Context, []Result) { calls.Add(1); <-slow }
		w := start(t, cfg)
		next() // something new that is not told any more
		w.stop()
		for _, let := range []func(){func() { close(slow) }, func() { close(stuck) }} {
			synctest.Wait()
			select {
			case <-w.ended:
				t.Fatal("Run has left something behind")
			default:
			}
			let()
		}
		<-w.ended
		if calls.Load() != 1 {
			t.Errorf("Changed was called %d times", calls.Load())
		}
	})
}

func TestALookThatIsNotAnsweredFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A yes that comes too late is none either.
		late := func(ctx context.Context) error { <-ctx.Done(); return nil }
		w := start(t, config(silent, late, well))
		if all := w.Results(); all[0].Seen || !all[2].Up { // and nobody waits for it
			t.Errorf("at once: %+v", all)
		}
		time.Sleep(timeout)
		synctest.Wait()
		for _, r := range w.Results()[:2] {
			if r.Up || !r.Seen || r.Reason != "no answer within 2s" {
				t.Errorf("after the timeout: %+v", r)
			}
		}
	})
}

// As a connection's does, which has a timer of its own.
func TestADeadlineThatTheProbeNoticesFirstIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		probe := func(context.Context) error { <-early.Done(); return errors.New("i/o timeout") }
		w := start(t, config(slices.Repeat([]Probe{probe}, 100)...)) // which timer is noticed first is chance
		time.Sleep(timeout)
		synctest.Wait()
		for _, now := range w.Results() {
			if now.Reason != "no answer within 2s" {
				t.Errorf("%+v", now)
			}
		}
	})
}

// A probe may hang in the kernel, where its context does not reach it. What was last heard of it must not stand.
func TestAProbeThatHangsFailsAtEveryLookThatItIsInTheWayOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan error)
		var calls, failed atomic.Int32
		cfg := config(func(context.Context) error {
			if calls.Add(1) > 1 {
				return <-stuck
			}
			return nil
		})
		cfg.Fall = 3
		cfg.Failed = func(string) { failed.Add(1) }
		w := start(t, cfg)
		time.Sleep(interval + timeout)
		for i := range 3 {
			synctest.Wait()
			if failed.Load() != int32(i+1) || calls.Load() != 2 || w.Results()[0].Up != (i < 2) {
				t.Errorf("%d looks missed: %d failures, %d calls, %+v", i, failed.Load(), calls.Load(), w.Results())
			}
			time.Sleep(interval)
		}
		synctest.Wait()
		stuck <- nil // the answer to a look that has failed long ago
		synctest.Wait()
		if failed.Load() != 4 || calls.Load() != 3 || w.Results()[0].Up {
			t.Errorf("it looks again: %d failures, %d calls, %+v", failed.Load(), calls.Load(), w.Results())
		}
		stuck <- nil
		synctest.Wait()
		if !w.Results()[0].Up {
			t.Errorf("well again: %+v", w.Results())
		}
		close(stuck)
	})
}

func TestLooksBeginEveryIntervalHoweverLongTheyTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, at := time.Now(), []time.Duration{}
		probe := func(context.Context) error {
			at = append(at, time.Since(began))
			time.Sleep(timeout / 2)
			return nil
		}
		start(t, config(probe))
		next()
		next()
		if want := []time.Duration{0, interval, 2 * interval}; !slices.Equal(at, want) {
			t.Errorf("looked at %v", at)
		}
	})
}

func TestALookThatIsCutShortByTheEndIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(silent)
		cfg.Failed = func(check string) { t.Errorf("%s failed", check) }
		w := start(t, cfg)
		w.stop()
		<-w.ended
		if now := w.Results()[0]; now.Seen {
			t.Errorf("%+v", now)
		}
	})
}
