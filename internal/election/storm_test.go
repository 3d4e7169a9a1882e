package election_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

// storm is a random run of faults against a fleet, from a seed.
type storm struct {
	*fleet
	rand *rand.Rand
	log  []string

	mu     sync.Mutex // guards the fields below
	faults map[string]electiontest.Fault
}

func (s *storm) fate(identity, op string) electiontest.Fault {
	if f := s.fleet.fate(identity, op); f != electiontest.None {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults[identity+op]
	delete(s.faults, identity+op)
	return f
}

func (s *storm) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("%v ", time.Duration(s.clock.Now())-time.Hour)+fmt.Sprintf(format, args...))
}

// blow does one thing to the fleet.
func (s *storm) blow(bumped *election.Instant) {
	members := s.members()
	m := members[s.rand.IntN(len(members))]
	ops := []string{"open", "grant", "put", "confirm", "rebind", "release", "renew", "read"}
	switch n := s.rand.IntN(12); {
	case n < 2:
		cut := !m.cut.Load()
		m.cut.Store(cut)
		s.note("%s cut off: %v", m.Identity(), cut)
	case n < 6:
		op, fault := ops[s.rand.IntN(len(ops))], electiontest.Fault(1+s.rand.IntN(3))
		s.mu.Lock()
		s.faults[m.Identity()+op] = fault
		s.mu.Unlock()
		s.note("next %s of %s: fault %d", op, m.Identity(), fault)
	case n < 8:
		s.cluster.Flush()
		s.note("late requests arrive")
	case n < 10:
		s.cluster.BumpRaftTerm()
		*bumped = s.clock.Now()
		s.note("etcd leader change")
	case n < 11:
		if s.clock.Now().Sub(*bumped) > ttl {
			s.cluster.WakeDeposed()
			s.note("the deposed leader wakes and revokes")
		}
	default:
		m.stop()
		<-m.done
		s.note("%s stopped and replaced", m.Identity())
		s.replace(m)
	}
}

// replace starts a process in the place of one that has ended.
func (s *storm) replace(old *member) {
	n := s.join(old.Identity(), nil, func(c *election.Config) {
		c.Incarnation = fmt.Sprintf("%s-%d", old.Identity(), s.rand.Uint32())
		c.Store = s.cluster.Store(old.Identity(), c.Incarnation)
	})
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	for i, m := range s.electors {
		if m == old {
			s.electors[i] = n
			s.electors = s.electors[:len(s.electors)-1]
		}
	}
}

// poll takes answers as a worker does, and checks until each promise's end that the key stands.
func (s *storm) poll(stop <-chan struct{}) {
	type promise struct {
		id    string
		token int64
		until election.Instant
	}
	var open []promise
	for tick := 0; ; tick++ {
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
		now := s.clock.Now()
		kept := open[:0]
		for _, p := range open {
			if now < p.until {
				kept = append(kept, p)
				if !s.cluster.Stands(p.token) {
					s.Errorf("%s promised until %v with token %d; at %v the key does not stand", p.id, p.until, p.token, now)
					return
				}
			}
		}
		open = kept
		if tick%20 == 0 {
			for _, m := range s.members() {
				if a := m.Answer(time.Minute); a.Leading {
					open = append(open, promise{m.Identity(), a.Token, a.ExpiresAt})
				}
			}
		}
	}
}

// TestRandomFaultsBreakNoPromise takes fleets through random faults: members cut off, requests and
// replies lost, requests that arrive late, etcd leader changes, a deposed etcd leader that revokes,
// processes replaced. Each run's faults come from a seed; ELECTOR_STORM_SEEDS says how many, and
// ELECTOR_STORM_SEED repeats the faults of one (not the order of what happens at one instant).
func TestRandomFaultsBreakNoPromise(t *testing.T) {
	seeds := uint64(16)
	if text := os.Getenv("ELECTOR_STORM_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = n
	}
	first := rand.Uint64() >> 16
	if text := os.Getenv("ELECTOR_STORM_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, seeds = seed, 1
	}
	for seed := first; seed < first+seeds && !t.Failed(); seed++ {
		inBubble(t, func(f *fleet) {
			s := &storm{fleet: f, rand: rand.New(rand.NewPCG(seed, seed)), faults: map[string]electiontest.Fault{}}
			f.cluster.Inject(s.fate)
			for _, id := range []string{"a", "b", "c"} {
				f.join(id, nil)
			}
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() { defer close(stopped); s.poll(stop) }()
			var bumped election.Instant
			for end := f.clock.Now().Add(2 * time.Minute); f.clock.Now() < end && !f.Failed(); {
				time.Sleep(time.Duration(s.rand.Int64N(int64(3 * time.Second))))
				s.blow(&bumped)
			}
			s.calm()
			close(stop)
			<-stopped
			if f.Failed() {
				for _, line := range s.log {
					f.Log(line)
				}
				f.Logf("repeat with ELECTOR_STORM_SEED=%d", seed)
			}
		})
	}
	t.Logf("seeds %d to %d", first, first+seeds-1)
}

// calm heals everything and waits until there is one leader again, whom everybody names.
func (s *storm) calm() {
	for _, m := range s.members() {
		m.cut.Store(false)
	}
	s.mu.Lock()
	clear(s.faults)
	s.mu.Unlock()
	s.cluster.Flush()
	for end := s.clock.Now().Add(4 * ttl); s.clock.Now() < end; time.Sleep(100 * time.Millisecond) {
		leaders, names := 0, map[string]bool{}
		for _, m := range s.members() {
			a := m.Look()
			names[a.Leader.Identity] = true
			if a.Leading {
				leaders++
			}
		}
		if leaders == 1 && len(names) == 1 {
			return
		}
	}
	for _, m := range s.members() {
		s.Errorf("after the storm: %s %+v", m.Identity(), m.Look().State)
	}
}
