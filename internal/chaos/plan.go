package chaos

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// plan is what the seed decides before anything runs.
type plan struct {
	ttl        time.Duration
	electors   int
	releaseNow bool
	auth       bool   // etcd asks for a password, and its tokens last five seconds
	byLink     []bool // by elector: reaches etcd through user-space links
	restored   bool   // etcd is restored with bumped revisions when the storm is over
	disk       bool   // one member has a file system of its own, which can be stopped
	lanes      []lanePlan
}

// lanePlan is what is peculiar to one elector.
type lanePlan struct {
	work    string // history.Polls, Child or Hold
	manner  string // in which its command takes SIGTERM
	restart bool   // its command is started again when it has ended by itself
	state   bool   // it keeps a state directory
	asks    bool   // its worker is checked, and a command is asked before each term and told of each change
	page    bool   // somebody has its page open
}

// grace is how long its work may take to stop.
func (l lanePlan) grace(ttl time.Duration) time.Duration {
	switch {
	case l.work == history.Hold:
		return lettingGo
	case l.work == history.Child && l.manner != polite:
		return ttl / 4 // --stop-grace, by default
	}
	return 0
}

// The streams of random numbers of one seed: drawing more from one does not change another.
const (
	planStream = iota + 1
	stormStream
	laneStream
	workStream // and one more for each elector
	pageStream = 1000
)

