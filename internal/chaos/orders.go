package chaos

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/client"
)

// What people and programs say to electors on purpose: transfers, drains, checks that fail, terms that are refused.

const (
	// bearer is what whoever changes something brings: in a namespace of its own an elector's address is not the
	// loopback.
	bearer = "secret"
	// checkEvery is how often a worker is checked. After three failures it counts as sick.
	checkEvery = 200 * time.Millisecond
	// orderPatience bounds one order: an elector that etcd does not answer says so after five seconds.
	orderPatience = 15 * time.Second
)

// writes has the elector take orders.
func (l *lane) writes(dir, at string) ([]string, error) {
	host, _, err := net.SplitHostPort(at)
	if err != nil {
		return nil, err
	}
	token := filepath.Join(dir, l.elector+"-token")
	if err := os.WriteFile(token, []byte(bearer+"\n"), 0o600); err != nil {
		return nil, err
	}
	if l.orders, err = client.New(at, client.WithBearer(bearer)); err != nil {
		return nil, err
	}
	return []string{"--http-token-file", token, "--http-allowed-hosts", host}, nil
}

// asks has the elector check a file, ask whether another one is not there before each term, and run hooks.
func (l *lane) asks(dir string) ([]string, error) {
	l.alive, l.refusal = filepath.Join(dir, l.elector+"-alive"), filepath.Join(dir, l.elector+"-veto")
	if err := os.WriteFile(l.alive, nil, 0o600); err != nil {
		return nil, err
	}
	return []string{
		"--check-file", l.alive, "--check-interval", checkEvery.String(), "--check-timeout", checkEvery.String(),
		"--before-lead", "test ! -e '" + l.refusal + "'", "--on-lead", "true", "--on-follow", "true", "--on-change", "true",
	}, nil
}

// during does a fault that lasts to a lane, whatever becomes of its process.
func (n *nemesis) during(ctx context.Context, s step, l *lane, kind string, begin, end func() error) error {
	free, err := n.claims.claim(ctx, kind+" "+l.elector)
	if err != nil {
		return err
	}
	defer free()
	f := n.recorder.begin(kind, s.lasts.Round(time.Millisecond).String(), l.elector)
	err = begin()
	lasted := err == nil && pause(ctx, s.lasts)
	err = errors.Join(err, end())
	f.end(err == nil && lasted)
	return err
}

// workerSick has the check of a worker fail.
func (n *nemesis) workerSick(ctx context.Context, s step) error {
	l := n.aim(s, func(l *lane) bool { return l.plan.asks })
	if l == nil {
		return nil
	}
	return n.during(ctx, s, l, history.WorkerSick,
		func() error { return os.Remove(l.alive) }, func() error { return os.WriteFile(l.alive, nil, 0o600) })
}

// veto has every term of an elector refused before it begins.
func (n *nemesis) veto(ctx context.Context, s step) error {
	l := n.aim(s, func(l *lane) bool { return l.plan.asks })
	if l == nil {
		return nil
	}
	return n.during(ctx, s, l, history.Veto,
		func() error { return os.WriteFile(l.refusal, nil, 0o600) }, func() error { return os.Remove(l.refusal) })
}

// transfer asks whoever leads to pass the lead on to somebody else, who may not even stand.
func (n *nemesis) transfer(ctx context.Context, s step) error {
	l, _ := n.fleet.leader()
	if l == nil || l.orders == nil {
		return nil
	}
	n.pass(ctx, l, n.aim(step{pick: s.pick}, func(other *lane) bool { return other != l }))
	pause(ctx, s.lasts)
	return nil
}

// pass asks one elector to pass the lead on to another.
func (n *nemesis) pass(ctx context.Context, l, to *lane) {
	f := n.recorder.begin(history.Transfer, "to "+to.elector, l.elector)
	within, cancel := context.WithTimeout(ctx, orderPatience)
	defer cancel()
	_, err := l.orders.Transfer(within, to.elector, 0, 0)
	f.end(err == nil)
}

// drain takes an elector out of the election and lets it in again. Both are orders that may not arrive: the second is
// given until it does, for else the fleet would have lost one.
func (n *nemesis) drain(ctx context.Context, s step) error {
	l := n.aim(s, func(l *lane) bool { return l.orders != nil })
	if l == nil {
		return nil
	}
	free, err := n.claims.claim(ctx, "drain "+l.elector)
	if err != nil {
		return err
	}
	defer free()
	f := n.recorder.begin(history.Drain, s.lasts.Round(time.Millisecond).String(), l.elector)
	within, cancel := context.WithTimeout(ctx, orderPatience)
	_, err = l.orders.Drain(within, "chaos")
	cancel()
	lasted := pause(ctx, s.lasts)
	undrained := l.undrain(ctx)
	f.end(err == nil && undrained == nil && lasted)
	return undrained
}

// undrain says so until it is taken.
func (l *lane) undrain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for {
		within, done := context.WithTimeout(ctx, orderPatience)
		err := l.orders.Undrain(within)
		done()
		if err == nil || !pause(ctx, 200*time.Millisecond) {
			return err
		}
	}
}
