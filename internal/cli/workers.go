package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/health"
	"github.com/elector-dev/elector/internal/httpapi"
	"github.com/elector-dev/elector/internal/metrics"
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
	checks, err := checksOf(cfg, env)
	if err != nil || len(checks) == 0 {
		return err
	}
	d.checks, err = health.New(health.Config{
		Checks: checks, Interval: cfg.CheckInterval, Timeout: cfg.CheckTimeout, Rise: cfg.CheckRise, Fall: cfg.CheckFall, Logger: log,
		Changed: func(ctx context.Context, all []health.Result) {
			_ = d.gate.Set(ctx, byChecks, health.Bar(all)) // an elector that has ended needs no word
		},
	})
	if err == nil {
		d.gate.Put(byChecks, health.Bar(d.checks.Results()))
	}
	return err
}

// checksOf makes the checks. The error has a sentence for each that cannot be.
func checksOf(cfg config.Config, env []string) ([]health.Check, error) {
	var all []health.Check
	var wrong []error
	for _, kind := range []struct {
		setting string
		given   []string
		make    func(string) (health.Check, error)
	}{
		{"check-http", cfg.CheckHTTP, health.HTTP},
		{"check-tcp", cfg.CheckTCP, health.TCP},
		{"check-exec", cfg.CheckExec, func(command string) (health.Check, error) {
			argv, err := commandOf(command)
			if err != nil {
				return health.Check{}, err
			}
			return health.Exec(argv, env)
		}},
		{"check-file", cfg.CheckFile, func(path string) (health.Check, error) { return health.File(path, cfg.CheckMaxAge) }},
	} {
		for _, text := range kind.given {
			c, err := kind.make(text)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("--%s %w", kind.setting, err))
			}
			all = append(all, c)
		}
	}
	return all, errors.Join(wrong...)
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

// look runs the checks until the elector has ended. One that looks at a file system which does not answer may never
// return, and the process must end all the same.
func (d *daemon) look(ended <-chan struct{}, log *slog.Logger) {
	ctx, enough := context.WithCancel(context.Background())
	defer enough()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		_ = d.checks.Run(ctx) // nil
	}()
	<-ended
	enough()
	select {
	case <-looked:
	case <-time.After(lookPatience):
		log.Warn("a check has not returned; the process ends without it")
	}
}

// lookPatience is how long checks have to return when the elector has ended: a command is killed at once.
const lookPatience = time.Second

// checksUp is what the checks say, for the metrics.
func (d *daemon) checksUp() []metrics.Check {
	if d.checks == nil {
		return nil
	}
	var all []metrics.Check
	for _, r := range d.checks.Results() {
		all = append(all, metrics.Check{Name: r.Check, Up: r.Up})
	}
	return all
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

// newHooks makes the hooks; nil: none are to be run. The error has a sentence for each that cannot be.
func newHooks(cfg config.Config, d *daemon, m *metrics.Metrics, env []string, log *slog.Logger) (*work.Hooks, error) {
	h := work.HooksConfig{
		Timeout: cfg.HookTimeout, Elector: d.elector, Encode: d.api.Encode, Identity: cfg.ID, Election: cfg.Path(), Env: env,
		Clock: bootClock{}, Ran: m.Hook, Logger: log,
	}
	var wrong []error
	any := false
	for _, given := range []struct {
		setting, text string
		into          **work.Hook
	}{
		{"on-lead", cfg.OnLead, &h.OnLead}, {"on-follow", cfg.OnFollow, &h.OnFollow}, {"on-change", cfg.OnChange, &h.OnChange},
		{"before-lead", cfg.BeforeLead, &h.BeforeLead}, {"before-release", cfg.BeforeRelease, &h.BeforeRelease},
	} {
		if given.text == "" {
			continue
		}
		any = true
		var err error
		if *given.into, err = hookOf(given.text); err != nil {
			wrong = append(wrong, fmt.Errorf("--%s %w", given.setting, err))
		}
	}
	if !any || wrong != nil {
		return nil, errors.Join(wrong...)
	}
	return work.NewHooks(h), nil
}

// hookOf reads a hook. The error is a sentence that begins with the text.
func hookOf(text string) (*work.Hook, error) {
	if !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://") {
		argv, err := commandOf(text)
		return &work.Hook{Argv: argv}, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" { // the text may hold a password
		return nil, errors.New("is not a URL: write one as in http://127.0.0.1:8080/leader")
	}
	return &work.Hook{URL: text}, nil
}

// lead is the work of a term: all of its parts at once, hooks around them.
func (d *daemon) lead(parts []election.Lead) election.Lead {
	if d.hooks == nil {
		return work.All(parts...)
	}
	return d.hooks.Around(work.All(append(parts, d.hooks.Lead)...))
}
