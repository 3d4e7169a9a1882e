package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/client"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// lane is one place of the fleet: an elector that is started again after it has ended. Methods may be
// called concurrently.
type lane struct {
	*asker
	index      int
	argv       []string
	logs       string   // path of the log without its number
	env        []string // besides the harness's own
	releaseNow bool
	plan       lanePlan
	ttl        time.Duration
	recorder   *recorder
	reports    sync.WaitGroup
	command    atomic.Pointer[actor] // that acts now; nil for none
	holder     *holder               // nil unless its work is to hold
	orders     *client.Client        // nil: it takes none
	alive      string                // file that its check looks for
	refusal    string                // file whose presence vetoes its terms

	mu    sync.Mutex // guards the fields below; held while a process is started
	proc  *proc.Process
	place int // of the process in the record
	count int
}

// start starts the elector unless one runs.
func (l *lane) start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.proc != nil && !l.proc.Ended() {
		return nil
	}
	l.count++
	log, err := os.Create(fmt.Sprintf("%s-%d.log", l.logs, l.count))
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(l.argv[0], l.argv[1:]...)
	cmd.Env = append(plainEnviron(os.Environ()), l.env...)
	cmd.Stdout, cmd.Stderr = log, log
	started := now()
	p, err := proc.Start(cmd)
	if err != nil {
		return fmt.Errorf("start elector %s: %w", l.elector, err)
	}
	place := l.recorder.started(history.Process{
		Elector: l.elector, PID: p.PID(), From: started, ReleaseNow: l.releaseNow, Kind: l.plan.work, Grace: l.plan.grace(l.ttl),
	})
	l.proc, l.place = p, place
	l.reports.Go(func() {
		<-p.Done()
		at := now()
		l.recorder.processChanged(place, func(h *history.Process) { h.To, h.Exit = at, p.Exit() })
	})
	return nil
}

// plainEnviron leaves out what would change an elector's settings: all of them are to be alike.
func plainEnviron(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "ELECTOR_") || strings.HasPrefix(v, "ETCDCTL_") || strings.HasPrefix(v, "POD_")
	})
}

func (l *lane) process() *proc.Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proc
}

// stop asks the elector to end and waits for it.
func (l *lane) stop(ctx context.Context) error {
	l.mu.Lock()
	p, place := l.proc, l.place
	l.mu.Unlock()
	if p.Ended() {
		return nil
	}
	asked := now()
	l.recorder.processChanged(place, func(h *history.Process) { h.Asked = asked })
	return p.Stop(ctx)
}

// lastWords is the last line of the newest process's log.
func (l *lane) lastWords() string {
	l.mu.Lock()
	path := fmt.Sprintf("%s-%d.log", l.logs, l.count)
	l.mu.Unlock()
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// fleet is all lanes.
type fleet struct{ lanes []*lane }

// newFleet plans the electors and starts none. Close it.
func newFleet(o Options, g *ground, r *recorder) (*fleet, error) {
	f := &fleet{}
	for i := range g.plan.electors {
		at, err := g.listenAddress(i)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("w%d", i+1)
		l := &lane{
			asker: newAsker(name, at, o.Kind == Elector, r), index: i, recorder: r, logs: filepath.Join(o.Dir, name),
			releaseNow: o.Kind == Elector && g.plan.releaseNow, env: raceEnv(o), plan: g.plan.lanes[i], ttl: g.plan.ttl,
		}
		if err := l.arrange(o, g, at); err != nil {
			return nil, err
		}
		f.lanes = append(f.lanes, l)
	}
	return f, nil
}

// arrange makes the lane's command line.
func (l *lane) arrange(o Options, g *ground, at string) error {
	args := []string{
		"--election", electionName, "--id", l.elector, "--ttl", g.plan.ttl.String(), "--http", at,
		"--log-format", "json", "--etcd-endpoints", strings.Join(g.wires.endpoints(l.index, g.etcd), ","),
	}
	if o.Kind == Elector {
		args = append(args, "--answer-max", g.plan.answerMax().String(), "--shutdown-release", release(g.plan.releaseNow))
		writes, err := l.writes(o.Dir, at)
		if err != nil {
			return err
		}
		args = append(args, writes...)
	}
	if l.plan.asks {
		asks, err := l.asks(o.Dir)
		if err != nil {
			return err
		}
		args = append(args, asks...)
	}
	args = append(args, g.access()...)
	if l.plan.state {
		args = append(args, "--state-dir", filepath.Join(o.Dir, l.elector+"-state"))
	}
	switch l.plan.work {
	case history.Hold:
		args = append(args, "--require-hold", "--hold-timeout", holdTimeout.String())
	case history.Child:
		self, err := os.Executable()
		if err != nil {
			return err
		}
		again := "never"
		if l.plan.restart {
			again = "always"
		}
		l.env = append(l.env, actEnv+"="+actSocket(o.Dir))
		args = slices.Concat([]string{"run"}, args, []string{"--restart", again, "--", self, l.plan.manner, l.plan.grace(l.ttl).String()})
	}
	l.argv = slices.Concat(g.exec(l.index), []string{o.Program}, args)
	return nil
}

// raceEnv has a program that finds a data race tell of it, go on, and end with a status of its own; and without the second's
// rest that such builds take before they end, for which a key would wait.
func raceEnv(o Options) []string {
	if !o.Race {
		return nil
	}
	return []string{"GORACE=halt_on_error=0 exitcode=66 atexit_sleep_ms=0"}
}

func release(atOnce bool) string {
	if atOnce {
		return "now"
	}
	return "promised"
}

func (f *fleet) start() error {
	for _, l := range f.lanes {
		if err := l.start(); err != nil {
			return err
		}
	}
	return nil
}

// stop asks all electors to end at once and waits for them.
func (f *fleet) stop(ctx context.Context) error {
	errs := make([]error, len(f.lanes))
	var all sync.WaitGroup
	for i, l := range f.lanes {
		all.Go(func() { errs[i] = l.stop(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// close kills what still runs and joins everything.
func (f *fleet) close() {
	for _, l := range f.lanes {
		if p := l.process(); p != nil {
			_ = p.Kill()
		}
		l.reports.Wait()
		l.asker.close()
		if l.orders != nil {
			l.orders.Close()
		}
	}
}

// leader returns who says yes now, by the newest answers; nil for nobody.
func (f *fleet) leader() (*lane, int64) {
	for _, l := range f.lanes {
		if token, ok := l.leads(); ok {
			return l, token
		}
	}
	return nil, 0
}

// awaitLeader waits until one says yes whom the caller wants.
func (f *fleet) awaitLeader(ctx context.Context, patience time.Duration, want func(l *lane, token int64) bool) (*lane, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if l, token := f.leader(); l != nil && (want == nil || want(l, token)) {
			return l, token, nil
		}
		if !pause(ctx, 10*time.Millisecond) {
			return nil, 0, fmt.Errorf("wait for a leader: %w", context.Cause(ctx))
		}
	}
}

// awaitCandidates waits until every elector stands in the queue or leads.
func (f *fleet) awaitCandidates(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, l := range f.lanes {
		for {
			if a := l.last.Load(); a != nil && (a.Registered || a.Yes || a.State == "follower") {
				break
			}
			if p := l.process(); p.ExitCode() > 0 {
				return fmt.Errorf("elector %s has ended with %s: %s", l.elector, p.Exit(), l.lastWords())
			}
			if !pause(ctx, 10*time.Millisecond) {
				return fmt.Errorf("wait for %s to stand in the queue: %w", l.elector, context.Cause(ctx))
			}
		}
	}
	return nil
}
