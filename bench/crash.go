package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/elector-dev/elector/bench/rig"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// crash kills leaders, of all TTLs and peers at the same time, since nearly all of it is waiting.
func (l *lab) crash(ctx context.Context) error {
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	type run struct {
		f   *rig.Fleet
		ttl time.Duration
	}
	var runs []run
	for _, ttl := range l.plan.ttls {
		for _, k := range kinds {
			f, err := rig.NewFleet(ctx, l.programs, k, e, fmt.Sprintf("crash-%s-%v", k, ttl), 2, ttl, "--answer-max", "1s")
			if err != nil {
				return err
			}
			defer f.Close()
			runs = append(runs, run{f, ttl})
		}
	}
	for range l.plan.crashes {
		group, ctx := errgroup.WithContext(ctx)
		type outcome struct{ killed, late time.Duration }
		outcomes := make([]outcome, len(runs))
		for i, r := range runs {
			group.Go(func() (err error) {
				outcomes[i].killed, outcomes[i].late, err = killLeader(ctx, e, r.f)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for i, r := range runs {
			l.put(fmt.Sprintf("crash %v", r.ttl), string(r.f.Kind), rig.Millis(outcomes[i].killed))
			if outcomes[i].late == unknown {
				continue
			}
			l.put("crash beyond the lease", string(r.f.Kind), rig.Millis(outcomes[i].late))
			l.put(fmt.Sprintf("crash %v beyond the lease", r.ttl), string(r.f.Kind), rig.Millis(outcomes[i].late))
		}
	}
	return nil
}

// killLeader returns the time from kill -9 to the next one's first yes, and from the end of the dead one's lease:
// its last renewal, as etcd received it, and the TTL.
func killLeader(ctx context.Context, e *rig.Etcd, f *rig.Fleet) (killed, late time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("nobody leads"))
	defer cancel()
	leader, err := f.Leader(ctx)
	if err != nil {
		return 0, 0, err
	}
	order, err := f.Queue(ctx)
	if err != nil {
		return 0, 0, err
	}
	keys, err := e.Client.Get(ctx, leader.Prefix(), clientv3.WithFirstCreate()...)
	if err != nil {
		return 0, 0, err
	}
	next := rig.NewLine(order[1].Addr)
	defer next.Close()
	leader.Kill()
	at := time.Now()
	ends := make(chan time.Time, 1)
	go func() { ends <- leaseEnd(ctx, e, clientv3.LeaseID(keys.Kvs[0].Lease)) }()
	_, came, err := next.Await(ctx, "/leader", 4*time.Millisecond, rig.Yes)
	if err != nil {
		return 0, 0, err
	}
	killed, late = came.Sub(at), unknown
	if end := <-ends; !end.IsZero() {
		late = came.Sub(end)
	}
	return killed, late, leader.Start()
}

// unknown stands for when a lease would have ended that had less than a second left when its holder was killed.
const unknown = time.Duration(math.MinInt64)

// leaseEnd is when a lease that nobody renews will have run for its TTL. etcd tells whole seconds, so the instant at
// which it tells another number is waited for.
func leaseEnd(ctx context.Context, e *rig.Etcd, id clientv3.LeaseID) time.Time {
	for last := int64(-1); ; {
		r, err := e.Client.TimeToLive(ctx, id)
		if err != nil || r.TTL < 0 {
			return time.Time{}
		}
		if last >= 0 && r.TTL != last {
			return time.Now().Add(time.Duration(last) * time.Second)
		}
		last = r.TTL
		if pause(ctx, 5*time.Millisecond) != nil {
			return time.Time{}
		}
	}
}

// start measures from the start of a process to its first yes, in an election of its own.
func (l *lab) start(ctx context.Context) error {
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	for i := range l.plan.starts {
		for _, k := range l.and(rig.Naive, rig.Elector, rig.Elect) {
			m, err := l.member(k, "a", fmt.Sprintf("start-%d-%s", i, k[:3]), e)
			if err != nil {
				return err
			}
			took, err := firstYes(ctx, m)
			m.Kill()
			if err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
			l.put("start", string(k), rig.Millis(took))
		}
	}
	return nil
}

func firstYes(ctx context.Context, m *rig.Member) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("it does not lead"))
	defer cancel()
	began := time.Now()
	if err := m.Start(); err != nil {
		return 0, err
	}
	if m.Addr == "" {
		select {
		case at := <-m.Leads:
			return at.Sub(began), nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	line := rig.NewLine(m.Addr)
	defer line.Close()
	_, came, err := line.Await(ctx, "/leader", 300*time.Microsecond, rig.Yes)
	return came.Sub(began), err
}

// holdVerb has this program be a worker that holds.
const holdVerb = "hold"

// hold keeps POST /hold open until it is killed, and says on standard output when it has begun.
func hold(addr string) int {
	line := rig.NewLine(addr)
	fmt.Println("holding")
	_, _, err := line.Stream("POST /hold HTTP/1.1\r\nHost: localhost\r\nElector-Request: 1\r\nContent-Length: 0\r\n\r\n")
	fmt.Fprintln(os.Stderr, "hold:", err)
	return 1
}

// workerDeath kills workers: one that holds, and one that is elector's child.
func (l *lab) workerDeath(ctx context.Context) error {
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	for i := range l.plan.deaths {
		for name, die := range map[string]func(context.Context, *rig.Etcd, string) (time.Duration, error){
			"worker with a hold": l.holderDies, "worker as a child": l.childDies,
		} {
			took, err := die(ctx, e, fmt.Sprintf("%s-%d", strings.ReplaceAll(name, " ", "-"), i))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			l.put(name, string(rig.Elector), rig.Millis(took))
		}
	}
	return nil
}

// two starts two electors, the first of which leads, and hands them to die.
func (l *lab) two(ctx context.Context, e *rig.Etcd, election string, prepare func(*rig.Member) error, extra ...string) (a, b *rig.Member, err error) {
	for i, m := range []**rig.Member{&a, &b} {
		if *m, err = rig.NewMember(l.programs, rig.Elector, fmt.Sprint("member-", i), election, e.Endpoints(), normal, extra...); err != nil {
			return a, b, err
		}
		if err = prepare(*m); err != nil {
			return a, b, err
		}
		line := rig.NewLine((*m).Addr)
		path := []string{"/readyz?role=leader", "/follower"}[i] // neither is a promise, which would be waited for
		_, _, err = line.Await(ctx, path, 3*time.Millisecond, rig.Yes)
		line.Close()
		if err != nil {
			return a, b, err
		}
	}
	return a, b, nil
}

func (l *lab) holderDies(ctx context.Context, e *rig.Etcd, election string) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("nobody leads"))
	defer cancel()
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	var workers []*proc.Process
	defer func() {
		for _, w := range workers {
			_ = w.Kill()
		}
	}()
	a, b, err := l.two(ctx, e, election, func(m *rig.Member) error {
		if err := m.Start(); err != nil {
			return err
		}
		line := rig.NewLine(m.Addr)
		defer line.Close()
		if _, _, err := line.Await(ctx, "/livez", 3*time.Millisecond, rig.Yes); err != nil {
			return err
		}
		w, err := proc.Start(exec.Command(exe, holdVerb, m.Addr))
		workers = append(workers, w)
		return err
	}, "--require-hold")
	if a != nil {
		defer a.Kill()
	}
	if b != nil {
		defer b.Kill()
	}
	if err != nil {
		return 0, err
	}
	return dies(ctx, b, workers[0].PID())
}

func (l *lab) childDies(ctx context.Context, e *rig.Etcd, election string) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("nobody leads"))
	defer cancel()
	file := filepath.Join(l.programs.Dir, election)
	a, b, err := l.two(ctx, e, election, func(m *rig.Member) error {
		m.Command = []string{"sh", "-c", "echo $$ >>" + file + "; exec sleep 600"}
		return m.Start()
	})
	if a != nil {
		defer a.Kill()
	}
	if b != nil {
		defer b.Kill()
	}
	if err != nil {
		return 0, err
	}
	for {
		text, err := os.ReadFile(file)
		if pid, bad := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && bad == nil {
			return dies(ctx, b, pid)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// dies kills a worker and returns the time until the next elector's first yes.
func dies(ctx context.Context, next *rig.Member, pid int) (time.Duration, error) {
	line := rig.NewLine(next.Addr)
	defer line.Close()
	worker, err := os.FindProcess(pid)
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, time.Second/2); err != nil { // what starting costs is behind
		return 0, err
	}
	at := time.Now()
	if err := worker.Kill(); err != nil {
		return 0, err
	}
	_, came, err := line.Await(ctx, "/leader", 300*time.Microsecond, rig.Yes)
	return came.Sub(at), err
}
