package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/health"
	"github.com/elector-dev/elector/internal/metrics"
)

// checks looks at the worker with one monitor after another: each change of the settings makes a new one.
type checks struct {
	env     []string
	log     *slog.Logger
	changed func(ctx context.Context, all []health.Result)

	current atomic.Pointer[health.Monitor] // whose results are shown
	next    chan health.Config             // of the monitor that is to take over; one at a time waits, put there by one goroutine
}

func newChecks(env []string, log *slog.Logger, changed func(ctx context.Context, all []health.Result)) *checks {
	return &checks{env: env, log: log, changed: changed, next: make(chan health.Config, 1)}
}

// monitor makes the monitor that the settings ask for, and what makes it again. The error is one about the settings.
func (c *checks) monitor(cfg config.Config) (*health.Monitor, health.Config, error) {
	all, err := checksOf(cfg, c.env)
	if err != nil {
		return nil, health.Config{}, err
	}
	h := health.Config{
		Checks: all, Interval: cfg.CheckInterval, Timeout: cfg.CheckTimeout, Rise: cfg.CheckRise, Fall: cfg.CheckFall,
		Changed: c.changed, Logger: c.log,
	}
	m, err := health.New(h)
	return m, h, err
}

// replace has other checks looked at. The error is one about the settings, and then nothing has changed.
func (c *checks) replace(cfg config.Config) error {
	_, next, err := c.monitor(cfg)
	if err != nil {
		return err
	}
	select {
	case <-c.next: // it was not taken yet, and shall not be
	default:
	}
	c.next <- next
	return nil
}

// run looks until the elector has ended.
func (c *checks) run(ended <-chan struct{}) {
	for {
		next, more := c.look(ended)
		if !more {
			return
		}
		next.After = c.current.Load()
		m, err := health.New(next)
		if err != nil {
			panic("cli: checks that were good are no longer: " + err.Error())
		}
		c.current.Store(m)
	}
}

// look has the current monitor look until another is to take over, or until the elector has ended: then there are no
// more. A check that looks at a file system which does not answer may never return, and the process goes on, or ends, all
// the same.
func (c *checks) look(ended <-chan struct{}) (next health.Config, more bool) {
	ctx, enough := context.WithCancel(context.Background())
	defer enough()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		_ = c.current.Load().Run(ctx) // nil
	}()
	select {
	case next = <-c.next:
		more = true
	case <-ended:
	}
	enough()
	select {
	case <-looked:
	case <-time.After(lookPatience):
		c.log.Warn("a check has not returned; going on without it")
	}
	return next, more
}

// lookPatience is how long checks have to return when they are to be looked at no longer: a command is killed at once.
const lookPatience = time.Second

// shown is what the checks say, for the metrics.
func (c *checks) shown() []metrics.Check {
	var all []metrics.Check
	for _, r := range c.current.Load().Results() {
		all = append(all, metrics.Check{Name: r.Check, Up: r.Up})
	}
	return all
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
