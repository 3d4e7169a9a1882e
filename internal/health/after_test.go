package health

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
)

// after starts a monitor in the place of another.
func after(t *testing.T, before *watching, cfg Config) (*watching, *told) {
	t.Helper()
	before.stop()
	<-before.ended
	var to told
	cfg.After, cfg.Changed = before.Monitor, to.changed
	return start(t, cfg), &to
}

func TestMonitorGoesOnWhereTheOneBeforeItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(looks("+-"), looks("-"))
		cfg.Fall = 2
		before := start(t, cfg)
		was := before.Results()
		cfg.Checks[0].Probe, cfg.Checks[1].Probe = looks("-"), looks("+")
		cfg.Rise = 2
		now, told := after(t, before, cfg)
		all := now.Results()
		if !was[0].Up || !all[0].Up || all[0].Since != was[0].Since {
			t.Errorf("one failure has turned a check that takes two: %+v, then %+v", was[0], all[0])
		}
		if was[1].Up || !all[1].Up { // it has never been up: its first success turns it
			t.Errorf("%+v, then %+v", was[1], all[1])
		}
		if len(told.take()) == 0 {
			t.Error("nobody was told of the monitor's results")
		}
		next()
		if now.Results()[0].Up {
			t.Error("the check does not turn any more")
		}
	})
}

func TestNewCheckBesideAWellOneEndsNothingBeforeItIsLookedAt(t *testing.T) {
	for _, row := range []struct {
		before string // of the only check; empty: there was none
		up     bool
	}{{"+", true}, {"", true}, {"-", false}} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config()
			if row.before != "" {
				cfg = config(looks(row.before))
			}
			before := start(t, cfg)
			unanswered := func(ctx context.Context) error { <-ctx.Done(); return nil }
			cfg.Checks = []Check{{Name: "new", Probe: unanswered}}
			now, told := after(t, before, cfg)
			r := now.Results()[0]
			if r.Up != row.up || r.Seen || strings.Contains(r.Reason, "not looked at") == row.up {
				t.Errorf("after %q: %+v", row.before, r)
			}
			if all := told.take(); len(all) != 1 || all[0][0].Up != row.up {
				t.Errorf("after %q: told %+v", row.before, all)
			}
			next()
			if now.Results()[0].Up {
				t.Error("a check that does not answer stays up")
			}
		})
	}
}
