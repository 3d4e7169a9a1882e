package election_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

// complete is a configuration with nothing in it that need not be.
func complete() election.Config {
	clock := bubbleClock{time.Now()}
	return election.Config{
		Identity: "a", Incarnation: "a-1", TTL: ttl, AnswerMax: time.Second,
		Clock: clock, Store: electiontest.NewCluster(clock).Store("a", "a-1"), Logger: slog.New(slog.DiscardHandler),
	}
}

func TestConfigurationsThatWouldOnlyFailLaterAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*election.Config)
		well   bool
	}{
		"complete":             {func(*election.Config) {}, true},
		"no identity":          {func(c *election.Config) { c.Identity = "" }, false},
		"no incarnation":       {func(c *election.Config) { c.Incarnation = "" }, false},
		"shortest TTL":         {func(c *election.Config) { c.TTL = election.MinTTL }, true},
		"TTL too short":        {func(c *election.Config) { c.TTL = election.MinTTL - time.Second }, false},
		"longest TTL":          {func(c *election.Config) { c.TTL = election.MaxTTL }, true},
		"TTL too long":         {func(c *election.Config) { c.TTL = election.MaxTTL + time.Second }, false},
		"odd TTL":              {func(c *election.Config) { c.TTL = 3 * time.Second }, true},
		"TTL of half a second": {func(c *election.Config) { c.TTL = 2500 * time.Millisecond }, false},
		"all the grace":        {func(c *election.Config) { c.Grace = election.MaxGrace(ttl) }, true},
		"too much grace":       {func(c *election.Config) { c.Grace = election.MaxGrace(ttl) + 1 }, false},
		"negative grace":       {func(c *election.Config) { c.Grace = -1 }, false},
		"shortest answer":      {func(c *election.Config) { c.AnswerMax = 1 }, true},
		"no answer":            {func(c *election.Config) { c.AnswerMax = 0 }, false},
		"no clock":             {func(c *election.Config) { c.Clock = nil }, false},
		"no store":             {func(c *election.Config) { c.Store = nil }, false},
		"no logger":            {func(c *election.Config) { c.Logger = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := complete()
			row.change(&cfg)
			e, err := election.New(cfg)
			if (err == nil) != row.well || (e == nil) == row.well {
				t.Errorf("%v, %v", e, err)
			}
		})
	}
}

func TestElectorTellsWhatItIsBeforeItRuns(t *testing.T) {
	drained := election.Bar{Cause: election.CauseDrained, Why: "a person"}
	regressed := election.Past{Fenced: election.CauseTokenRegression}
	for name, row := range map[string]struct {
		change func(*election.Config)
		want   election.State
	}{
		"free":              {func(*election.Config) {}, election.State{Phase: election.Connecting}},
		"barred":            {func(c *election.Config) { c.Barred = drained }, election.State{Phase: election.Ineligible, Cause: election.CauseDrained, Bar: drained}},
		"fenced":            {func(c *election.Config) { c.Past = regressed }, election.State{Phase: election.Fenced, Cause: election.CauseTokenRegression}},
		"fenced and barred": {func(c *election.Config) { c.Past, c.Barred = regressed, drained }, election.State{Phase: election.Fenced, Cause: election.CauseTokenRegression, Bar: drained}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := complete()
			cfg.AnswerMax = 3 * time.Second
			row.change(&cfg)
			e, err := election.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := e.Watch()
			if got.Since.IsZero() {
				t.Error("since when, it does not say")
			}
			if got.Seq, got.Since = 0, (time.Time{}); got != row.want {
				t.Errorf("%+v, want %+v", got, row.want)
			}
			if free := row.want.Phase == election.Connecting; got.Eligible() != free {
				t.Errorf("eligible: %v", got.Eligible())
			}
			if e.Identity() != "a" || e.Incarnation() != "a-1" || e.AnswerMax() != 3*time.Second {
				t.Errorf("%s, %s, %v", e.Identity(), e.Incarnation(), e.AnswerMax())
			}
			if e.LoopAge() != 0 || e.Stalled() || e.WorkEnd() != 0 {
				t.Errorf("before Run: age %v, stalled %v, work end %v", e.LoopAge(), e.Stalled(), e.WorkEnd())
			}
		})
	}
}
