package election

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// MaxQueue is how many candidates are read at once, the oldest first.
const MaxQueue = 1000

// Standing is a candidate with what its record tells.
type Standing struct {
	Candidate
	Since   time.Time // start of its process, by its own wall clock; zero when it does not tell
	Version string
}

// Queue is the candidates of the election in their order, which is that in which they would lead. The first is the leader
// only once it has verified that, so a queue answers nobody's question whether to act.
type Queue struct {
	Standings []Standing // at most MaxQueue
	Total     int        // candidates in the election
}

// Twins counts the candidates that stand under an identity and are another process than those named.
func (q Queue) Twins(identity string, incarnations ...string) int {
	n := 0
	for _, s := range q.Standings {
		if s.Identity == identity && !slices.Contains(incarnations, s.Incarnation) {
			n++
		}
	}
	return n
}

// queueAge is how long a queue that was read is told again.
const queueAge = time.Second

// Candidates reads the queue from etcd; what came of that less than a second ago is told again. It blocks until
// etcd has answered, ctx ends or a few seconds have passed, before Run too. Errors mean that the queue is not
// known: ErrNoSession, ErrRefused, or etcd's. The result is shared and must not be changed.
func (e *Elector) Candidates(ctx context.Context) (Queue, error) {
	select {
	case e.census <- struct{}{}: // one reads, the others wait for what it finds
		defer func() { <-e.census }()
	case <-ctx.Done():
		return Queue{}, context.Cause(ctx)
	}
	if e.counted > 0 && e.cfg.Clock.Now().Sub(e.counted) < queueAge {
		return e.queue, e.unread
	}
	q, err := e.count(ctx)
	if ctx.Err() == nil { // else the caller may have been the reason
		e.queue, e.unread, e.counted = q, err, e.cfg.Clock.Now()
	}
	return q, err
}

// count reads the queue in the loop's session.
func (e *Elector) count(ctx context.Context) (Queue, error) {
	type result struct {
		queue Queue
		err   error
	}
	done := make(chan result, 1)
	err := e.ask(ctx, func(r *run) {
		if r.core.stage != open {
			done <- result{err: ErrNoSession}
			return
		}
		session, within := r.session, r.inSession
		r.start(func() {
			ctx, cancel := r.until(ctx, within)
			defer cancel()
			q, err := session.Candidates(ctx)
			if err == nil {
				r.emit(r.twinsIn(q))
			}
			done <- result{q, err}
		})
	})
	if err != nil {
		return Queue{}, err
	}
	got := <-done
	return got.queue, got.err
}

// queueRead tells the loop of a look at the queue.
type queueRead struct {
	twins  int
	failed bool // it could not be read
}

func (queueRead) event() {}

// twinsIn counts the other processes under the own identity. A dead one whose key still stands is none.
func (r *run) twinsIn(q Queue) queueRead {
	known := []string{r.cfg.Incarnation}
	for _, p := range r.cfg.Past.Predecessors {
		known = append(known, p.Incarnation)
	}
	return queueRead{twins: q.Twins(r.cfg.Identity, known...)}
}

// takeCensus looks for other processes under the own identity: soon after the own key has come to stand, and
// every so often for as long as there are some, or the queue could not be read. One without twins is not looked at again.
//
// Electors come to stand together when etcd comes back, and then it has other things to do than to tell each of them of
// all the others.
func (r *run) takeCensus(registered bool) {
	now := r.cfg.Clock.Now()
	due := registered || (r.twins > 0 || r.uncounted) && now.Sub(r.twinsFrom) >= twinsEvery
	if !due || r.core.stage != open {
		return
	}
	r.twinsFrom = now
	session, within := r.session, r.inSession
	soon := max(r.cfg.TTL, time.Duration(r.standing)*censusEach)
	r.start(func() {
		if !pause(within, rand.N(min(soon, twinsEvery))) {
			return
		}
		ctx, cancel := r.until(within, within)
		defer cancel()
		q, err := session.Candidates(ctx)
		if err != nil {
			r.emit(queueRead{failed: true})
			return
		}
		r.emit(r.twinsIn(q))
	})
}

// censusEach is the time within which an elector looks for its twins, for each candidate in the election.
const censusEach = 50 * time.Millisecond

// twinsEvery is how often other processes under the own identity are looked for while there are some.
const twinsEvery = time.Minute

// count takes in how many other processes stand under the own identity.
func (r *run) count(q queueRead) {
	if r.uncounted = q.failed; q.failed {
		return
	}
	r.cfg.Recorder.Twins(q.twins)
	if q.twins > 0 && r.warnings.allow("twins", time.Now()) {
		r.cfg.Logger.Warn("another process stands under this identity: give each its own --id", "others", q.twins)
	}
	r.twins = q.twins
}
