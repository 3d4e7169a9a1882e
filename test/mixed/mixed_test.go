//go:build mixed

package mixed

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/devetcd"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		_ = os.RemoveAll(built.dir) // nothing, if nothing was built
		os.Exit(status)
	}))
}

func startEtcd(t *testing.T) (*devetcd.Embedded, *clientv3.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e, err := devetcd.Start(ctx, devetcd.Options{})
	must(t, err)
	t.Cleanup(e.Close)
	client, err := e.NewClient(ctx)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return e, client
}

// TestEveryPairOfKindsHandsOver has each kind go as leader, by choice, by death and by a pause that outlasts its lease,
// beside each other kind, which has the lead after it.
func TestEveryPairOfKindsHandsOver(t *testing.T) {
	p := build(t)
	t.Logf("the earlier elector is of %s", p.commit)
	e, client := startEtcd(t)
	t.Run("pairs", func(t *testing.T) {
		kinds := []kind{now, before, elect, library}
		for i, a := range kinds {
			for j, b := range kinds {
				if a != b {
					t.Run(fmt.Sprintf("%s and %s", a, b), func(t *testing.T) {
						t.Parallel()
						pair(newBed(t, p, e, client, fmt.Sprintf("pair-%d-%d", i, j), short), a, b)
					})
				}
			}
		}
	})
}

func pair(b *bed, ka, kb kind) {
	one := b.start(ka, "a1")
	first := one.leads(0)
	two := b.start(kb, "b1")
	b.leads(two, 2, first)

	one.stop()
	second := two.leads(first.token)
	b.oldest(second.token)

	three := b.start(ka, "a2")
	b.leads(three, 2, second)
	must(b.T, two.Kill())
	b.forget(two, three, second)
	third := three.leads(second.token)
	b.oldest(third.token)

	four := b.start(kb, "b2")
	b.leads(four, 2, third)
	must(b.T, three.Pause())
	b.forget(three, four, third)
	fourth := four.leads(third.token)
	b.oldest(fourth.token)
	must(b.T, three.Resume())
	b.awakes(three, fourth)
	if now := four.believed(); now[len(now)-1].token != fourth.token {
		b.Errorf("b2 leads with %d, and after a2 had woken with %d", fourth.token, now[len(now)-1].token)
	}
	b.judge()
}

// leads waits until so many stand, of which the leader is still the oldest: who comes takes nothing from it.
func (b *bed) leads(newcomer *candidate, n int, leader belief) {
	b.Helper()
	if all := b.stand(n); all[0].token != leader.token {
		b.Errorf("%s has come, and the oldest key is that of %d and not of %d", newcomer.id, all[0].token, leader.token)
	}
	if all := newcomer.believed(); len(all) > 0 {
		b.Errorf("%s stands behind another and believes to lead: %+v", newcomer.id, all)
	}
}

// oldest demands that a token is the create revision of the oldest key: that is what makes tokens of all kinds comparable.
func (b *bed) oldest(token int64) {
	b.Helper()
	if all := b.queue(); len(all) == 0 || all[0].token != token {
		b.Errorf("the leader's token is %d, and the queue %+v", token, all)
	}
}

// forget waits for the end of a lease that nobody renews. That of etcdctl elect lasts a minute, which the next one may not
// cut short: an operator does.
func (b *bed) forget(dead, next *candidate, old belief) {
	b.Helper()
	if dead.kind != elect {
		return
	}
	b.oldest(old.token)
	if all := next.believed(); len(all) > 0 {
		b.Errorf("%s believes to lead while the key of %s stands: %+v", next.id, dead.id, all)
	}
	b.revoke(old.token)
}

// awakes waits until a candidate that was paused believes no more, and stands behind the next leader. etcdctl elect ends.
func (b *bed) awakes(c *candidate, leader belief) {
	b.Helper()
	if c.kind == elect {
		select {
		case <-c.Done():
		case <-time.After(patience):
			b.Fatalf("%s does not end", c.id)
		}
		return
	}
	all := b.stand(2)
	if all[0].token != leader.token {
		b.Errorf("%s has come back, and the oldest key is that of %d and not of %d", c.id, all[0].token, leader.token)
	}
}

