package kube

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// How long a keeper waits: from a success to the next look, and after failures, doubled from the first to the last.
const (
	healEvery  = 30 * time.Second
	firstPause = 200 * time.Millisecond
	lastPause  = 15 * time.Second
)

// claim is what a term has to show for itself.
type claim struct {
	token   int64 // 0: there has been no term yet
	cluster uint64
}

// aim is what an object is to say.
type aim struct {
	claim
	leading bool
}

// object is something at the API server.
type object interface {
	// put has it say what is aimed at, and blocks until it does, or ctx ends. errIdle: nothing had to be done. Any other
	// error but ctx's is a *trouble.
	put(ctx context.Context, a aim) error
	what() string // as in EndpointSlice shop/mail
}

// errIdle is put's word that the object is no business of the aim, and that nothing is known of it.
var errIdle = errors.New("nothing to do")

// keeper keeps one object.
type keeper struct {
	name   string // in the metric and the log
	object object
	log    *slog.Logger
	down   atomic.Bool

	mu      sync.Mutex // guards the fields below, for assignments
	now     aim
	moved   chan struct{} // closed when there is another aim
	settled chan struct{} // closed when the object is as aimed at, or waiting for that is of no use

	told map[kind]bool // since all was well; run's own
}

func newKeeper(name string, o object, log *slog.Logger) *keeper {
	return &keeper{name: name, object: o, log: log, moved: make(chan struct{}), settled: make(chan struct{}), told: make(map[kind]bool)}
}

// aim gives the keeper another aim. The channel is closed when the object is so, or will not be soon.
func (k *keeper) aim(a aim) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.moved)
	k.now, k.moved, k.settled = a, make(chan struct{}), make(chan struct{})
	return k.settled
}

func (k *keeper) target() (a aim, moved <-chan struct{}, settled chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now, k.moved, k.settled
}

// run is the one that asks. It returns when ended is closed.
func (k *keeper) run(ended <-chan struct{}) {
	var before chan struct{}
	failures := 0
	for {
		a, moved, settled := k.target()
		if settled != before {
			before, failures = settled, 0
		}
		err := k.put(a, moved, ended)
		failed := k.judge(a, err) // before anybody is let go on, who may look at the metric
		if err == nil || errors.Is(err, errIdle) || hopeless(err) {
			closeOnce(settled)
		}
		wait := healEvery - rand.N(healEvery/5)
		if failed {
			wait = backoff(failures)
			failures++
		} else {
			failures = 0
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-moved:
		case <-ended:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// closeOnce closes what only the caller closes.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// put tries once. Another aim, and the end, cut it short.
func (k *keeper) put(a aim, moved, ended <-chan struct{}) error {
	ctx, cancel := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer cancel()
	watcher.Go(func() {
		select {
		case <-moved:
		case <-ended:
		case <-ctx.Done():
		}
		cancel()
	})
	err := k.object.put(ctx, a)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// judge tells the log and the metric how an attempt went, and reports whether it has failed.
func (k *keeper) judge(a aim, err error) (failed bool) {
	t := (*trouble)(nil)
	switch {
	case err == nil:
		if len(k.told) > 0 {
			k.log.Info("the API server has it as it should be again", "object", k.object.what(), "token", a.token)
			clear(k.told)
		}
		k.down.Store(false)
		return false
	case errors.Is(err, errIdle):
		k.down.Store(false)
		return false
	case !errors.As(err, &t): // cut short
		return false
	}
	k.down.Store(true)
	if !k.told[t.kind] {
		k.told[t.kind] = true
		level := slog.LevelError
		if t.kind.passes() {
			level = slog.LevelWarn
		}
		k.log.Log(context.Background(), level, "the API server does not say who leads; trying again", "object", k.object.what(), "token", a.token, "err", t)
	}
	return true
}

// backoff is the pause after so many failures before this one.
func backoff(failures int) time.Duration {
	bound := min(lastPause, firstPause<<min(failures, 10))
	return bound/2 + rand.N(bound/2)
}
