package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// fleet is the electors, each a process of its own.
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
	logPath string
	journal *journal
	reports sync.WaitGroup // of the goroutines that tell the journal of ends

	mu      sync.Mutex // guards the fields below; held while a process is started or signalled
	process *proc.Process
	closed  bool
}

// newFleet plans three electors and starts none. Close it.
func newFleet(j *journal, endpoints []string, ttl time.Duration) (*fleet, error) {
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
		e := &elector{
			index: i, name: name, url: "http://" + addr, journal: j,
			logPath: filepath.Join(dir, name+".log"),
			args: []string{
				"serve", "--election", electionName, "--election-namespace", electionNamespace,
				"--id", name, "--ttl", ttl.String(), "--answer-max", answerMax(ttl).String(), "--http", addr,
				"--etcd-endpoints", strings.Join(endpoints, ","),
			},
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
	return e.act(actKill, (*proc.Process).Kill)
}

// freeze stops the elector's process in its tracks.
func (e *elector) freeze() error {
	return e.act(actFreeze, (*proc.Process).Pause)
}

// thaw lets a frozen elector go on.
func (e *elector) thaw() error {
	return e.act(actThaw, (*proc.Process).Resume)
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
	if e.process != nil {
		_ = e.process.Kill()
	}
}
