package kube

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/kube/kubetest"
)

// scripted is an object of the mind.
type scripted struct {
	mu   sync.Mutex // guards the fields below
	err  error
	puts []time.Time
	last aim
}

func (s *scripted) put(_ context.Context, a aim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts, s.last = append(s.puts, time.Now()), a
	return s.err
}

func (s *scripted) what() string { return "Thing shop/mail" }

func (s *scripted) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *scripted) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.puts)
}

// keep runs a keeper of an object in the bubble until the test ends.
func keep(o object) (k *keeper, j *journal, end func()) {
	j = &journal{}
	k = newKeeper("service", o, slog.New(slog.NewJSONHandler(j, nil)))
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		k.run(ended)
	}()
	return k, j, func() {
		close(ended)
		<-done
	}
}

func TestAMinuteAwayIsToldOnceAndTriedEverMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &scripted{err: &trouble{away, errors.New("no route"), ""}}
		k, j, end := keep(o)
		defer end()
		k.aim(aim{claim: claim{token: 5}, leading: true})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := o.count(); n < 8 || n > 24 { // 0.2 s, 0.4 s, ... 15 s, each shorter by up to a half
			t.Errorf("%d attempts in a minute", n)
		}
		if told := j.lines(); len(told) != 1 || told[0].Level != "WARN" {
			t.Errorf("the log has %+v", told)
		}
		o.fail(nil)
		time.Sleep(lastPause)
		synctest.Wait()
		if told := j.lines(); len(told) != 2 || k.down.Load() {
			t.Errorf("the log has %+v", told)
		}
	})
}

func TestWhatIsAsItShouldBeIsLookedAtEveryHalfMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &scripted{}
		k, _, end := keep(o)
		defer end()
		<-k.aim(aim{claim: claim{token: 5}, leading: true})
		before := o.count()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := o.count() - before; n < 20 || n > 25 {
			t.Errorf("%d looks in ten minutes", n)
		}
		<-k.aim(aim{claim: claim{token: 5}}) // a transition does not wait for that
		if o.last.leading {
			t.Error("the end of the term was not told")
		}
	})
}

func TestNobodyWaitsForWhatWillNotBeMendedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &scripted{err: &trouble{forbidden, errors.New("no"), "grant it"}}
		k, _, end := keep(o)
		defer end()
		began := time.Now()
		<-k.aim(aim{claim: claim{token: 5}})
		o.fail(&trouble{away, errors.New("no route"), ""})
		settled := k.aim(aim{claim: claim{token: 6}})
		select {
		case <-settled:
			t.Error("an API server that is away for a moment is not waited for")
		case <-time.After(time.Second):
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestThePodsLabelFollowsItsTermsAndIsHealed(t *testing.T) {
	for name, row := range map[string]struct {
		setting          string
		leader, follower any
	}{
		"two values": {"example.com/role=leader,standby", "leader", "standby"},
		"one value":  {"example.com/role=leader", "leader", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			r := newRig(t, s, "w1", func(c *Config) { c.Service, c.PodLabel = "", row.setting })
			is := func(want any) {
				t.Helper()
				s.Await(t.Context(), "the label", func() bool { return labels(s, "w1")["example.com/role"] == want })
			}
			s.Await(t.Context(), "the first word", func() bool { return len(s.Calls()) > 0 })
			is(row.follower)
			end := r.lead(5)
			is("leader")
			s.Create(kubetest.PodPath("w1"), kubetest.Pod("w1")) // somebody takes the label away
			end()
			if got := labels(s, "w1"); got["example.com/role"] != row.follower || got["app"] != "mail" {
				t.Errorf("after the term the labels are %v", got)
			}
			end = r.lead(6)
			is("leader")
			end()
		})
	}
}
