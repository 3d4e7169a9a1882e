package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/elector-dev/elector/bench/rig"
	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// shape is how many electors stand in how many elections.
type shape struct {
	electors, each int
}

func (s shape) elections() int { return (s.electors + s.each - 1) / s.each }

func (s shape) String() string {
	if s.elections() == 1 {
		return fmt.Sprintf("one election of %d", s.electors)
	}
	return fmt.Sprintf("%d elections of %d", s.elections(), s.each)
}

// pace is how long things last.
type pace struct {
	peace  time.Duration // before the first fault
	freeze time.Duration // of etcd's leader, and the death of a member
	outage time.Duration // of all members: longer than the TTL
	long   time.Duration // of all members, while the electors are started again
	after  time.Duration // is watched after all is well again
	limit  time.Duration // for all to be well again
}

// trial is one fault and what came of it. Instants are on the boot clock.
type trial struct {
	name   string
	began  time.Duration
	mended time.Duration // etcd was whole again, or its processes started; the same as began where nothing was to mend
	well   time.Duration // every election has a leader, and every elector its key
	ended  time.Duration
}

// run is one shape going through all faults.
type run struct {
	shape
	pace
	etcd    *rig.Etcd
	sampler *sampler
	process *proc.Process // the crowd
	trials  []trial
	rss     int64 // of the crowd at peace, bytes
	members int64 // resident, of etcd's members at peace
	failed  error // why it ended before all faults

	mu    sync.Mutex // guards the fields below
	words []word
	news  chan struct{} // closed at the next word
	ears  sync.WaitGroup
}

// goThrough takes a shape through everything.
func goThrough(ctx context.Context, s shape, p pace, fsync bool) (*run, error) {
	e, err := startEtcd(ctx, fsync)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	r := &run{shape: s, pace: p, etcd: e, sampler: &sampler{etcd: e}, news: make(chan struct{})}
	defer r.ears.Wait()
	defer r.killCrowd()
	sampling, stop := context.WithCancel(ctx)
	var sampled sync.WaitGroup
	sampled.Go(func() { r.sampler.run(sampling) })
	defer sampled.Wait()
	defer stop()
	if err := rest(ctx, 2*time.Second); err != nil { // what etcd does alone
		return r, err
	}
	for _, f := range r.faults() {
		fmt.Fprintf(os.Stderr, "%s: %s\n", s, f.name)
		if err := r.try(ctx, f); err != nil {
			r.failed = fmt.Errorf("%s: %w", f.name, err)
			return r, fmt.Errorf("%s: %w", s, r.failed)
		}
	}
	return r, nil
}

