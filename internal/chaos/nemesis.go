package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// nemesis breaks things and mends them. Its faults may run concurrently: each claims what it breaks.
type nemesis struct {
	ground   *ground
	fleet    *fleet
	recorder *recorder
	keys     *keyLog
	canaries *canaries
	ttl      time.Duration
	dir      string // for snapshots
	say      func(format string, args ...any)
	claims   *claims
}

// claims keep two faults from breaking one thing, where each would undo the other's work.
type claims struct {
	mu    sync.Mutex // guards the fields below
	taken map[string]bool
	freed chan struct{} // closed and replaced when something is freed
}

func newClaims() *claims { return &claims{taken: map[string]bool{}, freed: make(chan struct{})} }

// quorum is claimed by whatever weakens etcd as a whole: one at a time, so that a majority stays.
const quorum = "quorum"

func processOf(lane string) string { return "process " + lane }
func networkOf(lane string) string { return "network " + lane }

// claim waits until nobody else has any of the things, and takes them all.
func (c *claims) claim(ctx context.Context, things ...string) (free func(), err error) {
	for {
		c.mu.Lock()
		if !slices.ContainsFunc(things, func(t string) bool { return c.taken[t] }) {
			for _, t := range things {
				c.taken[t] = true
			}
			c.mu.Unlock()
			return func() { c.free(things) }, nil
		}
		freed := c.freed
		c.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (c *claims) free(things []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range things {
		delete(c.taken, t)
	}
	close(c.freed)
	c.freed = make(chan struct{})
}

// do is one fault from beginning to end. It returns when everything is undone; an error is the harness's
// own. The end of the context shortens it and is no error, but for a rotation, which goes on: half of one leaves every
// elector refused.
func (n *nemesis) do(ctx context.Context, s step) error {
	do := n.faults()[s.kind]
	if do == nil {
		return fmt.Errorf("fault %q cannot be made here", s.kind)
	}
	err := do(ctx, s)
	if err != nil && ctx.Err() != nil && s.kind != history.Rotation {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.kind, err)
	}
	return nil
}

// faults are the kinds that a storm can draw.
func (n *nemesis) faults() map[string]func(context.Context, step) error {
	return map[string]func(context.Context, step) error{
		history.ElectorPause:    n.electorPause,
		history.ElectorKill:     n.electorKill,
		history.ElectorStop:     n.electorStop,
		history.ElectorStarve:   n.electorStarve,
		history.ElectorFiles:    n.electorFiles,
		history.ElectorFreeze:   n.electorFreeze,
		history.WorkerKill:      n.workerKill,
		history.WorkerPause:     n.workerPause,
		history.GuardKill:       n.guardKill,
		history.WorkerSick:      n.workerSick,
		history.Veto:            n.veto,
		history.Transfer:        n.transfer,
		history.Drain:           n.drain,
		history.MemberPause:     n.memberPause,
		history.LeaderPause:     n.leaderPause,
		history.LeaderDepose:    n.leaderDepose,
		history.MemberKill:      n.memberKill,
		history.MemberStarve:    n.memberStarve,
		history.AllRestart:      n.allRestart,
		history.SlowDisk:        n.slowDisk,
		history.LeaderMove:      n.leaderMove,
		history.PartitionTotal:  n.partitionTotal,
		history.PartitionOne:    n.partitionOne,
		history.PartitionOneWay: n.partitionOneWay,
		history.PartitionHeld:   n.partitionHeld,
		history.PartitionHalf:   n.partitionHalf,
		history.MemberIsolate:   n.memberIsolate,
		history.Delay:           n.delay,
		history.LeaseRevoke:     n.leaseRevoke,
		history.KeyDelete:       n.keyDelete,
		history.PrefixDelete:    n.prefixDelete,
		history.Compact:         n.compact,
		history.CompactStorm:    n.compactStorm,
		history.Defragment:      n.defragment,
		history.NoSpace:         n.noSpace,
		history.MemberReplace:   n.memberReplace,
		history.MemberLearner:   n.memberLearner,
		history.Rotation:        n.rotation,
		history.Churn:           n.churn,
	}
}

// kinds are those that can be made on this ground, in the order of the record's list.
func (n *nemesis) kinds() []string {
	made := n.faults()
	var kinds []string
	for _, k := range history.Kinds() {
		switch {
		case made[k] == nil:
		case (k == history.LeaderDepose || k == history.MemberIsolate) && !n.ground.wires.canIsolate():
		case n.ground.members == 1 && NeedsFollowers(k):
		case k == history.SlowDisk && n.ground.disk == nil:
		case k == history.Rotation && n.ground.secrets == nil:
		default:
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// wantFollowers are the faults that there are not without members that do not lead.
var wantFollowers = []string{history.MemberPause, history.LeaderDepose, history.LeaderMove, history.MemberIsolate, history.MemberReplace, history.MemberLearner}

// NeedsFollowers reports whether a kind of fault cannot be made where etcd has one member.
func NeedsFollowers(kind string) bool { return slices.Contains(wantFollowers, kind) }

// storm makes bursts of faults of some kinds and rests until the context ends. All faults are undone when it returns.
func (n *nemesis) storm(ctx context.Context, seed uint64, kinds []string) error {
	weather := newStorm(seed, n.ttl, kinds)
	for ctx.Err() == nil {
		b := weather.next()
		if err := n.burst(ctx, b.steps); err != nil {
			return err
		}
		pause(ctx, b.rest)
	}
	return nil
}

func (n *nemesis) burst(ctx context.Context, steps []step) error {
	errs := make([]error, len(steps))
	var all sync.WaitGroup
	for i, s := range steps {
		all.Go(func() {
			if pause(ctx, s.after) {
				errs[i] = n.do(ctx, s)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// aim picks the lane that a step hits: mostly the one that leads, of those that will do.
func (n *nemesis) aim(s step, will func(*lane) bool) *lane {
	var can []*lane
	for _, l := range n.fleet.lanes {
		if will == nil || will(l) {
			can = append(can, l)
		}
	}
	if len(can) == 0 {
		return nil
	}
	if l, _ := n.fleet.leader(); s.atLeader && slices.Contains(can, l) {
		return l
	}
	return can[s.pick%uint64(len(can))]
}

// mending is a context for undoing, which goes on when the run's has ended.
func mending(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}
