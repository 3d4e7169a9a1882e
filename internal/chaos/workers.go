package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// The faults of the work beside electors.

// bound reports whether the work of a lane is bound to its elector.
func (l *lane) bound() bool { return l.plan.work != history.Polls }

// commands reports whether the lane's work is a command.
func (l *lane) commands() bool { return l.plan.work == history.Child }

// acting picks a lane whose command acts. Only a leader's does, so the lead is passed on to one that has a command if
// need be, and waited for a while.
func (n *nemesis) acting(ctx context.Context, s step) *lane {
	within, cancel := context.WithTimeout(ctx, 3*n.ttl)
	defer cancel()
	if l, _ := n.fleet.leader(); l != nil && !l.commands() {
		if to := n.aim(step{pick: s.pick}, (*lane).commands); to != nil {
			n.pass(ctx, l, to)
		}
	}
	for {
		if l := n.aim(s, func(l *lane) bool { return l.commands() && l.command.Load() != nil }); l != nil {
			return l
		}
		if !pause(within, 20*time.Millisecond) {
			return n.aim(s, (*lane).commands)
		}
	}
}

// at claims a lane and does a fault of one instant to its work, then rests. effective is what do reports.
func (n *nemesis) at(ctx context.Context, s step, l *lane, kind string, do func() (effective bool, err error)) error {
	free, err := n.claims.claim(ctx, processOf(l.elector))
	if err != nil {
		return err
	}
	defer free()
	f := n.recorder.begin(kind, l.plan.work, l.elector)
	effective, err := do()
	f.end(err == nil && effective)
	if err == nil {
		pause(ctx, s.lasts)
	}
	return err
}

// workerKill ends the work as kill -9 does. A command that is not started again takes its elector with it, which is
// then started anew.
func (n *nemesis) workerKill(ctx context.Context, s step) error {
	l := n.aim(s, (*lane).bound)
	if l == nil {
		return nil
	}
	return n.at(ctx, s, l, history.WorkerKill, func() (bool, error) {
		if l.plan.work == history.Hold {
			return l.holder.breakOff(), nil
		}
		c := l.command.Load()
		if c == nil || syscall.Kill(-c.PID, syscall.SIGKILL) != nil {
			return false, nil
		}
		if l.plan.restart {
			return true, nil
		}
		l.awaitEnd(ctx, c)
		return true, l.start()
	})
}

// endPatience is how long an elector whose command was killed may take to end: the promises of a short lease, two
// requests to a silent etcd, and streams.
const endPatience = 15 * time.Second

// awaitEnd waits until the elector has ended, or goes on with another command, since the one before had been told to
// stop when it was killed.
func (l *lane) awaitEnd(ctx context.Context, was *actor) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	for !l.process().Ended() {
		if c := l.command.Load(); c != nil && c != was {
			return
		}
		if !pause(ctx, 10*time.Millisecond) {
			return
		}
	}
}

// workerPause has the work stand still for a while.
func (n *nemesis) workerPause(ctx context.Context, s step) error {
	l := n.aim(s, (*lane).bound)
	if l == nil {
		return nil
	}
	return n.hurt(ctx, s, l, history.WorkerPause, func(l *lane) (func() error, error) {
		if l.plan.work == history.Hold {
			l.holder.freeze(s.lasts)
			return func() error { return nil }, nil
		}
		c := l.command.Load()
		if c == nil || syscall.Kill(-c.PID, syscall.SIGSTOP) != nil {
			return nil, errNotUp
		}
		return func() error {
			if l.command.Load() == c {
				_ = syscall.Kill(-c.PID, syscall.SIGCONT)
			}
			return nil
		}, nil
	})
}

// guardKill takes the guard away from a command.
func (n *nemesis) guardKill(ctx context.Context, s step) error {
	l := n.acting(ctx, s)
	if l == nil {
		return nil
	}
	return n.at(ctx, s, l, history.GuardKill, func() (bool, error) {
		pid, err := guardOf(l.process().PID())
		if err != nil || pid == 0 {
			return false, err
		}
		return syscall.Kill(pid, syscall.SIGKILL) == nil, nil
	})
}