func startEtcd(ctx context.Context, fsync bool) (*rig.Etcd, error) {
	c, err := devetcd.StartProcesses(ctx, 3, devetcd.Options{Fsync: fsync})
	if err != nil {
		return nil, err
	}
	client, err := c.NewClient(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &rig.Etcd{Cluster: c, Client: client}, nil
}

// fault is something that is done, until it returns.
type fault struct {
	name string
	do   func(ctx context.Context) error
}

// The names of faults, as they are shown.
const (
	allStart   = "all electors start at once"
	peaceful   = "peace"
	moved      = "etcd's leader moved"
	frozen     = "etcd's leader frozen"
	killed     = "etcd's leader killed"
	outage     = "all of etcd killed"
	crashed    = "all electors killed and started"
	longOutage = "all of etcd killed, all electors started meanwhile"
)

func (r *run) faults() []fault {
	all := []int{0, 1, 2}
	return []fault{
		{allStart, func(context.Context) error { return r.startCrowd() }},
		{peaceful, func(ctx context.Context) error {
			if err := rest(ctx, r.peace); err != nil {
				return err
			}
			if u, err := rig.Usage(r.process.PID()); err == nil {
				r.rss = u.RSS
			}
			for i := range r.etcd.Size() {
				if u, err := rig.Usage(r.etcd.Member(i).PID()); err == nil {
					r.members += u.RSS
				}
			}
			return nil
		}},
		{moved, func(ctx context.Context) error {
			l, err := r.etcd.Leader(ctx)
			if err != nil {
				return err
			}
			return r.etcd.MoveLeader(ctx, (l+1)%3)
		}},
		{frozen, func(ctx context.Context) error {
			l, err := r.etcd.Leader(ctx)
			if err != nil {
				return err
			}
			m := r.etcd.Member(l)
			if err := m.Pause(); err != nil {
				return err
			}
			return errors.Join(rest(ctx, r.freeze), m.Resume())
		}},
		{killed, func(ctx context.Context) error {
			l, err := r.etcd.Leader(ctx)
			if err != nil {
				return err
			}
			return r.without(ctx, []int{l}, func() error { return rest(ctx, r.freeze) })
		}},
		{outage, func(ctx context.Context) error {
			return r.without(ctx, all, func() error { return rest(ctx, r.outage) })
		}},
		{crashed, func(context.Context) error {
			r.killCrowd()
			return r.startCrowd()
		}},
		{longOutage, func(ctx context.Context) error {
			return r.without(ctx, all, func() error {
				if err := rest(ctx, r.long/2); err != nil {
					return err
				}
				r.killCrowd()
				return errors.Join(r.startCrowd(), rest(ctx, r.long/2))
			})
		}},
	}
}

// without kills members, does something, and starts them again.
func (r *run) without(ctx context.Context, members []int, do func() error) error {
	var all sync.WaitGroup
	for _, i := range members {
		all.Go(func() { _ = r.etcd.Member(i).Kill() }) // fails only when it has ended
	}
	all.Wait()
	err := do()
	for _, i := range members {
		err = errors.Join(err, r.etcd.Member(i).Restart())
	}
	return err
}

// try has a fault happen, and waits until all is well again and some time more.
func (r *run) try(ctx context.Context, f fault) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.limit+r.long+r.outage+r.peace, errors.New("not every election has a leader and every elector its key"))
	defer cancel()
	t := trial{name: f.name, began: boottime.Now()}
	if err := f.do(ctx); err != nil {
		return err
	}
	t.mended = boottime.Now()
	w, err := r.await(ctx, func(w word) bool {
		return w.At > t.mended && w.Leaders == r.elections() && w.Registered == r.electors
	})
	if err != nil {
		return err
	}
	t.well = w.At
	err = rest(ctx, r.after)
	t.ended = boottime.Now()
	r.trials = append(r.trials, t)
	if err == nil && r.last().Broken != "" {
		err = fmt.Errorf("a promise was broken: %s", r.last().Broken)
	}
	return err
}

func (r *run) last() word {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.words) == 0 {
		return word{}
	}
	return r.words[len(r.words)-1]
}

// await waits for a word. What the crowd says that was killed before is no such.
func (r *run) await(ctx context.Context, want func(word) bool) (word, error) {
	for {
		r.mu.Lock()
		news := r.news
		r.mu.Unlock()
		w := r.last()
		if want(w) {
			return w, nil
		}
		select {
		case <-news:
		case <-r.process.Done():
			return w, errors.New("the crowd has ended")
		case <-ctx.Done():
			return w, fmt.Errorf("%w: %d of %d have a leader, %d of %d a key", context.Cause(ctx), w.Leaders, r.elections(), w.Registered, r.electors)
		}
	}
}

func (r *run) startCrowd() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, crowdVerb, strconv.Itoa(r.electors), strconv.Itoa(r.each), strings.Join(r.etcd.Endpoints(), ","))
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = in, os.Stderr
	if r.process, err = proc.Start(cmd); err != nil {
		return errors.Join(err, out.Close())
	}
	r.ears.Go(func() { r.listen(out) })
	return nil
}

// killCrowd ends all electors without warning.
func (r *run) killCrowd() {
	if r.process != nil {
		_ = r.process.Kill()
	}
}

func (r *run) listen(out *os.File) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var w word
		if json.Unmarshal(lines.Bytes(), &w) != nil {
			continue // cut short by its death
		}
		r.mu.Lock()
		r.words = append(r.words, w)
		close(r.news)
		r.news = make(chan struct{})
		r.mu.Unlock()
	}
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
