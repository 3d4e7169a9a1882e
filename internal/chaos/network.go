package chaos

import (
	"context"
	"errors"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// The faults of the network between electors and members. Pollers never pass it.

// partition cuts one elector off in one way for the time of a step.
func (n *nemesis) partition(ctx context.Context, s step, l *lane, kind, detail string, targets []string,
	cut func(elector int) (undo func() (effective bool, err error), err error)) error {
	if l == nil {
		return errors.New("no elector is connected in a way that can be broken so")
	}
	free, err := n.claims.claim(ctx, networkOf(l.elector))
	if err != nil {
		return err
	}
	defer free()
	f := n.recorder.begin(kind, detail+" for "+s.lasts.Round(time.Millisecond).String(), append([]string{l.elector}, targets...)...)
	undo, err := cut(l.index)
	lasted := err == nil && pause(ctx, s.lasts)
	effective, heal := undo()
	// A route shows nothing of what it swallowed; but a keep-alive is due every third of a TTL.
	f.end(heal == nil && lasted && effective && s.lasts >= n.ttl/3)
	return errors.Join(err, heal)
}

func (n *nemesis) partitionTotal(ctx context.Context, s step) error {
	return n.partition(ctx, s, n.aim(s, nil), history.PartitionTotal, "both directions", nil, func(e int) (func() (bool, error), error) {
		return n.ground.wires.part(e, n.ground.every(), true, true)
	})
}

func (n *nemesis) partitionOne(ctx context.Context, s step) error {
	l := n.aim(s, nil)
	// The member that it talks to, if there is one to be seen: the others would not be missed.
	m := int(s.pick>>32) % n.ground.members
	at := n.ground.wires.endpoints(l.index, n.ground.etcd)
	talking := false
	for i := range n.ground.members {
		if k := (m + i) % n.ground.members; connected(l.process().PID(), at[k]) {
			m, talking = k, true
			break
		}
	}
	return n.partition(ctx, s, l, history.PartitionOne, "both directions", []string{memberName(m)}, func(e int) (func() (bool, error), error) {
		undo, err := n.ground.wires.part(e, []int{m}, true, true)
		return func() (bool, error) {
			effective, err := undo()
			return effective && talking, err
		}, err
	})
}

func (n *nemesis) partitionOneWay(ctx context.Context, s step) error {
	up := s.pick>>16&1 == 0
	detail := "replies lost"
	if up {
		detail = "requests lost"
	}
	return n.partition(ctx, s, n.aim(s, nil), history.PartitionOneWay, detail, nil, func(e int) (func() (bool, error), error) {
		return n.ground.wires.part(e, n.ground.every(), up, !up)
	})
}

// linked picks an elector whose bytes pass through links.
func (n *nemesis) linked(s step) *lane {
	return n.aim(s, func(l *lane) bool { return n.ground.wires.byLink(l.index) })
}

func (n *nemesis) partitionHeld(ctx context.Context, s step) error {
	return n.partition(ctx, s, n.linked(s), history.PartitionHeld, "held back, then flushed", nil, func(e int) (func() (bool, error), error) {
		undo := n.ground.wires.hold(e, n.ground.every())
		return func() (bool, error) { return undo(), nil }, nil
	})
}

func (n *nemesis) partitionHalf(ctx context.Context, s step) error {
	return n.partition(ctx, s, n.linked(s), history.PartitionHalf, "open and silent", nil, func(e int) (func() (bool, error), error) {
		return n.ground.wires.part(e, n.ground.every(), true, true)
	})
}

func (n *nemesis) delay(ctx context.Context, s step) error {
	up := time.Duration(s.pick % uint64(2*n.ttl))
	down := time.Duration(s.pick >> 20 % uint64(2*n.ttl))
	switch s.pick >> 60 & 3 { // half of the delays are short enough for an elector to live with
	case 0, 1:
		up, down = up/40, down/40
	case 2:
		up = 0
	}
	detail := up.Round(time.Millisecond).String() + " up and " + down.Round(time.Millisecond).String() + " down"
	return n.partition(ctx, s, n.linked(s), history.Delay, detail, nil, func(e int) (func() (bool, error), error) {
		return n.ground.wires.delay(e, up, down), nil
	})
}
