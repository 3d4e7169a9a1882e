package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/elector-dev/elector/internal/chaos/havoc"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// The faults of etcd's members.

// follower picks a member that does not lead.
func (n *nemesis) follower(ctx context.Context, s step) (int, error) {
	leader, err := n.etcdLeader(ctx)
	return n.next(leader, s), err
}

// next picks a member that is not the given one, unless there is no other.
func (n *nemesis) next(member int, s step) int {
	others := n.ground.members - 1
	if others == 0 {
		return member
	}
	return (member + 1 + int(s.pick%uint64(others))) % n.ground.members
}

// etcdLeader asks who leads etcd, for so long as an election may take on a busy machine.
func (n *nemesis) etcdLeader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return n.ground.etcd.Leader(ctx)
}

func (n *nemesis) memberPause(ctx context.Context, s step) error {
	return n.weaken(ctx, s, history.MemberPause, n.follower, n.freeze)
}

func (n *nemesis) leaderPause(ctx context.Context, s step) error {
	return n.weaken(ctx, s, history.LeaderPause, n.leading, n.freeze)
}

func (n *nemesis) leading(ctx context.Context, _ step) (int, error) { return n.etcdLeader(ctx) }

// anyone picks the leader in one of two cases, else a follower.
func (n *nemesis) anyone(ctx context.Context, s step) (int, error) {
	if s.atLeader {
		return n.etcdLeader(ctx)
	}
	return n.follower(ctx, s)
}

func (n *nemesis) freeze(_ context.Context, member int) (func() error, error) {
	m := n.ground.etcd.Member(member)
	return m.Resume, m.Pause()
}

func (n *nemesis) memberStarve(ctx context.Context, s step) error {
	return n.weaken(ctx, s, history.MemberStarve, n.anyone, func(ctx context.Context, member int) (func() error, error) {
		return havoc.Starve(ctx, n.ground.etcd.Member(member).PID(), 0.1)
	})
}

func (n *nemesis) memberKill(ctx context.Context, s step) error {
	return n.weaken(ctx, s, history.MemberKill, n.anyone, func(_ context.Context, member int) (func() error, error) {
		m := n.ground.etcd.Member(member)
		return m.Restart, m.Kill()
	})
}

func (n *nemesis) memberIsolate(ctx context.Context, s step) error {
	return n.weaken(ctx, s, history.MemberIsolate, n.anyone, func(_ context.Context, member int) (func() error, error) {
		return n.ground.wires.isolate(member)
	})
}

// weaken breaks one member for the time of a step, mends it and waits until etcd is whole again.
func (n *nemesis) weaken(ctx context.Context, s step, kind string, pick func(context.Context, step) (int, error),
	harm func(context.Context, int) (mend func() error, err error)) error {
	free, err := n.claims.claim(ctx, quorum)
	if err != nil {
		return err
	}
	defer free()
	member, err := pick(ctx, s)
	if err != nil {
		return err
	}
	f := n.recorder.begin(kind, s.lasts.Round(time.Millisecond).String(), memberName(member))
	mend, err := harm(ctx, member)
	if err != nil {
		f.end(false)
		return err
	}
	lasted := pause(ctx, s.lasts)
	err = mend()
	f.end(err == nil && lasted)
	return errors.Join(err, n.whole(ctx))
}

// whole waits until all members follow one leader, so that the next fault does not break the quorum.
func (n *nemesis) whole(ctx context.Context) error {
	ctx, cancel := mending(ctx)
	defer cancel()
	return n.ground.etcd.WaitHealthy(ctx)
}

// leaderDepose freezes etcd's leader, cuts it off from its peers and wakes it, still cut off, when another
// leads. It goes on believing in itself for a moment, and electors can reach it.
func (n *nemesis) leaderDepose(ctx context.Context, s step) error {
	free, err := n.claims.claim(ctx, quorum)
	if err != nil {
		return err
	}
	defer free()
	old, err := n.etcdLeader(ctx)
	if err != nil {
		return err
	}
	f := n.recorder.begin(history.LeaderDepose, "woken among the deposed", memberName(old))
	wait := func() error { pause(ctx, s.lasts); return nil }
	awake := func() error { pause(ctx, n.ttl/2); return nil }
	deposed, err := n.depose(ctx, old, wait, awake)
	f.end(err == nil && deposed)
	return errors.Join(err, n.whole(ctx))
}

// depose is the fault itself. It calls frozen when another member leads and the old leader still stands
// still, and awake when that runs again and is still cut off from its peers.
func (n *nemesis) depose(ctx context.Context, old int, frozen, awake func() error) (deposed bool, err error) {
	m := n.ground.etcd.Member(old)
	if err := m.Pause(); err != nil {
		return false, err
	}
	heal, err := n.ground.wires.isolate(old)
	if err == nil {
		var next int
		if next, err = n.etcdLeader(ctx); err == nil {
			deposed = next != old
			err = frozen()
		}
	}
	err = errors.Join(err, m.Resume())
	if err == nil {
		err = awake()
	}
	if heal != nil {
		err = errors.Join(err, heal())
	}
	return deposed, err
}

// allRestart kills all members and starts them again.
func (n *nemesis) allRestart(ctx context.Context, s step) error {
	free, err := n.claims.claim(ctx, quorum)
	if err != nil {
		return err
	}
	defer free()
	f := n.recorder.begin(history.AllRestart, "all members killed", memberNames(n.ground.members)...)
	for i := range n.ground.members {
		err = errors.Join(err, n.ground.etcd.Member(i).Kill())
	}
	pause(ctx, s.lasts)
	for i := range n.ground.members {
		err = errors.Join(err, n.ground.etcd.Member(i).Restart())
	}
	err = errors.Join(err, n.whole(ctx))
	f.end(err == nil)
	return err
}

// leaderMove has etcd's leader hand over to another member.
func (n *nemesis) leaderMove(ctx context.Context, s step) error {
	free, err := n.claims.claim(ctx, quorum)
	if err != nil {
		return err
	}
	defer free()
	old, err := n.etcdLeader(ctx)
	if err != nil {
		return err
	}
	next := n.next(old, s)
	f := n.recorder.begin(history.LeaderMove, fmt.Sprintf("%s to %s", memberName(old), memberName(next)), memberName(old), memberName(next))
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err = n.ground.etcd.MoveLeader(within, next)
	f.end(err == nil)
	return err
}

// slowDisk stops a member's file system again and again.
func (n *nemesis) slowDisk(ctx context.Context, s step) error {
	return n.weaken(ctx, s, history.SlowDisk, func(context.Context, step) (int, error) { return diskMember, nil },
		func(ctx context.Context, _ int) (func() error, error) { return n.ground.disk.stutter(ctx) })
}
