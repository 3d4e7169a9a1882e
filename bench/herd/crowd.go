package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// crowdVerb has this program be many electors in one process: a thousand processes would be what is measured, and not
// etcd. Each has its own store and client, as if it were alone; what they share is the process and this checker.
const crowdVerb = "crowd"

const (
	ttl        = 10 * time.Second // the default
	answerMax  = 2 * time.Second  // the default
	sweepEvery = 10 * time.Millisecond
	wordEvery  = 100 * time.Millisecond
)

// word is what the crowd says of itself. Counts are of now, but for what is named otherwise.
type word struct {
	At         time.Duration    // boot clock, when the sweep had ended
	Registered int              // electors whose key stands
	Leaders    int              // elections in which somebody says yes
	Terms      int              // begun so far
	Answers    int64            // given so far
	Asked      map[string]int64 // requests so far, by op, as the electors count them
	Sessions   map[string]int64 // opened so far, not opened, released and lost
	Broken     string           // a promise that was not kept
}

type bootClock struct{}

// Now implements election.Clock.
func (bootClock) Now() election.Instant { return election.Instant(boottime.Now()) }

// group is one election, and what has been promised in it.
type group struct {
	mu       sync.Mutex // guards the fields below, for comparisons
	token    int64      // the greatest that was heard of
	holder   int        // the elector that it is of
	promised election.Instant
	begun    map[int64]bool // tokens of terms
}

// hear takes a yes of an elector and says what is wrong with it.
func (g *group) hear(who int, a election.Answer) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case a.Token < g.token, a.Token == g.token && who != g.holder:
		return fmt.Errorf("elector %d says yes with token %d, and elector %d has had %d", who, a.Token, g.holder, g.token)
	case who != g.holder && a.At < g.promised:
		return fmt.Errorf("elector %d says yes with token %d, and elector %d has promised to lead for %v more", who, a.Token, g.holder, g.promised.Sub(a.At))
	}
	g.token, g.holder, g.promised = a.Token, who, max(g.promised, a.ExpiresAt)
	return nil
}

// begin takes the beginning of a term and says what is wrong with it.
func (g *group) begin(who int, token int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.begun[token] {
		return fmt.Errorf("elector %d begins another term with token %d", who, token)
	}
	g.begun[token] = true
	return nil
}

// tally counts by name.
type tally struct {
	mu sync.Mutex // guards by, for an access
	by map[string]int64
}

func (t *tally) add(what string) {
	t.mu.Lock()
	t.by[what]++
	t.mu.Unlock()
}

func (t *tally) all() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.by)
}

// crowd is many electors and who listens to them.
type crowd struct {
	electors []*election.Elector
	each     int // electors in an election
	groups   []*group
	broken   atomic.Pointer[string] // the first of its kind
	asked    tally
	sessions tally
	answers  int64 // sweep's own
}

// newCrowd makes n electors in elections of so many each. It starts nothing.
func newCrowd(n, each int, endpoints []string) (*crowd, error) {
	none := func() tally { return tally{by: map[string]int64{}} }
	c := &crowd{each: each, asked: none(), sessions: none()}
	for i := range n {
		if i%each == 0 {
			c.groups = append(c.groups, &group{begun: map[int64]bool{}})
		}
		name := fmt.Sprintf("herd-%04d", i/each)
		who, incarnation := fmt.Sprintf("elector-%04d", i), fmt.Sprintf("%04d-%x", i, time.Now().UnixNano())
		store, err := etcdstore.New(etcdstore.Config{
			Endpoints: endpoints, DialTimeout: 5 * time.Second, Prefix: "/elector", Namespace: "default", Election: name,
			Identity: who, Incarnation: incarnation, TTL: ttl, Clock: bootClock{}, Logger: slog.New(slog.DiscardHandler),
			Requests: func(op, _ string) { c.asked.add(op) },
		})
		if err != nil {
			return nil, err
		}
		e, err := election.New(election.Config{
			Identity: who, Incarnation: incarnation, Election: "default/" + name, TTL: ttl, AnswerMax: answerMax,
			Clock: bootClock{}, Store: store, Logger: slog.New(slog.DiscardHandler), Recorder: recorder{&c.sessions},
		})
		if err != nil {
			return nil, err
		}
		c.electors = append(c.electors, e)
	}
	return c, nil
}

func (c *crowd) group(i int) *group { return c.groups[i/c.each] }

// recorder counts sessions.
type recorder struct{ sessions *tally }

func (r recorder) Session(result election.SessionResult)                      { r.sessions.add(string(result)) }
func (recorder) Renewal(election.RenewalResult, time.Duration, time.Duration) {}
func (recorder) Handover(time.Duration)                                       {}
func (recorder) TermStarted()                                                 {}
func (recorder) TermEnded(election.Cause)                                     {}
func (recorder) LeaderChanged()                                               {}
func (recorder) LoopLag(time.Duration)                                        {}
func (recorder) Twins(int)                                                    {}

// run has all of them take part at once, until ctx ends.
func (c *crowd) run(ctx context.Context) {
	var all sync.WaitGroup
	for i, e := range c.electors {
		all.Go(func() {
			_ = e.Run(ctx, func(ctx context.Context, t election.Term) error { // its error is nil, always
				c.note(c.group(i).begin(i, t.Token))
				if a := e.Look(); a.Leading {
					c.note(c.group(i).hear(i, a))
				}
				<-ctx.Done()
				return nil
			})
		})
	}
	all.Wait()
}

func (c *crowd) note(err error) {
	if err != nil {
		text := err.Error()
		c.broken.CompareAndSwap(nil, &text)
	}
}

// sweep asks every elector once. Each yes is a promise.
func (c *crowd) sweep() word {
	var w word
	led := make([]bool, len(c.groups))
	for i, e := range c.electors {
		a := e.Answer(answerMax)
		if a.Registered {
			w.Registered++
		}
		if a.Leading {
			led[i/c.each] = true
			c.note(c.group(i).hear(i, a))
		}
	}
	c.answers += int64(len(c.electors))
	for i, yes := range led {
		if yes {
			w.Leaders++
		}
		g := c.groups[i]
		g.mu.Lock()
		w.Terms += len(g.begun)
		g.mu.Unlock()
	}
	w.At, w.Answers = boottime.Now(), c.answers
	if b := c.broken.Load(); b != nil {
		w.Broken = *b
	}
	return w
}

// tell sweeps until ctx ends. A word goes out every so often, and whenever an election has got or lost its leader.
func (c *crowd) tell(ctx context.Context, out io.Writer) error {
	lines := json.NewEncoder(out)
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	var said word
	for {
		w := c.sweep()
		if w.Leaders != said.Leaders || w.At-said.At >= wordEvery || w.Broken != said.Broken {
			w.Asked, w.Sessions = c.asked.all(), c.sessions.all()
			if err := lines.Encode(w); err != nil {
				return err
			}
			said = w
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// beCrowd is the process. Its arguments are number, size of an election, and etcd's endpoints.
func beCrowd(ctx context.Context, args []string, out io.Writer) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	each, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	// A thousand heaps are collected in one. As often as its growth asks for, that would cost a thousand times what an elector's
	// own collection does each time.
	debug.SetGCPercent(400)
	c, err := newCrowd(n, each, strings.Split(args[2], ","))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var told sync.WaitGroup
	told.Go(func() {
		defer cancel() // nobody listens any more
		err = c.tell(ctx, out)
	})
	c.run(ctx)
	told.Wait()
	return err
}
