package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/elector-dev/elector/bench/rig"
	"github.com/elector-dev/elector/internal/chaos/link"
)

// The times of client-go's known users, which its program has by itself.
const (
	leaseDuration = 15 * second
	retryPeriod   = 2 * second
	longestLook   = retryPeriod * 22 / 10 // of those that wait: the library adds up to 1.2 of it
)

// lease makes a candidate of client-go's; its Lease is removed at the end of the run.
func (l *lab) lease(id, election string, extra ...string) (*rig.Member, error) {
	m, err := rig.NewMember(l.programs, rig.ClientGo, id, election, nil, leaseDuration, extra...)
	if l.leases == nil {
		l.leases = map[string]*rig.Member{}
	}
	if err == nil {
		l.leases[m.Election] = m
	}
	return m, err
}

// member makes a candidate of any kind.
func (l *lab) member(k rig.Kind, id, election string, e *rig.Etcd) (*rig.Member, error) {
	if k == rig.ClientGo {
		return l.lease(id, election)
	}
	return rig.NewMember(l.programs, k, id, election, e.Endpoints(), normal)
}

// and adds client-go to others where it can be measured.
func (l *lab) and(others ...rig.Kind) []rig.Kind {
	if l.programs.Kubeconfig == "" {
		return others
	}
	return append(others, rig.ClientGo)
}

// forget removes all Leases: the API server may be one that has other things to do.
func (l *lab) forget(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the API server takes too long"))
	defer cancel()
	var err error
	for _, m := range l.leases {
		err = errors.Join(err, m.Forget(ctx))
	}
	return err
}

// clientGo measures what client-go does when a leader ends, is killed, cut off or frozen. What it uses in peace is measured
// with that of all others.
func (l *lab) clientGo(ctx context.Context) error {
	if l.programs.Kubeconfig == "" {
		return nil
	}
	if err := l.releases(ctx); err != nil {
		return fmt.Errorf("handover: %w", err)
	}
	return l.losses(ctx)
}

// releases measures planned handovers among as many as in the smallest fleets of the others. Each begins at any time between
// two looks of those that wait.
func (l *lab) releases(ctx context.Context) error {
	waiting := l.plan.waiting[0]
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(l.plan.releases)*10*second, errors.New("nobody leads"))
	defer cancel()
	var all []*rig.Member // the leader first
	defer func() {
		for _, m := range all {
			m.Kill()
		}
	}()
	for i := range waiting + 1 {
		m, err := l.lease(fmt.Sprint("member-", i), "handover")
		if err == nil {
			err = m.Start()
		}
		if err != nil {
			return err
		}
		all = append(all, m)
		if i == 0 {
			if err := l.leads(ctx, m); err != nil {
				return err
			}
		}
	}
	for range l.plan.releases {
		took, next, err := release(ctx, all)
		if err != nil {
			return err
		}
		l.put(fmt.Sprintf("handover %d", waiting), string(rig.ClientGo), rig.Millis(took))
		if err := all[0].Start(); err != nil {
			return err
		}
		all[0], all[next] = all[next], all[0]
	}
	return nil
}

// release asks the first one, which leads, to end, and returns the time from its first no to another one's first yes, and
// whose that is.
func release(ctx context.Context, all []*rig.Member) (took time.Duration, next int, err error) {
	lines := make([]*rig.Line, len(all))
	for i, m := range all {
		lines[i] = rig.NewLine(m.Addr)
		defer lines[i].Close()
		if i == 0 {
			continue
		}
		if _, _, err := lines[i].Await(ctx, "/leader", 5*time.Millisecond, rig.Follows); err != nil {
			return 0, 0, err
		}
	}
	if err := pause(ctx, rand.N(longestLook)); err != nil {
		return 0, 0, err
	}
	asking, enough := context.WithCancel(ctx)
	defer enough()
	type answer struct {
		from int
		came time.Time
		err  error
	}
	no, yes := make(chan time.Time, 1), make(chan answer, len(all))
	go func() { _, came, _ := lines[0].Await(ctx, "/leader", 200*time.Microsecond, rig.No); no <- came }()
	var asked sync.WaitGroup
	for i, line := range lines[1:] {
		asked.Go(func() {
			_, came, err := line.Await(asking, "/leader", time.Millisecond, rig.Yes)
			yes <- answer{i + 1, came, err}
		})
	}
	if err := all[0].Terminate(); err != nil {
		return 0, 0, err
	}
	first, from := <-yes, <-no
	enough()
	asked.Wait()
	if first.err == nil {
		first.err = all[0].Stop(ctx)
	}
	return first.came.Sub(from), first.from, first.err
}

// killed returns the time from the leader's death to the next one's first yes.
func killed(ctx context.Context, t *trial) (time.Duration, error) {
	t.a.Kill()
	at := time.Now()
	_, came, err := t.toB.Await(ctx, "/leader", t.rest, rig.Yes)
	return came.Sub(at), err
}

// byIsLeader is the name of client-go where it answers by its IsLeader and not by its callbacks.
const byIsLeader = "client-go by IsLeader"

// losses takes the lead from leaders, all at the same time, since nearly all of it is waiting.
func (l *lab) losses(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("nobody leads"))
	defer cancel()
	type loss struct {
		hurt
		who   string
		trial *trial
		took  time.Duration
	}
	var all []*loss
	for _, kind := range []struct {
		name  string
		do    func(context.Context, *trial) (time.Duration, error)
		who   string
		extra []string
	}{
		{"crash", killed, string(rig.ClientGo), nil},
		{"two yes, black hole", blackHole, string(rig.ClientGo), nil},
		{"stale yes after a freeze", freeze, string(rig.ClientGo), nil},
		{"stale yes after a freeze", freeze, byIsLeader, []string{"--is-leader"}},
	} {
		for range l.plan.losses {
			t, err := l.underLease(fmt.Sprintf("loss-%d", len(all)), kind.extra...)
			if err != nil {
				return err
			}
			defer t.link.Close()
			all = append(all, &loss{hurt: hurt{name: kind.name, do: kind.do}, who: kind.who, trial: t})
		}
	}
	var group errgroup.Group
	for _, one := range all {
		group.Go(func() (err error) {
			if one.took, err = one.trial.run(ctx, one.hurt); err != nil {
				return fmt.Errorf("%s, %s: %w", one.name, one.who, err)
			}
			return nil
		})
	}
	err := group.Wait()
	for _, one := range all {
		if err == nil {
			l.put(one.name, one.who, rig.Millis(one.took))
		}
	}
	return err
}

// underLease is a trial of client-go's, in which nothing has been started. The leader is hurt at any time between two
// renewals, and between two looks of the next one.
func (l *lab) underLease(election string, extra ...string) (*trial, error) {
	api, err := rig.APIServerOf(l.programs.Kubeconfig)
	if err != nil {
		return nil, err
	}
	t := &trial{ttl: leaseDuration, wait: 2*retryPeriod + rand.N(longestLook), rest: 10 * time.Millisecond}
	if t.link, err = link.Listen("127.0.0.1", api.Host); err != nil {
		return nil, err
	}
	through := []string{"--server", api.Scheme + "://" + t.link.Addr(), "--tls-server-name", api.Hostname()}
	if t.a, err = l.lease("member-a", election, append(through, extra...)...); err == nil {
		t.b, err = l.lease("member-b", election, extra...)
	}
	if err != nil {
		return nil, errors.Join(err, t.link.Close())
	}
	return t, nil
}
