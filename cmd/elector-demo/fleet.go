package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

const (
	electionName      = "demo"
	electionNamespace = "default"
)

var names = []string{"red", "green", "blue"}

// target is what something can be done to: an elector or a member of etcd.
type target interface {
	label() string
	stop() error // with SIGTERM
	kill() error // with SIGKILL
	freeze() error
	thaw() error
	frozen() bool
	start() error // again, if it has ended
	cut(is bool) error
	isCut() bool
}

// fleet is the electors, each a process of its own with a worker beside it.
type fleet struct {
	electors []*elector
	dir      string // of their logs
}

// elector is one of them. Its methods are safe for concurrent use.
type elector struct {
	index   int
	name    string
	url     string
	args    []string
	holds   []string // command line of a worker that holds; empty: the elector runs its worker itself
	logPath string
	journal *journal
	ground  *ground
	reports sync.WaitGroup // of the goroutines that tell the journal of ends

	mu      sync.Mutex // guards the fields below; held while a process is started or signalled
	process *proc.Process
	worker  *proc.Process // that holds
	off     bool          // cut off from etcd
	closed  bool
}

func (e *elector) label() string { return e.name }

// newFleet plans three electors and starts none. The last one runs its worker itself, at the others theirs hold. Close it.
func newFleet(j *journal, g *ground, counter string, ttl time.Duration) (*fleet, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "elector-demo-")
	if err != nil {
		return nil, err
	}
	f := &fleet{dir: dir}
	for i, name := range names {
		addr, err := devetcd.FreeAddress("127.0.0.1")
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		e := &elector{index: i, name: name, url: "http://" + addr, journal: j, ground: g, logPath: filepath.Join(dir, name+".log")}
		e.args = []string{
			"serve", "--election", electionName, "--election-namespace", electionNamespace,
			"--id", name, "--ttl", ttl.String(), "--answer-max", answerMax(ttl).String(), "--http", addr,
			"--etcd-endpoints", strings.Join(g.endpoints(i), ","),
		}
		if i == len(names)-1 {
			e.args[0] = "run"
			e.args = append(append(e.args, "--restart", "always", "--stop-grace", "200ms", "--"), supervisedWorker(exe, name, counter)...)
		} else {
			e.holds = holdingWorker(exe, name, counter, e.url).Args
		}
		f.electors = append(f.electors, e)
		j.introduce(i, name, e.url)
	}
	return f, nil
}

// answerMax is the longest promise that fits well into a short lease; 2s is the elector's default.
func answerMax(ttl time.Duration) time.Duration { return min(2*time.Second, ttl/2) }

func (f *fleet) startAll() error {
	for _, e := range f.electors {
		if err := e.start(); err != nil {
			return err
		}
		if err := e.startWorker(); err != nil {
			return err
		}
	}
	return nil
}

// startWorker starts the worker that holds at this elector; it stays when the elector goes.
func (e *elector) startWorker() (err error) {
	if len(e.holds) == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	cmd := exec.Command(e.holds[0], e.holds[1:]...)
	cmd.Env = childEnviron(os.Environ())
	if e.worker, err = proc.Start(cmd); err != nil {
		return fmt.Errorf("start the worker of %s: %w", e.name, err)
	}
	return nil
}

// close ends all electors at once, which is no way to treat one that leads, and joins everything.
func (f *fleet) close() {
	for _, e := range f.electors {
		e.end()
	}
	for _, e := range f.electors {
		e.reports.Wait()
	}
	_ = os.RemoveAll(f.dir)
}

// start starts the elector's process if none runs.
func (e *elector) start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.process != nil && !e.process.Ended() {
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(e.logPath, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := childCommand(exe, e.args)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := proc.Start(cmd)
	if err != nil {
		return fmt.Errorf("start elector %s: %w", e.name, err)
	}
	e.process = p
	e.journal.started(e.index, p.PID())
	e.reports.Go(func() {
		<-p.Done()
		e.journal.ended(e.index, p.PID(), p.Exit(), e.lastWords(p))
	})
	return nil
}

// lastWords is the last line of an elector's log if it failed.
func (e *elector) lastWords(p *proc.Process) string {
	if p.ExitCode() <= 0 {
		return ""
	}
	text, err := os.ReadFile(e.logPath)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// stop asks the elector to end as an operator would; it goes on until its promises have run out.
func (e *elector) stop() error {
	return e.act(actStop, (*proc.Process).Terminate)
}

// kill ends the elector without warning.
func (e *elector) kill() error {
	return e.act(actKill, func(p *proc.Process) error {
		if e.worker != nil && e.worker.Paused() {
			if err := e.worker.Resume(); err != nil {
				return err
			}
		}
		return p.Kill()
	})
}

// freeze stops the elector's process in its tracks, and with it a worker that holds, as a host that stands still does.
func (e *elector) freeze() error {
	return e.act(actFreeze, func(p *proc.Process) error {
		if e.worker != nil {
			if err := e.worker.Pause(); err != nil {
				return err
			}
		}
		return p.Pause()
	})
}

// thaw lets a frozen elector and its worker go on.
func (e *elector) thaw() error {
	return e.act(actThaw, func(p *proc.Process) error {
		if e.worker != nil {
			if err := e.worker.Resume(); err != nil {
				return err
			}
		}
		return p.Resume()
	})
}

// cut has nothing pass between the elector and etcd, or heals that.
func (e *elector) cut(is bool) error {
	what := actCut
	if !is {
		what = actHeal
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.off != is && !e.closed {
		e.off = is
		e.journal.acted(e.index, what)
		e.ground.cut(e.index, is)
	}
	return nil
}

func (e *elector) isCut() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.off
}

// frozen reports whether freeze was the last of freeze and thaw.
func (e *elector) frozen() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.process.Paused()
}

// act tells the journal first, so that what follows has a reason there. An elector that has ended is
// left alone.
func (e *elector) act(what action, do func(*proc.Process) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.process.Ended() {
		return nil
	}
	e.journal.acted(e.index, what)
	if err := do(e.process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// wait blocks until the elector's process has ended.
func (e *elector) wait(ctx context.Context) error {
	e.mu.Lock()
	p := e.process
	e.mu.Unlock()
	select {
	case <-p.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *elector) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, p := range []*proc.Process{e.worker, e.process} {
		if p != nil {
			_ = p.Kill()
		}
	}
}
