package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os/exec"

	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/health"
	"github.com/elector-dev/elector/internal/httpapi"
	"github.com/elector-dev/elector/internal/process"
	"github.com/elector-dev/elector/internal/statedir"
	"github.com/elector-dev/elector/internal/work"
)

// What may stand against a candidacy, the weightiest first.
const (
	byNoLead = "no-lead"
	byDrain  = "drain"
	byChecks = "checks"
	byHold   = "hold"
)

// watchWorkers makes what decides whether the elector is eligible. The error is one about the settings.
func (d *daemon) watchWorkers(cfg config.Config, mem memory, env []string, log *slog.Logger) error {
	d.gate = health.NewGate(func(ctx context.Context, b election.Bar) error { return d.elector.Bar(ctx, b) }, byNoLead, byDrain, byChecks, byHold)
	if cfg.NoLead {
		d.gate.Put(byNoLead, election.Bar{Cause: election.CauseNoLead, Why: "--no-lead: an observer"})
	}
	if mem.dir != nil {
		if reason, drained := mem.dir.Drained(); drained {
			d.gate.Put(byDrain, drainedFor(reason))
			log.Warn("drained by an earlier process's order; elector undrain lets it in again", "reason", reason)
		}
	}
	if cfg.RequireHold {
		d.gate.Put(byHold, work.NoHold)
	}
	d.checks = newChecks(env, log, func(ctx context.Context, all []health.Result) {
		_ = d.gate.Set(ctx, byChecks, health.Bar(all)) // an elector that has ended needs no word
	})
	m, _, err := d.checks.monitor(cfg)
	if err == nil {
		d.checks.current.Store(m)
		d.gate.Put(byChecks, health.Bar(m.Results()))
	}
	return err
}

// commandOf splits a command and finds its file. The error is a sentence that begins with the command.
func commandOf(command string) ([]string, error) {
	argv, err := process.Split(command)
	if err != nil {
		return nil, fmt.Errorf("%q %w", command, err)
	}
	if _, err = exec.LookPath(argv[0]); err != nil {
		return nil, fmt.Errorf("%q cannot be run: %w", command, err)
	}
	return argv, nil
}

// holder is the elector as holds see it: what they say of eligibility goes through the gate.
type holder struct {
	*election.Elector
	gate *health.Gate
}

// Bar implements work.Elector.
func (h holder) Bar(ctx context.Context, b election.Bar) error { return h.gate.Set(ctx, byHold, b) }

func drainedFor(reason string) election.Bar {
	why := "drained"
	if reason != "" {
		why += ": " + reason
	}
	return election.Bar{Cause: election.CauseDrained, Why: why}
}

// drains takes the elector out of the election and lets it in again; with a state directory for later processes too. That
// is written first, so that no crash forgets what was answered.
func drains(gate *health.Gate, dir *statedir.Dir) httpapi.Drains {
	turn := make(chan struct{}, 1) // held over both, so that directory and gate say the same
	set := func(ctx context.Context, b election.Bar, keep func(*statedir.Dir) error) error {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var kept error
		if dir != nil {
			kept = keep(dir)
		}
		if err := gate.Set(ctx, byDrain, b); err != nil {
			return err
		}
		if kept != nil {
			return fmt.Errorf("%w: %w", httpapi.ErrNotKept, kept)
		}
		return nil
	}
	return httpapi.Drains{
		Drain: func(ctx context.Context, reason string) error {
			return set(ctx, drainedFor(reason), func(dir *statedir.Dir) error { return dir.Drain(reason) })
		},
		Undrain: func(ctx context.Context) error { return set(ctx, election.Bar{}, (*statedir.Dir).Undrain) },
	}
}

// hooksOf makes the hooks. The error has a sentence for each that cannot be.
func hooksOf(cfg config.Config) (work.HookSet, error) {
	set := work.HookSet{Timeout: cfg.HookTimeout}
	var wrong []error
	for _, given := range []struct {
		setting, text string
		into          **work.Hook
	}{
		{"on-lead", cfg.OnLead, &set.OnLead}, {"on-follow", cfg.OnFollow, &set.OnFollow}, {"on-change", cfg.OnChange, &set.OnChange},
		{"before-lead", cfg.BeforeLead, &set.BeforeLead}, {"before-release", cfg.BeforeRelease, &set.BeforeRelease},
	} {
		if given.text == "" {
			continue
		}
		var err error
		if *given.into, err = hookOf(given.text); err != nil {
			wrong = append(wrong, fmt.Errorf("--%s %w", given.setting, err))
		}
	}
	return set, errors.Join(wrong...)
}

// hookOf reads a hook. The error is a sentence that begins with the text.
func hookOf(text string) (*work.Hook, error) {
	if !config.HookIsURL(text) {
		argv, err := commandOf(text)
		return &work.Hook{Argv: argv}, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" { // the text may hold a password
		return nil, errors.New("is not a URL: write one as in http://127.0.0.1:8080/leader")
	}
	return &work.Hook{URL: text}, nil
}
