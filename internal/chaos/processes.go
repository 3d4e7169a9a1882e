package chaos

import (
	"context"
	"errors"
	"time"

	"github.com/elector-dev/elector/internal/chaos/havoc"
	"github.com/elector-dev/elector/internal/chaos/history"
)

const (
	// queuedPolls is how many requests wait in the socket of a frozen elector for the instant of its thaw.
	queuedPolls = 4
	// crowd is how many ask at once while an elector is frozen and thawed, and crowdTime for how long
	// before and after.
	crowd     = 6
	crowdTime = 30 * time.Millisecond
)

// errNotUp is what a fault returns that wants a process that answers, and did not find one.
var errNotUp = errors.New("the elector does not answer yet")

// upPatience is how long a process that was just started may take to answer.
const upPatience = 5 * time.Second

// The faults of electors as processes.

func (n *nemesis) electorPause(ctx context.Context, s step) error {
	return n.freezeElector(ctx, s, n.aim(s, nil), queuedPolls)
}

// freezeElector stops an elector in the middle of answering, and lets it go on there.
func (n *nemesis) freezeElector(ctx context.Context, s step, l *lane, queued int) error {
	return n.hurt(ctx, s, l, history.ElectorPause, func(l *lane) (func() error, error) {
		stop := l.flood(context.WithoutCancel(ctx), crowd)
		pause(ctx, crowdTime)
		p := l.process()
		if err := p.Pause(); err != nil {
			stop()
			return nil, err
		}
		l.queue(queued)
		return func() error {
			err := p.Resume()
			pause(context.WithoutCancel(ctx), crowdTime)
			stop()
			return err
		}, nil
	})
}

func (n *nemesis) electorStarve(ctx context.Context, s step) error {
	return n.hurt(ctx, s, n.aim(s, nil), history.ElectorStarve, func(l *lane) (func() error, error) {
		return havoc.Starve(ctx, l.process().PID(), 0.1)
	})
}

func (n *nemesis) electorFiles(ctx context.Context, s step) error {
	return n.hurt(ctx, s, n.aim(s, nil), history.ElectorFiles, func(l *lane) (func() error, error) {
		// One that has just been started would not even find its libraries, which says nothing of electors.
		if !l.awaitAnswer(ctx) {
			return nil, errNotUp
		}
		mend, err := havoc.LimitFiles(ctx, l.process().PID())
		if err == nil {
			l.queue(queuedPolls) // connections that it cannot accept
		}
		return mend, err
	})
}

// hurt breaks a living process for the time of a step and mends it. It is effective if it lasted that long,
// which the end of a storm may prevent, and the process lived through it.
func (n *nemesis) hurt(ctx context.Context, s step, l *lane, kind string, harm func(*lane) (mend func() error, err error)) error {
	free, err := n.claims.claim(ctx, processOf(l.elector))
	if err != nil {
		return err
	}
	defer free()
	f := n.recorder.begin(kind, s.lasts.Round(time.Millisecond).String(), l.elector)
	mend, err := harm(l)
	if errors.Is(err, errNotUp) {
		f.end(false)
		return nil
	}
	if err != nil {
		f.end(false)
		return err
	}
	lasted := pause(ctx, s.lasts)
	err = mend()
	f.end(err == nil && lasted && !l.process().Ended())
	return err
}

func (n *nemesis) electorKill(ctx context.Context, s step) error {
	return n.replace(ctx, s, n.aim(s, nil), history.ElectorKill, func(l *lane) error { return l.process().Kill() })
}

func (n *nemesis) electorStop(ctx context.Context, s step) error {
	return n.replace(ctx, s, n.aim(s, nil), history.ElectorStop, gracefully(ctx))
}

// gracefully asks an elector to end. It waits for promises, for two requests to etcd and for streams; more is
// not graceful.
func gracefully(ctx context.Context) func(*lane) error {
	return func(l *lane) error {
		ctx, cancel := mending(ctx)
		defer cancel()
		return l.stop(ctx)
	}
}

// replace ends a process and starts another after the time of the step.
func (n *nemesis) replace(ctx context.Context, s step, l *lane, kind string, end func(*lane) error) error {
	free, err := n.claims.claim(ctx, processOf(l.elector))
	if err != nil {
		return err
	}
	defer free()
	f := n.recorder.begin(kind, "gone for "+s.lasts.Round(time.Millisecond).String(), l.elector)
	lived := !l.process().Ended()
	err = end(l)
	pause(ctx, s.lasts)
	err = errors.Join(err, l.start())
	f.end(err == nil && lived)
	return err
}
