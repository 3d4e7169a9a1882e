package work

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/process"
)

// Restart says what follows when a command ends by itself.
type Restart string

// The ways to go on.
const (
	RestartNever     Restart = "never"      // resign, and let the elector end
	RestartOnFailure Restart = "on-failure" // start it again unless it ended with status 0
	RestartAlways    Restart = "always"
)

// The pauses before a command is started again: doubled from the first to the last, and afresh once it has run for
// long.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
	ranLong    = time.Minute
)

// ChildConfig is a command that runs only while the elector leads. All fields but Group are required.
type ChildConfig struct {
	Argv           []string // Argv[0] is the file to run
	Env            []string // what the command gets, besides ELECTOR_TERM_*
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Stop           syscall.Signal   // that asks it to end
	Grace          time.Duration    // between that and SIGKILL
	Restart        Restart          // when it ends by itself
	Signals        <-chan os.Signal // passed on to it

	Guard   []string                // the command line of the process that kills it when the elector cannot; see Guard
	WorkEnd func() election.Instant // when it must have ended, whatever becomes of the elector
	Clock   election.Clock
	Logger  *slog.Logger
	Group   func(group int) error // is told of its process group: GroupStarting before, GroupNone in the end
}

// What Group is told besides a process group.
const (
	GroupNone     = 0
	GroupStarting = -1
)

// Child runs the command. Its process group is the command and whatever that has begun and not put into a group of
// its own; all of it has ended when a term is over.
type Child struct {
	cfg ChildConfig

	once   sync.Once
	ended  chan struct{} // closed when the command has ended by itself and is not started again
	status int           // then: its exit status
}

// NewChild starts nothing.
func NewChild(cfg ChildConfig) *Child {
	if cfg.Group == nil {
		cfg.Group = func(int) error { return nil }
	}
	return &Child{cfg: cfg, ended: make(chan struct{})}
}

// Ended is closed when the command has ended by itself and is not started again. ExitStatus is known then.
func (c *Child) Ended() <-chan struct{} { return c.ended }

// ExitStatus is the command's own: its number, 128 and the signal that ended it, 126 if it could not be executed and
// 127 if it was not found.
func (c *Child) ExitStatus() int { return c.status }

func (c *Child) end(status int) {
	c.once.Do(func() {
		c.status = status
		close(c.ended)
	})
}

// Lead is the work of a term. It returns when nothing of the command's process group is left. When the command has
// ended by itself and is not started again, or cannot be guarded, it returns before the term has ended.
func (c *Child) Lead(ctx context.Context, term election.Term) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		began := time.Now()
		status, err := c.run(ctx, term)
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return nil
		case c.cfg.Restart == RestartNever || c.cfg.Restart == RestartOnFailure && status == 0:
			c.cfg.Logger.Info("the command has ended", "token", term.Token, "status", status)
			c.end(status)
			return nil
		}
		if time.Since(began) >= ranLong {
			pause = firstPause
		}
		c.cfg.Logger.Warn("the command has ended; starting it again", "token", term.Token, "status", status, "after", pause.String())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// run runs the command once, to its end or that of the term. The error says why it was not run, or why it was
// killed though nobody had asked.
func (c *Child) run(ctx context.Context, term election.Term) (status int, err error) {
	if err := c.cfg.Group(GroupStarting); err != nil {
		return 0, fmt.Errorf("note the command: %w", err) // a successor could not know whether it still runs
	}
	p, err := process.Start(process.Spec{
		Argv: c.cfg.Argv, Env: c.environment(term), Stdin: c.cfg.Stdin, Stdout: c.cfg.Stdout, Stderr: c.cfg.Stderr,
	})
	if err != nil {
		_ = c.cfg.Group(GroupNone) // what is noted instead costs a successor a TTL
		if status, ok := notStarted(err); ok {
			return status, nil
		}
		return 0, fmt.Errorf("start the command: %w", err)
	}
	c.cfg.Logger.Info("the command is started", "token", term.Token, "pid", p.Group())
	noted := c.cfg.Group(p.Group())
	guard, guardErr := startGuard(c.cfg, p.Group())
	if err = errors.Join(noted, guardErr); err == nil {
		err = c.attend(ctx, p, guard)
	}
	grace := c.cfg.Grace
	if err != nil {
		grace = 0
	}
	p.End(c.cfg.Stop, grace)
	guard.dismiss()
	if noted := c.cfg.Group(GroupNone); noted != nil {
		c.cfg.Logger.Warn("the command's end is not noted; after a crash the next start would wait for the lease", "err", noted)
	}
	return p.Status(), err
}

// notStarted is the exit status of a command that could not be started because of itself.
func notStarted(err error) (status int, ok bool) {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return 127, true
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.ENOEXEC):
		return 126, true
	}
	return 0, false
}

// attend passes signals on and keeps the guard informed, until the command or the term has ended, or the guard has.
func (c *Child) attend(ctx context.Context, p *process.Process, guard *guard) error {
	look := time.NewTicker(guardEvery)
	defer look.Stop()
	for {
		if err := guard.until(c.cfg.WorkEnd()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.Exited():
			return nil
		case <-guard.gone:
			return errors.New("the process that guards the command has ended, so the command is killed")
		case s := <-c.cfg.Signals:
			if s, ok := s.(syscall.Signal); ok {
				p.Signal(s)
			}
		case <-look.C:
		}
	}
}

// guardEvery is how often the guard is told of the lease's end. Renewals move it every third of a TTL.
const guardEvery = 100 * time.Millisecond

func (c *Child) environment(term election.Term) []string {
	return append(append([]string(nil), c.cfg.Env...),
		"ELECTOR_TERM_TOKEN="+strconv.FormatInt(term.Token, 10),
		"ELECTOR_TERM_KEY="+term.Key,
		"ELECTOR_TERM_IDENTITY="+term.Identity,
		"ELECTOR_TERM_ELECTION="+term.Election)
}
