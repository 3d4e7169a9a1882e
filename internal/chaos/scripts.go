package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// The scripts that need more than one fault for each round.

// depose leaves the leading elector with nobody but etcd's leader, and deposes that. When it wakes it
// acknowledges what waited in its socket, though the leases are another's by now: who believes it says yes
// beside the next leader. Whether it does so before it learns better is a race within it, hence the rounds.
func (d *director) depose(ctx context.Context) error {
	return d.alone(ctx, 4, d.deposeRound)
}

// alone repeats a round with whoever leads. Nobody else breaks etcd or that elector's network meanwhile.
func (d *director) alone(ctx context.Context, rounds int, round func(ctx context.Context, l *lane, token int64) error) error {
	for range rounds {
		l, token, err := d.leader(ctx)
		if err != nil {
			return err
		}
		free, err := d.claims.claim(ctx, quorum, networkOf(l.elector))
		if err != nil {
			return err
		}
		err = round(ctx, l, token)
		free()
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *director) deposeRound(ctx context.Context, l *lane, token int64) error {
	old, err := d.etcdLeader(ctx)
	if err != nil {
		return err
	}
	cut := d.recorder.begin(history.PartitionOne, "from all but etcd's leader", append([]string{l.elector}, namesOf(d.ground.others(old))...)...)
	rejoin, err := d.ground.wires.part(l.index, d.ground.others(old), true, true)
	if err != nil {
		return err
	}
	// It may take it a silent connection to find the member that is left. Should it have lost its term over
	// that, then whoever leads now is not the one that is cut off, and the round shows nothing.
	pause(ctx, d.ttl/2)
	_, still := l.leads()
	f := d.recorder.begin(history.LeaderDepose, "the leading elector reaches only this member", memberName(old))
	stale := d.recorder.staleAcks()
	frozen := now().Add(d.ttl * 55 / 100) // long enough for keep-alives to queue, and not for the lease to end
	var next *lane
	var t int64
	deposed, err := d.nemesis.depose(ctx, old, func() error {
		pause(ctx, frozen.Sub(now()))
		return nil
	}, func() (err error) {
		// Healed earlier, the member would take the elector's keep-alives to the new leader.
		next, t, err = d.successor(ctx, token)
		pause(ctx, d.ttl/2) // the fooled one, if there is one, goes on saying yes
		return err
	})
	f.end(err == nil && deposed)
	_, undo := rejoin()
	cut.end(err == nil && undo == nil)
	if err = errors.Join(err, undo, d.whole(ctx)); err != nil {
		return err
	}
	d.say("%s deposed and woken: %s led with %d (until the end: %v), then %s with %d; %d stale acknowledgements",
		memberName(old), l.elector, token, still, next.elector, t, d.recorder.staleAcks()-stale)
	return nil
}

func namesOf(members []int) []string {
	var names []string
	for _, i := range members {
		names = append(names, memberName(i))
	}
	return names
}

// revoke freezes etcd's leader among many leases until it must think that they have run out. When it wakes
// it has them revoked through its successor. The leading elector is cut off by then, so that it cannot be
// told: if its key goes before the time that it counts on, it says yes beside the next leader.
func (d *director) revoke(ctx context.Context) error {
	return d.alone(ctx, 5, d.revokeRound)
}

func (d *director) revokeRound(ctx context.Context, l *lane, token int64) error {
	old, err := d.etcdLeader(ctx)
	if err != nil {
		return err
	}
	f := d.recorder.begin(history.LeaderPause, "among many leases, for longer than they last", memberName(old))
	m := d.ground.etcd.Member(old)
	if err := m.Pause(); err != nil {
		f.end(false)
		return err
	}
	pause(ctx, d.ttl+2*time.Second)
	cut := d.recorder.begin(history.PartitionTotal, "before etcd's old leader wakes", l.elector)
	rejoin, err := d.ground.wires.part(l.index, d.ground.every(), true, true)
	err = errors.Join(err, m.Resume())
	f.end(err == nil)
	next, t, lost := d.successor(ctx, token)
	_, undo := rejoin()
	cut.end(undo == nil)
	if err = errors.Join(err, lost, undo, d.whole(ctx)); err != nil {
		return err
	}
	d.say("%s frozen among %d leases and woken: %s led with %d, then %s with %d", memberName(old), canaryCount, l.elector, token, next.elector, t)
	return nil
}

// slow delays what the leading elector is told, and then cuts it off. Who counts a lease from when the
// reply came counts on more than there is. The delay is less than an elector gives a request (a tenth of
// the TTL), so that renewals go on, and more than a margin and etcd's half second between two looks for
// expired leases. In every third round replies are so late that nothing may count.
func (d *director) slow(ctx context.Context) error {
	for i := range 3 {
		late := d.ttl * 9 / 100
		if i == 2 {
			late = d.ttl * 3 / 4
		}
		err := d.round(ctx, fmt.Sprintf("replies %v late, then none", late), func(l *lane, _ int64) error {
			free, err := d.claims.claim(ctx, networkOf(l.elector))
			if err != nil {
				return err
			}
			defer free()
			f := d.recorder.begin(history.Delay, fmt.Sprintf("replies %v late", late), l.elector)
			restore := d.ground.wires.delay(l.index, 0, late)
			pause(ctx, d.ttl)
			cut := d.recorder.begin(history.PartitionTotal, "while replies are late", l.elector)
			heal, err := d.ground.wires.part(l.index, d.ground.every(), true, true)
			pause(ctx, d.ttl+3*time.Second)
			lost, undo := heal()
			cut.end(lost && undo == nil)
			delayed, slow := restore()
			f.end(delayed && slow == nil)
			return errors.Join(err, undo, slow)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// restore takes etcd back to a snapshot. Some terms pass in between, so that the last one's key is not in it
// and its token is in the future of the restored etcd: who lived through that must not lead again.
func (d *director) restore(ctx context.Context) error {
	path := filepath.Join(d.dir, "snapshot")
	l, token, err := d.leader(ctx)
	if err != nil {
		return err
	}
	saved, err := d.snapshot(ctx, path)
	if err != nil {
		return err
	}
	for token <= saved {
		if err := d.handOver(ctx); err != nil {
			return err
		}
		if l, token, err = d.leader(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(d.writeMuch(ctx), d.goBack(ctx, path, saved, 0)); err != nil {
		return err
	}
	d.say("etcd restored: %s led with %d before", l.elector, token)
	pause(ctx, 3*d.ttl+5*time.Second) // in which nobody may begin a term
	return d.restartAll(ctx)
}

// restoreBumped restores a snapshot of the very term that goes on, with bumped revisions. The keys are those
// that stood before, and later ones have greater tokens than ever. An elector that has seen a later term than
// the snapshot's refuses to lead even so, since it finds an older key before all others.
func (d *director) restoreBumped(ctx context.Context) error {
	for range 2 {
		if err := d.restoreBumpedOnce(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *director) restoreBumpedOnce(ctx context.Context) error {
	if _, _, err := d.leader(ctx); err != nil {
		return err
	}
	path := filepath.Join(d.dir, "snapshot")
	saved, err := d.snapshot(ctx, path)
	if err != nil {
		return err
	}
	l, token, err := d.leader(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(d.writeMuch(ctx), d.goBack(ctx, path, saved, 1_000_000)); err != nil {
		return err
	}
	next, t, err := d.leader(ctx)
	if err != nil {
		return err
	}
	d.say("etcd restored: %s led with %d before, and %s with %d since", l.elector, token, next.elector, t)
	return d.handOver(ctx)
}

// handOver stops whoever leads, as a person would.
func (d *director) handOver(ctx context.Context) error {
	return d.round(ctx, "asked to stop", func(l *lane, _ int64) error {
		return d.replace(ctx, step{lasts: d.ttl / 4}, l, history.ElectorStop, gracefully(ctx))
	})
}

// snapshot saves etcd and returns a revision that the file is known to hold.
func (d *director) snapshot(ctx context.Context, path string) (revision int64, err error) {
	r, err := d.standing(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return r.Header.Revision, d.ground.etcd.Snapshot(ctx, path)
}

// writeMuch puts so many revisions between the snapshot and the restore that the restored etcd does not
// reach the old one's revision before the electors have looked.
func (d *director) writeMuch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for range 300 {
		if _, err := d.ground.operator.Put(ctx, "/filler", ""); err != nil {
			return err
		}
	}
	return nil
}

// goBack is the restore itself. It takes away the keys that are younger than the snapshot.
func (d *director) goBack(ctx context.Context, path string, saved int64, bump uint64) error {
	r, err := d.standing(ctx)
	if err != nil {
		return err
	}
	kind := history.Restore
	if bump > 0 {
		kind = history.RestoreBumped
	}
	f := d.recorder.begin(kind, fmt.Sprintf("bumped by %d", bump), memberNames(d.ground.members)...)
	f.took(slices.DeleteFunc(tokensOf(r), func(token int64) bool { return token <= saved }))
	within, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	err = d.canaries.restoring(func() error { return d.ground.etcd.Restore(within, path, bump) })
	d.keys.rewind()
	if err == nil {
		err = d.ground.reopen(within)
	}
	f.end(err == nil)
	return err
}

// restartAll is what a person does about fenced electors.
func (d *director) restartAll(ctx context.Context) error {
	for _, l := range d.fleet.lanes {
		if err := d.replace(ctx, step{}, l, history.ElectorStop, gracefully(ctx)); err != nil {
			return err
		}
	}
	l, token, err := d.leader(ctx)
	if err == nil {
		d.say("all electors started again: %s leads with %d", l.elector, token)
	}
	return err
}