// electorFreeze stops an elector, the guard and the command together, which only the register can do something
// about: when they go on, the command may act before it is killed.
func (n *nemesis) electorFreeze(ctx context.Context, s step) error {
	l := n.acting(ctx, s)
	if l == nil {
		return nil
	}
	return n.hurt(ctx, s, l, history.ElectorFreeze, func(l *lane) (func() error, error) {
		p, c := l.process(), l.command.Load()
		guard, err := guardOf(p.PID())
		if err != nil {
			return nil, err
		}
		if c == nil || guard == 0 {
			return nil, errNotUp
		}
		_ = syscall.Kill(-c.PID, syscall.SIGSTOP)
		_ = syscall.Kill(guard, syscall.SIGSTOP)
		stopped := p.Pause()
		return func() error {
			if l.command.Load() == c { // first, so that it has a chance to act
				_ = syscall.Kill(-c.PID, syscall.SIGCONT)
			}
			if again, err := guardOf(p.PID()); err == nil && again == guard {
				_ = syscall.Kill(guard, syscall.SIGCONT)
			}
			return p.Resume()
		}, stopped
	})
}

// guardOf finds the process that guards an elector's command; 0: there is none.
func guardOf(elector int) (int, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", elector))
	if err != nil {
		return 0, err
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return 0, err
		}
		for _, child := range strings.Fields(string(text)) {
			line, err := os.ReadFile("/proc/" + child + "/cmdline")
			if err == nil && strings.Contains(string(line), "\x00guard-command\x00") {
				return strconv.Atoi(child)
			}
		}
	}
	return 0, nil
}

// boundWork is the lanes of the script of the work.
var boundWork = []lanePlan{
	{work: history.Child, manner: slow, restart: true, state: true},
	{work: history.Hold, state: true},
	{work: history.Child, manner: stubborn, state: true},
}

// work does to whoever leads what can be done to work that is bound to an elector: its own end, that of its guard,
// of the elector, and times in which one, the other or all of them stand still.
func (d *director) work(ctx context.Context) error {
	const commands, holds = history.Child, history.Hold
	for _, round := range []struct{ kind, of string }{
		{history.ElectorStop, commands}, {history.ElectorPause, commands}, {history.WorkerKill, holds}, {history.ElectorKill, commands},
		{history.WorkerPause, holds}, {history.GuardKill, commands}, {history.ElectorKill, holds}, {history.WorkerKill, commands},
		{history.ElectorStop, holds}, {history.ElectorFreeze, commands}, {history.PartitionTotal, commands}, {history.ElectorPause, commands},
	} {
		l, token, err := d.leaderWith(ctx, round.of)
		if err != nil {
			return err
		}
		s := step{kind: round.kind, atLeader: true, lasts: d.ttl * 7 / 4}
		switch round.kind {
		case history.WorkerKill, history.ElectorKill, history.ElectorStop:
			s.lasts = d.ttl / 8 // it is back before its lease would have ended
		}
		pause(ctx, d.ttl/4)
		if err := d.do(ctx, s); err != nil {
			return err
		}
		next, t, err := d.after(ctx, round.kind, l, token)
		if err != nil {
			return fmt.Errorf("after %s of %s, which led with token %d: %w", round.kind, l.elector, token, err)
		}
		d.say("%s: %s (%s) led with %d, then %s with %d", round.kind, l.elector, l.plan.work, token, next.elector, t)
	}
	return nil
}

// leaderWith has somebody lead whose work is bound in a way.
func (d *director) leaderWith(ctx context.Context, work string) (l *lane, token int64, err error) {
	for range 2 * len(d.fleet.lanes) {
		if l, token, err = d.leader(ctx); err != nil || l.plan.work == work {
			return l, token, err
		}
		if err := d.handOver(ctx); err != nil {
			return nil, 0, err
		}
	}
	return nil, 0, fmt.Errorf("no elector whose work is a %s comes to lead", work)
}

// after waits for whoever leads after a fault: the same one, if the fault ends nothing.
func (d *director) after(ctx context.Context, kind string, l *lane, token int64) (*lane, int64, error) {
	if l.commands() && (kind == history.WorkerPause || kind == history.WorkerKill && l.plan.restart) {
		return d.leader(ctx)
	}
	return d.successor(ctx, token)
}
