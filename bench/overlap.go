package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/elector-dev/elector/bench/rig"
	"github.com/elector-dev/elector/internal/chaos/link"
)

// hurt is something that happens to a leader, and returns for how long it was believed wrongly.
type hurt struct {
	name    string
	members int // of etcd
	ttl     time.Duration
	do      func(context.Context, *trial) (time.Duration, error)
}

var hurts = []hurt{
	{"two yes, black hole", 1, 3 * second, blackHole},
	{"two yes, black hole behind a slow link", 1, 3 * second, slowHole},
	{"two yes, etcd's leader deposed", 3, 5 * second, deposed},
	{"stale yes after a freeze", 1, 3 * second, freeze},
}

// overlap looks for two yes at once: while the leader's packets to and from etcd vanish, where answers of etcd are worth
// less than they say, and when a frozen leader wakes after another has begun.
func (l *lab) overlap(ctx context.Context) error {
	for _, h := range hurts {
		e, err := rig.StartEtcd(ctx, h.members)
		if err != nil {
			return err
		}
		err = l.overlaps(ctx, e, h)
		e.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) overlaps(ctx context.Context, e *rig.Etcd, h hurt) error {
	for i := range l.plan.overlaps {
		for _, k := range kinds {
			took, err := l.overlapOnce(ctx, e, k, fmt.Sprintf("overlap-%s-%d", k, i), h)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", h.name, k, err)
			}
			l.put(h.name, string(k), rig.Millis(took))
		}
	}
	return nil
}

// trial is a leader behind a link that can be cut, and the next one. The link leads to etcd's leader; where etcd has
// other members, the next one is with those.
type trial struct {
	etcd       *rig.Etcd
	etcdLeader int
	ttl        time.Duration
	link       *link.Link
	a, b       *rig.Member
	toA, toB   *rig.Line
	wait       time.Duration // from the start of the next one until something happens
	rest       time.Duration // between questions
}

func (l *lab) overlapOnce(ctx context.Context, e *rig.Etcd, k rig.Kind, election string, h hurt) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("nobody leads"))
	defer cancel()
	if err := e.WaitHealthy(ctx); err != nil {
		return 0, err
	}
	leader, err := e.Leader(ctx)
	if err != nil {
		return 0, err
	}
	others := slices.Delete(slices.Clone(e.Endpoints()), leader, leader+1)
	if len(others) == 0 {
		others = e.Endpoints()
	}
	target, err := url.Parse(e.Endpoints()[leader])
	if err != nil {
		return 0, err
	}
	cut, err := link.Listen("127.0.0.1", target.Host)
	if err != nil {
		return 0, err
	}
	defer cut.Close()
	t := &trial{etcd: e, etcdLeader: leader, ttl: h.ttl, link: cut, wait: h.ttl / 2, rest: time.Millisecond}
	if t.a, err = rig.NewMember(l.programs, k, "member-a", election, []string{"http://" + cut.Addr()}, t.ttl); err != nil {
		return 0, err
	}
	if t.b, err = rig.NewMember(l.programs, k, "member-b", election, others, t.ttl); err != nil {
		return 0, err
	}
	return t.run(ctx, h)
}

// run starts both, the first of which leads, and has it hurt.
func (t *trial) run(ctx context.Context, h hurt) (time.Duration, error) {
	defer t.a.Kill()
	defer t.b.Kill()
	t.toA, t.toB = rig.NewLine(t.a.Addr), rig.NewLine(t.b.Addr)
	defer t.toA.Close()
	defer t.toB.Close()
	if err := t.a.Start(); err != nil {
		return 0, err
	}
	if _, _, err := t.toA.Await(ctx, "/leader", t.rest, rig.Yes); err != nil {
		return 0, err
	}
	if err := t.b.Start(); err != nil {
		return 0, err
	}
	if err := pause(ctx, t.wait); err != nil { // it stands in the queue, and renewals have been made
		return 0, err
	}
	return h.do(ctx, t)
}

// slowHole is a black hole after a time in which all took a quarter of a second each way, so that an answer is old when it comes.
func slowHole(ctx context.Context, t *trial) (time.Duration, error) {
	t.link.Delay(second/4, second/4)
	if err := pause(ctx, 2*t.ttl); err != nil {
		return 0, err
	}
	return blackHole(ctx, t)
}

// deposed freezes etcd's leader, by which the elected one renews, until another leads etcd and has begun the lease's time
// anew, and lets it go on shortly before the elected one gives up: it may acknowledge a renewal before it hears that it is
// deposed. Then the elected one's packets vanish.
func deposed(ctx context.Context, t *trial) (time.Duration, error) {
	m := t.etcd.Member(t.etcdLeader)
	if err := m.Pause(); err != nil {
		return 0, err
	}
	giveUp := time.After(t.ttl - t.ttl/3 - second/10) // the latest renewal may be so old
	if _, err := t.etcd.Leader(ctx); err != nil {
		return 0, errors.Join(err, m.Resume())
	}
	<-giveUp
	if err := m.Resume(); err != nil {
		return 0, err
	}
	if err := pause(ctx, second/10); err != nil { // what was asked of it is answered
		return 0, err
	}
	return blackHole(ctx, t)
}

// blackHole returns for how long both said yes.
func blackHole(ctx context.Context, t *trial) (time.Duration, error) {
	t.link.Sever(true, true)
	last := make(chan time.Time, 1)
	go func() {
		var asked time.Time // of the last yes
		_, _, _ = t.toA.Await(ctx, "/leader", t.rest, func(status int, _ []byte) bool {
			if status == 200 {
				asked = time.Now()
			}
			return status != 200
		})
		last <- asked
	}()
	_, came, err := t.toB.Await(ctx, "/leader", t.rest, rig.Yes)
	return max(0, (<-last).Sub(came)), err
}

// freeze returns for how long a leader says yes after it has woken; the questions wait for it. Another leads
// by then.
func freeze(ctx context.Context, t *trial) (time.Duration, error) {
	if err := t.a.Freeze(); err != nil {
		return 0, err
	}
	if _, _, err := t.toB.Await(ctx, "/leader", t.rest, rig.Yes); err != nil {
		return 0, err
	}
	if err := t.a.Thaw(); err != nil {
		return 0, err
	}
	woken, last := time.Now(), time.Duration(0)
	for time.Since(woken) < last+second/5 {
		if status, _, err := t.toA.Get("/leader"); err == nil && status == 200 {
			last = time.Since(woken)
			if err := pause(ctx, t.rest/10); err != nil {
				return 0, err
			}
		}
	}
	return last, nil
}
