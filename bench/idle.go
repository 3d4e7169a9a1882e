package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/elector-dev/elector/bench/rig"
)

// quiet is a process that is watched while nothing happens.
type quiet struct {
	name   string
	member *rig.Member
	before rig.Use
	asked  rig.Asked // of an API server, before
}

// idle measures what processes hold and use in peace, all in the same minute, and beside that what they ask of
// etcd for each renewal and each follower.
func (l *lab) idle(ctx context.Context) error {
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	all, err := l.settle(ctx, e)
	defer func() {
		for _, q := range all {
			q.member.Kill()
		}
	}()
	if err != nil {
		return err
	}
	if err := pause(ctx, min(l.plan.idle/4, normal)); err != nil {
		return err
	}
	for _, q := range all {
		if q.before, err = rig.Usage(q.member.PID()); err != nil {
			return err
		}
		if q.member.Kind == rig.ClientGo {
			if q.asked, err = q.member.Asked(); err != nil {
				return err
			}
		}
	}
	began := time.Now()
	group, inner := errgroup.WithContext(ctx)
	for _, k := range kinds {
		for _, followers := range []int{0, 4} {
			group.Go(func() error { return l.requests(inner, k, followers) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := pause(ctx, l.plan.idle-time.Since(began)); err != nil {
		return err
	}
	minutes := time.Since(began).Minutes()
	for _, q := range all {
		u, err := rig.Usage(q.member.PID())
		if err != nil {
			return err
		}
		l.put("idle RSS MB", q.name, float64(u.RSS)/1e6)
		l.put("idle PSS MB", q.name, float64(u.PSS)/1e6)
		l.put("idle private MB", q.name, float64(u.Private)/1e6)
		l.put("idle anonymous MB", q.name, float64(u.Anonymous)/1e6)
		l.put("idle CPU ms/min", q.name, rig.Millis(u.CPU-q.before.CPU)/minutes)
		l.put("idle switches/min", q.name, float64(u.Switches-q.before.Switches)/minutes)
		l.put("idle threads", q.name, float64(u.Threads))
		if q.member.Kind == rig.ClientGo {
			asked, err := q.member.Asked()
			if err != nil {
				return err
			}
			l.put("API server reads/h", q.name, (asked.Reads-q.asked.Reads)/minutes*60)
			l.put("API server writes/h", q.name, (asked.Writes-q.asked.Writes)/minutes*60)
		}
	}
	return nil
}

// settle starts two processes of each kind and role, each pair in an election of its own.
func (l *lab) settle(ctx context.Context, e *rig.Etcd) (all []*quiet, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("nobody leads"))
	defer cancel()
	add := func(name string, m *rig.Member, err error) error {
		if err == nil {
			err = m.Start()
		}
		if err == nil {
			all = append(all, &quiet{name: name, member: m})
		}
		return err
	}
	for i := range 2 {
		bare, err := rig.NewMember(l.programs, rig.Floor, "bare", "", e.Endpoints(), normal, "--http", "")
		if err := add(string(rig.Floor), bare, err); err != nil {
			return all, err
		}
		server, err := rig.NewMember(l.programs, rig.Floor, "server", "", e.Endpoints(), normal)
		if err := add("floor with a server", server, err); err != nil {
			return all, err
		}
		for _, k := range l.and(rig.Naive, rig.Elector, rig.Elect) {
			for _, role := range []string{"", " follower"} {
				m, err := l.member(k, "member"+role, fmt.Sprintf("idle-%d-%s", i, k[:3]), e)
				if err := add(string(k)+role, m, err); err != nil {
					return all, err
				}
				if role == "" {
					if err := l.leads(ctx, m); err != nil {
						return all, fmt.Errorf("%s: %w", k, err)
					}
				}
			}
		}
	}
	return all, nil
}

// leads waits for a member's yes.
func (l *lab) leads(ctx context.Context, m *rig.Member) error {
	if m.Addr == "" {
		select {
		case <-m.Leads:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	line := rig.NewLine(m.Addr)
	defer line.Close()
	_, _, err := line.Await(ctx, "/leader", 5*time.Millisecond, rig.Yes)
	return err
}

// requests counts what a leader with followers asks of an etcd of its own, at a TTL of three seconds.
func (l *lab) requests(ctx context.Context, k rig.Kind, followers int) error {
	const ttl = 3 * second
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	f, err := rig.NewFleet(ctx, l.programs, k, e, "count", 1+followers, ttl)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pause(ctx, second); err != nil {
		return err
	}
	before, err := e.Count(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, l.plan.window); err != nil {
		return err
	}
	after, err := e.Count(ctx)
	if err != nil {
		return err
	}
	d, ttls := after.Sub(before), time.Since(began).Seconds()/ttl.Seconds()
	at := fmt.Sprintf(" with %d followers", followers)
	l.put("requests per TTL"+at, string(k), d.Requests/ttls)
	l.put("proposals per TTL"+at, string(k), d.Proposals/ttls)
	l.put("revisions per TTL"+at, string(k), float64(d.Revision)/ttls)
	for method, n := range d.By {
		l.put("requests per TTL"+at+", "+method, string(k), n/ttls)
	}
	return nil
}
