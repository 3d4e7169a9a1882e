package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/elector-dev/elector/bench/rig"
	"github.com/elector-dev/elector/internal/cli"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// crowdVerb has this program be many candidates in one process: a thousand processes would be what is measured, and
// not etcd. Each has a connection of its own, as if it were alone.
const crowdVerb = "crowd"

// settles is the time after which what a crowd did when it came, or when the lead passed on, is behind.
const settles = 5 * second

// threes is the name for elections of three.
const threes = "threes"

// crowd stands in an election many times over until it is killed, or in elections of three. Its arguments are kind, number,
// etcd's address and the election.
func crowd(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := strconv.Atoi(args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		return 2
	}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			id, election := fmt.Sprintf("crowd-%04d", i), args[3]
			if election == threes {
				election = fmt.Sprintf("%s-%04d", threes, i/3)
			}
			if rig.Kind(args[0]) == rig.Elector {
				cli.Run(ctx, []string{
					"--election", election, "--id", id, "--http", "", "--etcd-endpoints", args[2], "--log-level", "error",
				}, nil, strings.NewReader(""), io.Discard, os.Stderr)
			} else if err := stand(ctx, args[2], "/elector/default/"+election, id); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "crowd:", err)
			}
		})
		if pause(ctx, 3*time.Millisecond) != nil {
			break
		}
	}
	all.Wait()
	return 0
}

// stand campaigns as the naive daemon does.
func stand(ctx context.Context, endpoint, prefix, id string) error {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, Logger: zap.NewNop(),
		DialTimeout: 5 * time.Second, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := concurrency.NewSession(client, concurrency.WithTTL(int(normal/time.Second)))
	if err != nil {
		return err
	}
	if err := concurrency.NewElection(session, prefix).Campaign(ctx, id); err != nil {
		return err
	}
	select { // it leads
	case <-session.Done():
		return errors.New("the session is lost")
	case <-ctx.Done():
		return nil
	}
}

// crowds measures what large elections ask of etcd in peace, and handovers in front of them.
func (l *lab) crowds(ctx context.Context) error {
	for _, k := range kinds {
		if err := l.inFront(ctx, k); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	for _, k := range kinds {
		if err := l.inThrees(ctx, k); err != nil {
			return fmt.Errorf("elections of three, %s: %w", k, err)
		}
	}
	return nil
}

// startCrowd runs a crowd in a process of its own.
func startCrowd(k rig.Kind, n int, e *rig.Etcd, election string) (*proc.Process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, crowdVerb, string(k), strconv.Itoa(n), e.Endpoints()[0], election)
	cmd.Stderr = os.Stderr
	return proc.Start(cmd)
}

// inThrees counts what many small elections ask of etcd in peace.
func (l *lab) inThrees(ctx context.Context, k rig.Kind) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("the crowd does not stand"))
	defer cancel()
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	n := 3 * l.plan.threes
	others, err := startCrowd(k, n, e, threes)
	if err != nil {
		return err
	}
	defer func() { _ = others.Kill() }()
	for standing := 0; standing < n; {
		if err := pause(ctx, second/5); err != nil {
			return fmt.Errorf("%d of %d stand: %w", standing, n, err)
		}
		if standing, err = e.Standing(ctx, "/elector/default/"+threes); err != nil {
			return err
		}
	}
	if err := pause(ctx, settles); err != nil {
		return err
	}
	return l.peace(ctx, &pair{map[rig.Kind]*rig.Etcd{k: e}, nil}, fmt.Sprintf("%d elections of three", l.plan.threes))
}

// inFront has some candidates stand before a crowd, and each hand over to the next one.
func (l *lab) inFront(ctx context.Context, k rig.Kind) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("the crowd takes too long"))
	defer cancel()
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	at := fmt.Sprint(l.plan.crowd)
	if idle, err := l.cpuOf(ctx, e, second); err == nil {
		l.put("etcd ms/s alone", "etcd", idle)
	}
	f, err := rig.NewFleet(ctx, l.programs, k, e, "crowd", l.plan.crowdTrials+1, normal)
	if err != nil {
		return err
	}
	defer f.Close()
	others, err := startCrowd(k, l.plan.crowd, e, "crowd")
	if err != nil {
		return err
	}
	defer func() { _ = others.Kill() }()
	f.Behind = l.plan.crowd
	if _, err := f.Queue(ctx); err != nil {
		return err
	}
	if err := pause(ctx, settles); err != nil {
		return err
	}
	if err := l.peace(ctx, &pair{map[rig.Kind]*rig.Etcd{k: e}, nil}, at); err != nil {
		return err
	}
	for range l.plan.crowdTrials {
		h, err := f.Handover(ctx)
		if err == nil {
			l.put("handover "+at, string(k), rig.Millis(h.Took))
			l.put("handover "+at+", of that with the key", string(k), rig.Millis(h.Kept))
			err = pause(ctx, settles)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cpuOf is what an etcd uses, in milliseconds for each second.
func (l *lab) cpuOf(ctx context.Context, e *rig.Etcd, d time.Duration) (float64, error) {
	before, err := e.Count(ctx)
	if err == nil {
		err = pause(ctx, d)
	}
	if err != nil {
		return 0, err
	}
	after, err := e.Count(ctx)
	return rig.Millis(after.CPU-before.CPU) / d.Seconds(), err
}
