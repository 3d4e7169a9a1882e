package chaos

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// What people do to etcd to keep it in order, and what befalls a store that nobody keeps in order.

const (
	fillers    = 32 // values with which there is something to defragment
	fillerSize = 64 << 10
)

// defragment has one member rewrite its store again and again.
func (n *nemesis) defragment(ctx context.Context, s step) error {
	free, err := n.claims.claim(ctx, quorum)
	if err != nil {
		return err
	}
	defer free()
	member, err := n.anyone(ctx, s)
	if err != nil {
		return err
	}
	f := n.recorder.begin(history.Defragment, s.lasts.Round(time.Millisecond).String(), memberName(member))
	within, cancel := context.WithTimeout(ctx, s.lasts)
	defer cancel()
	for i := range fillers {
		_, err := n.ground.operator.Put(within, "/filler", string(make([]byte, fillerSize+i)))
		if err != nil {
			break
		}
	}
	times := 0
	for within.Err() == nil {
		if _, err := n.ground.operator.Defragment(within, n.ground.etcd.Member(member).Endpoint()); err == nil {
			times++
		}
		pause(within, 50*time.Millisecond)
	}
	f.end(times > 0)
	return n.whole(ctx)
}

// compactStorm compacts after each of many writes, so that no watch finds the revision that it would go on from.
func (n *nemesis) compactStorm(ctx context.Context, s step) error {
	f := n.recorder.begin(history.CompactStorm, s.lasts.Round(time.Millisecond).String(), memberNames(n.ground.members)...)
	within, cancel := context.WithTimeout(ctx, s.lasts)
	defer cancel()
	times := 0
	for within.Err() == nil {
		r, err := n.ground.operator.Put(within, "/filler", "")
		if err == nil {
			_, err = n.ground.operator.Compact(within, r.Header.Revision)
		}
		if err == nil {
			times++
		}
		pause(within, 20*time.Millisecond)
	}
	f.end(times > 1)
	return nil
}

// noSpace raises the alarm that a full store raises: etcd grants no lease and takes no key, but renews and deletes.
func (n *nemesis) noSpace(ctx context.Context, s step) error {
	free, err := n.claims.claim(ctx, quorum)
	if err != nil {
		return err
	}
	defer free()
	member, err := n.etcdLeader(ctx)
	if err != nil {
		return err
	}
	f := n.recorder.begin(history.NoSpace, s.lasts.Round(time.Millisecond).String(), memberNames(n.ground.members)...)
	full := n.alarm(ctx, member)
	lasted := pause(ctx, s.lasts)
	cleared := n.clearAlarms(ctx)
	f.end(full && lasted && cleared == nil)
	return cleared
}

// alarm raises the alarm in the name of a member, and reports whether etcd has refused a write since. Other faults may
// keep the operator from it.
func (n *nemesis) alarm(ctx context.Context, member int) (full bool) {
	ctx, cancel := context.WithTimeout(ctx, operatorPatience)
	defer cancel()
	status, err := n.ground.operator.Status(ctx, n.ground.etcd.Member(member).Endpoint())
	if err != nil {
		return false
	}
	// The library raises none itself.
	etcd := pb.NewMaintenanceClient(n.ground.operator.ActiveConnection())
	_, err = etcd.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: status.Header.MemberId, Alarm: pb.AlarmType_NOSPACE})
	if err != nil {
		return false
	}
	_, err = n.ground.operator.Put(ctx, "/filler", "")
	return errors.Is(err, rpctypes.ErrNoSpace)
}

// clearAlarms disarms all of them, until etcd takes writes again.
func (n *nemesis) clearAlarms(ctx context.Context) error {
	ctx, cancel := mending(ctx)
	defer cancel()
	for {
		err := n.disarm(ctx)
		if err == nil || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

func (n *nemesis) disarm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, operatorPatience)
	defer cancel()
	if _, err := n.ground.operator.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return err
	}
	_, err := n.ground.operator.Put(ctx, "/filler", "")
	return err
}

func (n *nemesis) memberReplace(ctx context.Context, s step) error {
	return n.renew(ctx, s, history.MemberReplace, false)
}

func (n *nemesis) memberLearner(ctx context.Context, s step) error {
	return n.renew(ctx, s, history.MemberLearner, true)
}

// renew replaces a member. It is not cut short by the end of a storm, which wants whole members.
func (n *nemesis) renew(ctx context.Context, s step, kind string, learner bool) error {
	free, err := n.claims.claim(ctx, quorum)
	if err != nil {
		return err
	}
	defer free()
	member, err := n.anyone(ctx, s)
	if err != nil {
		return err
	}
	f := n.recorder.begin(kind, "with nothing", memberName(member))
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err = n.ground.etcd.Replace(whole, member, learner)
	f.end(err == nil)
	return err
}
