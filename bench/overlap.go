package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/elector-dev/elector/bench/rig"
	"github.com/elector-dev/elector/internal/chaos/link"
)

// overlap looks for two yes at once: while the leader's packets to and from etcd vanish, and when a frozen leader
// wakes after another has begun.
func (l *lab) overlap(ctx context.Context) error {
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	for i := range l.plan.overlaps {
		for _, k := range kinds {
			for name, hurt := range map[string]func(context.Context, *trial) (time.Duration, error){
				"two yes, black hole": blackHole, "stale yes after a freeze": freeze,
			} {
				took, err := l.overlapOnce(ctx, e, k, fmt.Sprintf("overlap-%s-%d-%s", k, i, name[:3]), hurt)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", name, k, err)
				}
				l.found.Put(name, string(k), rig.Millis(took))
			}
		}
	}
	return nil
}

// trial is a leader behind a link that can be cut, and the next one.
type trial struct {
	link     *link.Link
	a, b     *rig.Member
	toA, toB *rig.Line
}

func (l *lab) overlapOnce(ctx context.Context, e *rig.Etcd, k rig.Kind, election string, hurt func(context.Context, *trial) (time.Duration, error)) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("nobody leads"))
	defer cancel()
	target, err := url.Parse(e.Endpoints()[0])
	if err != nil {
		return 0, err
	}
	cut, err := link.Listen("127.0.0.1", target.Host)
	if err != nil {
		return 0, err
	}
	defer cut.Close()
	const ttl = 3 * second
	t := &trial{link: cut}
	if t.a, err = rig.NewMember(l.programs, k, "member-a", election, []string{"http://" + cut.Addr()}, ttl); err != nil {
		return 0, err
	}
	if t.b, err = rig.NewMember(l.programs, k, "member-b", election, e.Endpoints(), ttl); err != nil {
		return 0, err
	}
	defer t.a.Kill()
	defer t.b.Kill()
	t.toA, t.toB = rig.NewLine(t.a.Addr), rig.NewLine(t.b.Addr)
	defer t.toA.Close()
	defer t.toB.Close()
	if err := t.a.Start(); err != nil {
		return 0, err
	}
	if _, _, err := t.toA.Await(ctx, "/leader", time.Millisecond, rig.Yes); err != nil {
		return 0, err
	}
	if err := t.b.Start(); err != nil {
		return 0, err
	}
	if err := pause(ctx, ttl/2); err != nil { // it stands in the queue, and renewals have been made
		return 0, err
	}
	return hurt(ctx, t)
}

// blackHole returns for how long both said yes.
func blackHole(ctx context.Context, t *trial) (time.Duration, error) {
	t.link.Sever(true, true)
	last := make(chan time.Time, 1)
	go func() {
		var asked time.Time // of the last yes
		_, _, _ = t.toA.Await(ctx, "/leader", time.Millisecond, func(status int, _ []byte) bool {
			if status == 200 {
				asked = time.Now()
			}
			return status != 200
		})
		last <- asked
	}()
	_, came, err := t.toB.Await(ctx, "/leader", time.Millisecond, rig.Yes)
	return max(0, (<-last).Sub(came)), err
}

// freeze returns for how long a leader says yes after it has woken; the questions wait for it. Another leads
// by then.
func freeze(ctx context.Context, t *trial) (time.Duration, error) {
	if err := t.a.Freeze(); err != nil {
		return 0, err
	}
	if _, _, err := t.toB.Await(ctx, "/leader", time.Millisecond, rig.Yes); err != nil {
		return 0, err
	}
	if err := t.a.Thaw(); err != nil {
		return 0, err
	}
	woken, last := time.Now(), time.Duration(0)
	for time.Since(woken) < second/5 {
		if status, _, err := t.toA.Get("/leader"); err == nil && status == 200 {
			last = time.Since(woken)
		}
	}
	return last, nil
}