func random(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// newPlan draws a plan. Options that were given and what the script demands come before the seed.
func newPlan(o Options) plan {
	r := random(o.Seed, planStream)
	s := scripts()[o.Scenario]
	p := plan{ttl: o.TTL, electors: 3 + r.IntN(3), releaseNow: r.IntN(2) == 0, auth: r.IntN(3) == 0, disk: r.IntN(2) == 0}
	if o.Electors > 0 {
		p.electors = o.Electors
	}
	if p.ttl == 0 {
		p.ttl = s.ttl
	}
	switch {
	case o.Scenario == SoakScenario:
		p.auth = true
	case o.Scenario != StormScenario:
		p.auth, p.disk = false, false
		p.releaseNow = s.releaseNow
		if o.Electors == 0 {
			p.electors = 3
		}
	}
	if o.Kind == Plain {
		p.auth = false
	}
	p.byLink = make([]bool, p.electors)
	first := r.IntN(p.electors)
	for i := range p.byLink {
		p.byLink[i] = o.Links == Proxies || s.links || i == first || i != (first+1)%p.electors && r.IntN(2) == 0
	}
	p.restored = o.Scenario == StormScenario && o.Kind == Elector && r.IntN(4) == 0
	p.lanes = newLanes(o, s, p.electors)
	return p
}

// newLanes draws what is peculiar to each elector. In every storm some work is bound to its elector in each way.
func newLanes(o Options, s script, n int) []lanePlan {
	lanes := make([]lanePlan, n)
	if o.Kind == Plain {
		return lanes
	}
	copy(lanes, s.lanes)
	if !stormy(o.Scenario) {
		return lanes
	}
	r := random(o.Seed, laneStream)
	ways := []string{history.Polls, history.Child, history.Hold}
	first := r.IntN(len(ways))
	for i := range lanes {
		lanes[i] = lanePlan{
			work: ways[(first+i)%len(ways)], manner: []string{polite, slow, stubborn}[r.IntN(3)], restart: r.IntN(2) == 0, state: r.IntN(2) == 0, asks: i == 0 || r.IntN(2) == 0,
		}
		// In a soak no command takes its elector with it.
		lanes[i].restart = lanes[i].restart || o.Scenario == SoakScenario
	}
	pages := random(o.Seed, pageStream)
	shown := pages.IntN(n)
	for i := range lanes {
		lanes[i].page = i == shown || pages.IntN(2) == 0
	}
	return lanes
}

// access is how electors prove to etcd who they are.
func (p plan) access() string {
	if p.auth {
		return "TLS and passwords"
	}
	return ""
}

// answerMax is the longest promise that fits well into a short lease; 2s is the elector's default.
func (p plan) answerMax() time.Duration { return min(2*time.Second, p.ttl/2) }

// step is one fault to come. Whom it hits is resolved when it comes, from pick, since leaders move.
type step struct {
	kind     string
	after    time.Duration // since the burst began
	lasts    time.Duration
	pick     uint64
	atLeader bool // aim at the leading elector, where the kind has a choice
}

// burst is some faults that overlap, and the rest that follows once all of them have been undone.
type burst struct {
	steps []step
	rest  time.Duration
}

// storm draws bursts for ever. All kinds come once before any comes again.
type storm struct {
	rand  *rand.Rand
	ttl   time.Duration
	kinds []string
	deck  []string
	alone bool  // the burst before was a single stop
	later *step // a rotation that is to come in peace
}

func newStorm(seed uint64, ttl time.Duration, kinds []string) *storm {
	return &storm{rand: random(seed, stormStream), ttl: ttl, kinds: kinds}
}

// next draws a burst. After most of them the fleet gets the time that it may take to recover, and as long
// again to be seen in peace; some follow closely, since recovering is when things go wrong.
func (s *storm) next() burst {
	var b burst
	// How quickly leadership is handed over shows only where all else is well. A storm begins so, and then
	// even a short one has seen a handover.
	if first := s.deck == nil; slices.Contains(s.kinds, history.ElectorStop) && !s.alone && (first || s.rand.IntN(4) == 0) {
		s.alone = true
		b.steps = append(b.steps, step{kind: history.ElectorStop, atLeader: true, lasts: s.fraction(0.1, 1)})
		b.rest = s.fraction(2, 5)
		return b
	}
	s.alone = false
	if s.later != nil {
		// What came before is over by then, so that a term which ends has ended by the rotation.
		s.later.after = recovery(s.ttl)
		b.steps, b.rest, s.later = []step{*s.later}, s.fraction(0.5, 1.5), nil
		return b
	}
	for range 3 + s.rand.IntN(3) {
		st := s.draw()
		if st.kind == history.Rotation && s.rand.IntN(3) > 0 {
			s.later = &st
			continue
		}
		st.after = s.fraction(0, 1.5)
		b.steps = append(b.steps, st)
	}
	slices.SortStableFunc(b.steps, func(a, c step) int { return int(a.after - c.after) })
	b.rest = s.fraction(4.5, 7)
	if s.rand.IntN(4) == 0 {
		b.rest = s.fraction(0.1, 1)
	}
	return b
}

func (s *storm) draw() step {
	if len(s.deck) == 0 {
		s.deck = slices.Clone(s.kinds)
		s.rand.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
	}
	st := step{kind: s.deck[0], pick: s.rand.Uint64(), atLeader: s.rand.IntN(3) > 0}
	s.deck = s.deck[1:]
	from, to := lengths(st.kind)
	st.lasts = s.fraction(from, to)
	return st
}

// fraction draws a time between two multiples of the TTL.
func (s *storm) fraction(from, to float64) time.Duration {
	return time.Duration((from + s.rand.Float64()*(to-from)) * float64(s.ttl))
}

// endsElectors reports whether a kind of fault ends processes of electors, or their commands' for good.
func endsElectors(kind string) bool {
	switch kind {
	case history.ElectorKill, history.ElectorStop, history.ElectorFreeze, history.WorkerKill, history.GuardKill:
		return true
	}
	return false
}

// lengths is how long faults of a kind last, in TTLs.
func lengths(kind string) (from, to float64) {
	switch kind {
	case history.ElectorPause, history.ElectorFreeze:
		return 0.1, 3
	case history.LeaderPause:
		return 1, 2
	case history.LeaderDepose:
		return 0.5, 1.5
	case history.ElectorKill, history.ElectorStop, history.MemberKill, history.WorkerKill, history.GuardKill, history.Transfer:
		return 0.1, 1
	case history.AllRestart:
		return 0.05, 0.5
	case history.PartitionTotal, history.PartitionOne, history.PartitionOneWay, history.PartitionHeld, history.PartitionHalf:
		return 0.3, 3
	default:
		return 0.5, 2
	}
}
