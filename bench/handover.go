package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/elector-dev/elector/bench/rig"
)

// pair is elector and the naive daemon, each with an etcd of its own, so that its work can be told apart.
type pair struct {
	etcds  map[rig.Kind]*rig.Etcd
	fleets map[rig.Kind]*rig.Fleet
}

// kinds are those of a pair, in the order in which they are asked.
var kinds = []rig.Kind{rig.Naive, rig.Elector}

func (l *lab) newPair(ctx context.Context, members, candidates int, ttl time.Duration, extra ...string) (*pair, error) {
	p := &pair{map[rig.Kind]*rig.Etcd{}, map[rig.Kind]*rig.Fleet{}}
	for _, k := range kinds {
		e, err := rig.StartEtcd(ctx, members)
		if err != nil {
			p.close()
			return nil, err
		}
		p.etcds[k] = e
		if p.fleets[k], err = rig.NewFleet(ctx, l.programs, k, e, "handover", candidates, ttl, extra...); err != nil {
			delete(p.fleets, k)
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func (p *pair) close() {
	for _, f := range p.fleets {
		f.Close()
	}
	for _, e := range p.etcds {
		e.Close()
	}
}

// handover measures planned handovers, the peers by turns, and before them what fleets of that size ask of an
// etcd in peace.
func (l *lab) handover(ctx context.Context) error {
	for i, waiting := range l.plan.waiting {
		if err := l.handoverAmong(ctx, 1, waiting, l.plan.trials[i]); err != nil {
			return fmt.Errorf("%d waiting: %w", waiting, err)
		}
	}
	return l.handoverAmong(ctx, 3, l.plan.waiting[0], l.plan.durable)
}

func (l *lab) handoverAmong(ctx context.Context, members, waiting, trials int) error {
	p, err := l.newPair(ctx, members, waiting+1, normal)
	if err != nil {
		return err
	}
	defer p.close()
	at := fmt.Sprint(waiting)
	if members > 1 {
		at += fmt.Sprintf("/%d", members)
	}
	if err := l.peace(ctx, p, at); err != nil {
		return err
	}
	others, err := rig.StartEtcd(ctx, members)
	if err != nil {
		return err
	}
	defer others.Close()
	bare, err := rig.NewBare(ctx, others)
	if err != nil {
		return err
	}
	defer bare.Close()
	turns := map[rig.Kind]func(context.Context) (time.Duration, error){rig.Floor: bare.HandOver}
	order := []rig.Kind{rig.Floor, rig.Naive, rig.Elector}
	for _, k := range kinds {
		turns[k] = func(ctx context.Context) (time.Duration, error) {
			h, err := p.fleets[k].Handover(ctx)
			if err == nil {
				l.put("handover "+at+", of that with the key", string(k), rig.Millis(h.Kept))
			}
			return h.Took, err
		}
	}
	if waiting == l.plan.waiting[0] {
		for _, k := range []rig.Kind{rig.Elect, rig.Lock} {
			r, err := rig.NewRelay(ctx, l.programs, k, others, "relay-"+string(k[len(k)-4:]), normal)
			if err != nil {
				return err
			}
			defer r.Close()
			turns[k], order = r.HandOver, append(order, k)
		}
	}
	for range trials {
		for _, k := range order {
			if err := l.oneHandover(ctx, p.etcds[k], k, at, turns[k]); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
	}
	return nil
}

// oneHandover takes the time, and what it cost etcd where the peer has one to itself.
func (l *lab) oneHandover(ctx context.Context, e *rig.Etcd, k rig.Kind, at string, turn func(context.Context) (time.Duration, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("nobody leads"))
	defer cancel()
	if e == nil {
		took, err := turn(ctx)
		l.put("handover "+at, string(k), rig.Millis(took))
		return err
	}
	before, err := e.Count(ctx)
	if err != nil {
		return err
	}
	took, err := turn(ctx)
	if err != nil {
		return err
	}
	after, err := e.Count(ctx)
	l.put("handover "+at, string(k), rig.Millis(took))
	cost := after.Sub(before)
	l.put("requests per handover "+at, string(k), cost.Requests)
	l.put("proposals per handover "+at, string(k), cost.Proposals)
	l.put("revisions per handover "+at, string(k), float64(cost.Revision))
	return err
}

// peace counts what etcd does while nothing happens.
func (l *lab) peace(ctx context.Context, p *pair, at string) error {
	before := map[rig.Kind]rig.Counts{}
	var err error
	for k := range p.etcds {
		if before[k], err = p.etcds[k].Count(ctx); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := pause(ctx, l.plan.window); err != nil {
		return err
	}
	for k := range p.etcds {
		after, err := p.etcds[k].Count(ctx)
		if err != nil {
			return err
		}
		d, seconds := after.Sub(before[k]), time.Since(began).Seconds()
		l.put("etcd ms/s "+at, string(k), rig.Millis(d.CPU)/seconds)
		l.put("etcd requests/min "+at, string(k), d.Requests/seconds*60)
		l.put("etcd proposals/min "+at, string(k), d.Proposals/seconds*60)
		l.put("etcd revisions "+at, string(k), float64(d.Revision))
	}
	return nil
}

// pause waits; what it waits for is time itself.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pollers measures a handover by SIGTERM where the worker only polls, five times a second: promises have to run out.
func (l *lab) pollers(ctx context.Context) error {
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	for _, longest := range []string{"500ms", "2s"} {
		f, err := rig.NewFleet(ctx, l.programs, rig.Elector, e, "pollers-"+longest, 2, normal, "--answer-max", longest)
		if err != nil {
			return err
		}
		for range l.plan.pollers {
			took, err := polled(ctx, f)
			if err != nil {
				f.Close()
				return err
			}
			l.put("pollers "+longest, string(rig.Elector), rig.Millis(took))
		}
		f.Close()
	}
	return nil
}

// polled stops the leader while somebody polls it, and returns the time until the next one's yes.
func polled(ctx context.Context, f *rig.Fleet) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("nobody leads"))
	defer cancel()
	order, err := f.Queue(ctx)
	if err != nil {
		return 0, err
	}
	old, next := rig.NewLine(order[0].Addr), rig.NewLine(order[1].Addr)
	defer old.Close()
	defer next.Close()
	for range 3 { // polls, of which the last one's promise is the one to wait for
		if _, _, err := old.Await(ctx, "/leader", time.Millisecond, rig.Yes); err != nil {
			return 0, err
		}
		if err := pause(ctx, time.Second/5); err != nil {
			return 0, err
		}
	}
	asked := time.Now()
	if err := order[0].Terminate(); err != nil {
		return 0, err
	}
	_, came, err := next.Await(ctx, "/leader", time.Millisecond, rig.Yes)
	if err == nil {
		err = order[0].Stop(ctx)
	}
	if err == nil {
		err = order[0].Start()
	}
	return came.Sub(asked), err
}

// sizes are those of the files, and of the image where there is one.
func (l *lab) sizes(ctx context.Context) error {
	for _, k := range l.and(rig.Floor, rig.Naive, rig.Elect, rig.Elector) {
		info, err := os.Stat(l.programs.Of(k))
		if err != nil {
			return fmt.Errorf("%w: `make bench` builds it", err)
		}
		l.put("binary MB", string(k), float64(info.Size())/1e6)
	}
	out, err := exec.CommandContext(ctx, "docker", "image", "inspect", "--format", "{{.Size}}", l.image).Output()
	if err != nil {
		return nil // no image of that name, or no Docker: that line is left out
	}
	size, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	l.put("image MB", string(rig.Elector), size/1e6)
	return err
}