// judge compares all that was believed.
func (b *bed) judge() {
	b.Helper()
	const rounding = 2 * time.Millisecond
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range b.candidates {
		for _, y := range b.candidates {
			if x == y {
				continue
			}
			late, broken := time.Duration(0), time.Duration(0)
			for _, old := range x.believed() {
				for _, yes := range y.believed() {
					if yes.token <= old.token {
						continue
					}
					late = max(late, old.at-yes.at)
					if yes.at > old.at {
						broken = max(broken, old.until-yes.at)
					}
				}
			}
			switch {
			case x.kind.promises() && max(late, broken) > rounding:
				b.Errorf("%s, an %s, said yes, or had promised, for %v after %s did with a newer token", x.id, x.kind, max(late, broken), y.id)
			case late > rounding:
				b.Logf("%s (%s) still believed to lead %v after %s (%s) did with a newer token", x.id, x.kind, late, y.id, y.kind)
			}
		}
		if !x.kind.promises() {
			continue
		}
		for _, yes := range x.believed() {
			if gone, ok := b.gone[yes.token]; ok && yes.until > gone+rounding {
				b.Errorf("%s, an %s, promised to lead with %d until %v, and its key was gone by %v", x.id, x.kind, yes.token, yes.until, gone)
			}
		}
	}
}

// TestWhatStandsInTheKeysIsReadByTheOthers looks at a queue of all kinds with everybody's eyes.
func TestWhatStandsInTheKeysIsReadByTheOthers(t *testing.T) {
	p := build(t)
	e, client := startEtcd(t)
	b := newBed(t, p, e, client, "seen", long)
	all := []*candidate{}
	for i, k := range []kind{now, elect, before, library} {
		c := b.start(k, "c"+fmt.Sprint(i+1))
		b.stand(i + 1)
		all = append(all, c)
	}
	first := all[0].leads(0)
	for _, eye := range []*candidate{all[0], all[2]} {
		var status int
		var table string
		b.await(eye.id+" reads the queue", func() bool {
			status, table = eye.tell("candidates")
			return status == 0 && strings.Count(table, "\n") == 5
		})
		rows := strings.Split(table, "\n")[1:5]
		for i, want := range []string{"now", "", "before", ""} {
			if fields := strings.Fields(rows[i]); fields[1] != all[i].id || want != "" && !strings.Contains(rows[i], want) {
				b.Errorf("%s sees at place %d: %q", eye.id, i+1, rows[i])
			}
		}
		t.Logf("the queue as %s sees it (%s):\n%s", eye.id, eye.kind, table)
	}

	// etcdctl shows what stands in the key: of an elector its record.
	key, value := b.shown()
	if key != b.queue()[0].key || !strings.Contains(value, `"identity":"c1"`) || !strings.Contains(value, `"version":"now"`) {
		t.Errorf("etcdctl elect --listen shows %q and %q", key, value)
	}
	t.Logf("etcdctl elect --listen shows %s", value)

	// The shared value of one version is the other's, and no candidate.
	status, said := all[0].tell("value", "set", "hello")
	if status != 0 {
		t.Errorf("elector value set: %d %s", status, said)
	}
	b.await("c3 reads the value", func() bool { _, v := all[2].tell("value", "get"); return strings.TrimSpace(v) == "hello" })
	all4 := b.stand(4)

	// A lead is passed on to a candidate of any kind, but not past one that would not notice that its key has gone.
	for _, to := range []string{"c3", "c4"} {
		if status, said := all[0].tell("transfer", to); status == 0 || !strings.Contains(said, "no elector stands in between") {
			t.Errorf("transfer to %s, past etcdctl elect: %d %q", to, status, said)
		} else {
			t.Logf("transfer to %s: %s", to, strings.TrimSpace(said))
		}
	}
	if left := b.queue(); !slices.Equal(left, all4) {
		t.Errorf("transfers that were refused have left %+v of %+v", left, all4)
	}
	if now := all[0].believed(); now[len(now)-1].token != first.token {
		t.Errorf("c1 leads with %d, and after transfers that were refused with %d", first.token, now[len(now)-1].token)
	}
	status, said = all[0].tell("transfer", "c2")
	t.Logf("transfer to c2: %d %q", status, said)
	second := all[1].leads(first.token)
	b.oldest(second.token)
	all[1].stop()
	third := all[2].leads(second.token)
	b.oldest(third.token)
	if status, said := all[2].tell("value", "get"); status == 0 && strings.TrimSpace(said) == "hello" {
		t.Errorf("the value of a term that is over is still told")
	}
	b.judge()
}
