package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/elector-dev/elector/bench/rig"
	"github.com/elector-dev/elector/internal/cli"
	"github.com/elector-dev/elector/internal/devetcd"
)

func TestMain(m *testing.M) {
	devetcd.MaybeRunMember()
	goleak.VerifyTestMain(m)
}

// The most that etcd may be asked for. They are counts, and of several windows the least one is judged, so a slow
// machine cannot make them fail: it adds requests to some windows, and takes none away that are made each time.
const (
	perRenewal  = 2.25 // the renewal and its confirmation; a window may cut one apart
	perThird    = 1    // messages on the watch stream in a third of a TTL: two in a TTL show that leave to read is still there
	perHandover = 28   // from the queue at rest to the queue at rest, the old leader at its end
)

// patience bounds every wait.
const patience = time.Minute

// bed is an etcd of one member, and electors in this process.
type bed struct {
	*testing.T
	ctx  context.Context
	etcd *rig.Etcd
}

func newBed(t *testing.T) *bed {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return &bed{t, ctx, e}
}

// elector runs one and returns its line. It ends with the test.
func (b *bed) elector(id string, ttl time.Duration) *rig.Line {
	b.Helper()
	addr, err := devetcd.FreeAddress("127.0.0.1")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var log bytes.Buffer
	go func() {
		defer close(ended)
		cli.Run(ctx, []string{
			"--election", "guard", "--id", id, "--ttl", ttl.String(), "--answer-max", "1s", "--shutdown-release", "now",
			"--http", addr, "--etcd-endpoints", b.etcd.Endpoints()[0],
		}, nil, os.Stdin, &log, &log)
	}()
	line := rig.NewLine(addr)
	b.Cleanup(func() {
		line.Close()
		stop()
		<-ended
		if b.Failed() {
			b.Logf("%s:\n%s", id, &log)
		}
	})
	return line
}

// await asks until the answer is yes.
func (b *bed) await(line *rig.Line, path string) {
	b.Helper()
	if _, _, err := line.Await(b.ctx, path, 2*time.Millisecond, rig.Yes); err != nil {
		b.Fatal(err)
	}
}

func (b *bed) count() rig.Counts {
	b.Helper()
	c, err := b.etcd.Count(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// asked is what etcd was asked for in a window.
type asked struct{ perRenewal, perThird float64 }

// renewals waits for n more renewals.
func (b *bed) renewals(n float64, ttl time.Duration) asked {
	before, began := b.count(), time.Now()
	for {
		d := b.count().Sub(before)
		if made := d.By["LeaseKeepAlive"]; made >= n {
			thirds := time.Since(began).Seconds()/(ttl/3).Seconds() + 1 // a window may begin in the middle of one
			return asked{(d.Requests - d.By["Watch"]) / made, d.By["Watch"] / thirds}
		}
		if err := pause(b.ctx, 20*time.Millisecond); err != nil {
			b.Fatal(err)
		}
	}
}

func TestARenewalAsksLittleOfEtcd(t *testing.T) {
	const ttl = 2 * time.Second
	b := newBed(t)
	b.await(b.elector("a", ttl), "/leader")
	b.renewals(1, ttl) // what is asked at the beginning is behind
	got := b.renewals(4, ttl)
	for range 3 {
		if got.perRenewal > perRenewal || got.perThird > perThird {
			got = b.renewals(4, ttl)
		}
	}
	t.Logf("%+v", got)
	if got.perRenewal > perRenewal {
		t.Errorf("%.2f requests for each renewal, more than %v", got.perRenewal, perRenewal)
	}
	if got.perThird > perThird {
		t.Errorf("%.2f messages on the watch stream in a third of the TTL, more than %v", got.perThird, perThird)
	}
}

// rest waits until one leads, the other follows and both have their keys.
func (b *bed) rest(leader, follower *rig.Line) {
	b.Helper()
	b.await(leader, "/leader")
	b.await(follower, "/follower")
}

func TestAHandoverAsksLittleOfEtcd(t *testing.T) {
	b := newBed(t)
	one, two := b.elector("a", 10*time.Second), (*rig.Line)(nil)
	b.await(one, "/leader")
	two = b.elector("b", 10*time.Second)
	b.rest(one, two)
	best := 1e9
	for range 6 {
		before := b.count()
		_, body, err := one.Get("/leader")
		if err != nil {
			t.Fatal(err)
		}
		resign := fmt.Sprintf("POST /resign HTTP/1.1\r\nHost: localhost\r\nElector-Token: %d\r\nContent-Length: 0\r\n\r\n", rig.Token(body))
		if status, body, err := one.Do(resign); err != nil || status != 200 {
			t.Fatalf("resign: %d %s %v", status, body, err)
		}
		one, two = two, one
		b.rest(one, two)
		best = min(best, b.count().Sub(before).Requests)
	}
	t.Logf("%v requests for a handover", best)
	if best > perHandover {
		t.Errorf("%v requests for a handover, more than %v", best, perHandover)
	}
	if r, err := b.etcd.Client.Get(b.ctx, "/elector/default/guard/", clientv3.WithPrefix(), clientv3.WithCountOnly()); err != nil || r.Count != 2 {
		t.Errorf("%v keys of two candidates, %v", r, err)
	}
}
