package chaos

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// everyKind is what a storm can draw: restores are scripts.
func everyKind() []string {
	made := (&nemesis{}).faults()
	return slices.DeleteFunc(history.Kinds(), func(k string) bool { return made[k] == nil })
}

func TestAScheduleFollowsFromItsSeedAlone(t *testing.T) {
	draw := func(seed uint64) (all []burst) {
		s := newStorm(seed, 4*time.Second, everyKind())
		for range 50 {
			all = append(all, s.next())
		}
		return all
	}
	if !reflect.DeepEqual(draw(5), draw(5)) {
		t.Error("one seed gave two schedules")
	}
	if reflect.DeepEqual(draw(5), draw(6)) {
		t.Error("two seeds gave one schedule")
	}
}

func TestAStormMakesEveryKindOfFaultBeforeAnyAgain(t *testing.T) {
	kinds := everyKind()
	if len(kinds) != len(history.Kinds())-2 {
		t.Fatalf("a storm can draw %v of %v", kinds, history.Kinds())
	}
	s := newStorm(1, 4*time.Second, kinds)
	for range 3 {
		seen := map[string]bool{}
		for range kinds {
			seen[s.draw().kind] = true
		}
		for _, k := range kinds {
			if !seen[k] {
				t.Errorf("%s was left out", k)
			}
		}
	}
}

func TestFaultsLastWithinTheirBoundsAndRestsLetTheFleetRecover(t *testing.T) {
	const ttl = 4 * time.Second
	s := newStorm(9, ttl, everyKind())
	var broken, calm time.Duration
	for range 400 {
		b := s.next()
		var last time.Duration
		for i, st := range b.steps {
			from, to := lengths(st.kind)
			if st.lasts < time.Duration(from*float64(ttl)) || st.lasts > time.Duration(to*float64(ttl)) {
				t.Errorf("%s lasts %v, not %v to %v TTLs", st.kind, st.lasts, from, to)
			}
			if i > 0 && st.after < b.steps[i-1].after {
				t.Error("steps are not in order")
			}
			last = max(last, st.after+st.lasts)
		}
		broken, calm = broken+last, calm+b.rest
	}
	if share := float64(calm) / float64(calm+broken); share < 0.4 || share > 0.7 {
		t.Errorf("%.2f of the time has no fault, not about half", share)
	}
}

func TestEveryStormHasElectorsThatReachEtcdInBothWays(t *testing.T) {
	electors, released, auth, restored := map[int]bool{}, map[bool]bool{}, map[bool]bool{}, map[bool]bool{}
	for seed := range uint64(200) {
		p := newPlan(Options{Seed: seed, Scenario: StormScenario, Kind: Elector, Links: Namespaces})
		if !slices.Contains(p.byLink, true) || !slices.Contains(p.byLink, false) {
			t.Errorf("seed %d: through links %v", seed, p.byLink)
		}
		electors[p.electors], released[p.releaseNow], auth[p.auth], restored[p.restored] = true, true, true, true
		loop := newPlan(Options{Seed: seed, Scenario: StormScenario, Kind: Elector, Links: Proxies})
		if slices.Contains(loop.byLink, false) {
			t.Errorf("seed %d: on loopback, not through links: %v", seed, loop.byLink)
		}
	}
	if len(electors) != 3 || len(released) != 2 || len(auth) != 2 || len(restored) != 2 {
		t.Errorf("seeds draw %v electors, release now %v, auth %v, restored %v", electors, released, auth, restored)
	}
}

func TestMostRotationsComeAloneAfterTheFleetHasRecovered(t *testing.T) {
	const ttl = 4 * time.Second
	s := newStorm(3, ttl, everyKind())
	alone, amid := 0, 0
	for range 600 {
		b := s.next()
		i := slices.IndexFunc(b.steps, func(st step) bool { return st.kind == history.Rotation })
		switch {
		case i < 0:
		case len(b.steps) > 1:
			amid++
		case b.steps[0].after != recovery(ttl):
			t.Fatalf("a rotation in peace comes after %v", b.steps[0].after)
		default:
			alone++
		}
	}
	if alone <= amid || amid == 0 {
		t.Errorf("%d rotations came alone and %d amid others", alone, amid)
	}
}

func TestASoakEndsNoElectorAndHasAllElse(t *testing.T) {
	kinds := slices.DeleteFunc(everyKind(), endsElectors)
	s := newStorm(5, 4*time.Second, kinds)
	seen := map[string]bool{}
	for range 200 {
		for _, st := range s.next().steps {
			seen[st.kind] = true
		}
	}
	for _, k := range everyKind() {
		if seen[k] == endsElectors(k) {
			t.Errorf("%s is drawn: %v", k, seen[k])
		}
	}
	for seed := range uint64(50) {
		p := newPlan(Options{Seed: seed, Scenario: SoakScenario, Kind: Elector, Links: Namespaces})
		if !p.auth || slices.ContainsFunc(p.lanes, func(l lanePlan) bool { return l.work == history.Child && !l.restart }) {
			t.Fatalf("seed %d: %+v", seed, p)
		}
	}
}

func TestInEveryStormSomebodyHasAPageOpen(t *testing.T) {
	all := 0
	for seed := range uint64(100) {
		p := newPlan(Options{Seed: seed, Scenario: StormScenario, Kind: Elector, Links: Namespaces})
		n := 0
		for _, l := range p.lanes {
			if l.page {
				n++
			}
		}
		if n == 0 {
			t.Errorf("seed %d: no page is open", seed)
		}
		if n == len(p.lanes) {
			all++
		}
	}
	if all == 0 || all > 40 {
		t.Errorf("in %d of 100 storms every page is open", all)
	}
}

func TestWhatTheCommandLineSaysComesBeforeTheSeed(t *testing.T) {
	for seed := range uint64(50) {
		p := newPlan(Options{Seed: seed, Scenario: StormScenario, Kind: Plain, Links: Proxies, Electors: 5, TTL: 9 * time.Second})
		if p.electors != 5 || p.ttl != 9*time.Second || p.auth {
			t.Fatalf("seed %d: %+v", seed, p)
		}
	}
	p := newPlan(Options{Scenario: "slow", Kind: Elector, Links: Namespaces})
	if slices.Contains(p.byLink, false) || p.ttl != 10*time.Second || p.electors != 3 {
		t.Errorf("slow: %+v", p)
	}
}

func TestAStormBeginsWithAStopAloneAndMakesNoTwoOfThemInARow(t *testing.T) {
	for seed := range uint64(20) {
		s := newStorm(seed, 4*time.Second, everyKind())
		before, alone := false, 0
		for i := range 60 {
			b := s.next()
			single := len(b.steps) == 1
			if single && b.steps[0].kind == history.Rotation {
				single = false // in peace
			}
			if single && (b.steps[0].kind != history.ElectorStop || !b.steps[0].atLeader) {
				t.Fatalf("seed %d: a single %+v", seed, b.steps[0])
			}
			if i == 0 && !single || single && before {
				t.Fatalf("seed %d: burst %d is of %d faults, alone before: %v", seed, i, len(b.steps), before)
			}
			if single {
				alone++
			}
			before = single
		}
		if alone < 3 || alone > 30 {
			t.Errorf("seed %d: %d of 60 bursts are a stop alone", seed, alone)
		}
	}
}
