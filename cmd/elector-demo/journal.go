package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/httpapi"
)

// journal holds all that is known of the run, and puts it on the tape. Its methods are safe for concurrent use and do
// not block, but for await.
type journal struct {
	tape  *tape
	now   func() time.Duration // the boot clock
	begun time.Duration
	ttl   time.Duration
	etcd  string
	page  string // URL of the fleet's page

	mu      sync.Mutex    // guards the fields below; held for a few comparisons
	changed chan struct{} // closed when anything below has changed
	rows    []row
	members []memberRow
	counted struct{ taken, refused int64 } // what the counter stands at
	queue   []string
	events  []event
	terms   []termSeen
	left    *departure // of the newest term's leader; nil while it is well
	lastYes time.Duration
	check   checker
	faults  []string // what went wrong, but for the promise
	answers int
	yeses   int
	rounds  int // of the scenario that were shown
	over    time.Duration
	ending  error
}

// row is what is known of one elector.
type row struct {
	name, url  string
	pid        int // 0: none runs
	process    processState
	exit       string
	stops      int  // SIGTERMs sent to this process
	answered   bool // the newest question
	status     httpapi.Status
	certain    time.Duration // end of the newest yes
	token      int64         // of its term; 0 when it does not lead, as far as it said
	registered bool
}

type processState string

const (
	running  processState = "running"
	stopping processState = "stopping"
	frozen   processState = "frozen"
	ended    processState = "ended"
)

// memberRow is what is known of a member of etcd.
type memberRow struct {
	name    string
	process processState
	leads   bool
}

// action is what the demo does to an elector.
type action string

const (
	actStop   action = "SIGTERM"
	actKill   action = "SIGKILL"
	actFreeze action = "SIGSTOP"
	actThaw   action = "SIGCONT"
	actCut    action = "cut"
	actHeal   action = "heal"
)

// suffered tells of an action in the past.
var suffered = map[action]string{actStop: "was asked to stop", actKill: "was killed", actFreeze: "was frozen", actCut: "was cut off"}

// event is a line of what happened.
type event struct {
	at     time.Duration // since the beginning
	text   string
	strong bool // a change of leader
}

// termSeen is a term, from its first yes.
type termSeen struct {
	elector int
	token   int64
	took    time.Duration // from the end of the term before; 0 for the first
	after   action        // what ended the term before; empty if nothing was done to it
}

// departure is what was done to an elector that led.
type departure struct {
	what action
	at   time.Duration
}

func newJournal(ttl time.Duration, etcd string) *journal {
	return &journal{tape: newTape(setup{}), now: boottime.Now, begun: boottime.Now(), ttl: ttl, etcd: etcd, changed: make(chan struct{})}
}

// await blocks until what is known satisfies done, or the context ends, whose cause it returns.
func (j *journal) await(ctx context.Context, done func(rows []row) bool) error {
	for {
		j.mu.Lock()
		ok, changed := done(j.rows), j.changed
		j.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// awaitFault blocks until an elector did what it must not, or the context ends, whose cause it returns.
func (j *journal) awaitFault(ctx context.Context) error {
	err := j.await(ctx, func([]row) bool { return len(j.faults) > 0 }) // await holds the lock meanwhile
	if err == nil {
		err = errFault
	}
	return err
}

// eventsFrom returns the events from number n on, and a channel that is closed when there may be more.
func (j *journal) eventsFrom(n int) ([]event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events[n:]), j.changed
}

// pid returns the process id of an elector, or 0 if none runs.
func (j *journal) pid(elector int) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rows[elector].pid
}

func (j *journal) introduce(elector int, name, url string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rows = append(j.rows, row{name: name, url: url, process: ended})
	if elector != len(j.rows)-1 {
		panic("electors are introduced in order")
	}
}

func (j *journal) started(elector, pid int) {
	j.mu.Lock()
	defer j.publish()
	r := &j.rows[elector]
	*r = row{name: r.name, url: r.url, pid: pid, process: running, certain: r.certain}
	j.say(moment{Kind: kindProcess, Who: r.name, Text: string(running)})
	j.log("%s starts, process %d", r.name, pid)
}

func (j *journal) ended(elector, pid int, exit, lastWords string) {
	j.mu.Lock()
	defer j.publish()
	r := &j.rows[elector]
	if r.pid != pid || j.ending != nil {
		return
	}
	// A second SIGTERM ends an elector at once and not cleanly, and so does a person's own kill.
	unclean := r.stops == 1 && exit != "exit status 0" || r.status.State == "" && lastWords != ""
	*r = row{name: r.name, url: r.url, process: ended, exit: exit, certain: r.certain}
	j.say(moment{Kind: kindProcess, Who: r.name, Text: string(ended)})
	j.log("%s has ended: %s", r.name, exit)
	if lastWords != "" {
		j.log("%s said: %s", r.name, lastWords)
	}
	if unclean {
		j.faults = append(j.faults, plain(fmt.Sprintf("elector %s ended with %s: %s", r.name, exit, orNone(lastWords))))
	}
}

// acted notes what is about to be done to an elector.
func (j *journal) acted(elector int, what action) {
	j.mu.Lock()
	defer j.publish()
	r := &j.rows[elector]
	role := ""
	if r.token != 0 && what != actThaw && what != actHeal {
		role = ", which leads"
		if j.left == nil {
			j.left = &departure{what: what, at: j.now()}
		}
	}
	switch what {
	case actCut:
		j.log("%s is cut off from etcd%s", r.name, role)
		j.say(moment{Kind: kindCut, Who: r.name, Text: "cut"})
	case actHeal:
		j.log("%s reaches etcd again", r.name)
		j.say(moment{Kind: kindCut, Who: r.name, Text: "healed"})
	default:
		j.log("%s to %s%s", what, r.name, role)
	}
	switch what {
	case actStop:
		r.process = stopping
		r.stops++
	case actFreeze:
		r.process = frozen
	case actThaw:
		r.process = running
	case actKill, actCut, actHeal: // it runs on, for a moment at least
	}
	j.say(moment{Kind: kindProcess, Who: r.name, Text: string(r.process)})
}

// lineUp notes who stands in the queue.
func (j *journal) lineUp(candidates []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(candidates, j.queue) {
		j.queue = candidates
		j.notify()
	}
}

// roundShown notes that the scenario has been shown once more.
func (j *journal) roundShown() {
	j.mu.Lock()
	defer j.publish()
	j.rounds++
}

// end notes that the run is over, and why. What ends from then on was ended by the demo.
func (j *journal) end(why error) {
	j.mu.Lock()
	defer j.publish()
	j.ending, j.over = why, j.now()
}

// observe takes in what an elector answered, or that it did not.
func (j *journal) observe(s sample) {
	j.mu.Lock()
	defer j.publish()
	r := &j.rows[s.elector]
	if s.err == nil {
		broken := j.check.broken
		defer func() {
			if j.answers%20 == 1 || broken != j.check.broken {
				j.say(moment{Kind: kindVerdict, Text: j.check.broken, Count: int64(j.answers)})
			}
		}()
		j.answers++
		if s.status.Leading {
			j.yeses++
			j.check.yes(s.elector, r.name, s)
		}
	}
	switch {
	case r.pid != s.pid: // meant for a process that has ended since
	case s.err != nil:
		if r.answered && r.process == running {
			j.log("%s does not answer", r.name)
		}
		r.answered = false
	default:
		j.learn(r, s)
	}
}

// learn turns an answer into what is shown. The caller holds the lock.
func (j *journal) learn(r *row, s sample) {
	st := s.status
	r.answered, r.status = true, st
	if st.Leading {
		r.certain = s.until()
	}
	switch {
	case st.Leading && st.Token != r.token:
		r.token = st.Token
		j.won(s)
	case st.Leading && j.left != nil && j.left.what == actFreeze && s.sent > j.left.at:
		j.left = nil // it was let go on in time
	case !st.Leading && r.token != 0:
		r.token = 0
		j.log("%s leads no longer: %s", r.name, st.Cause)
	case st.Registered && !r.registered && !st.Leading:
		j.log("%s stands in the queue", r.name)
	}
	r.registered = st.Registered
	if st.Leading {
		j.lastYes = s.received
	}
}

// won notes the first yes of a term. The caller holds the lock.
func (j *journal) won(s sample) {
	term := termSeen{elector: s.elector, token: s.status.Token}
	text := fmt.Sprintf("%s leads with token %d", j.rows[s.elector].name, term.token)
	if n := len(j.terms); n > 0 {
		before, fate := j.rows[j.terms[n-1].elector].name, "said yes for the last time"
		term.took = s.received - j.lastYes
		if j.left != nil {
			term.took, term.after, fate = s.received-j.left.at, j.left.what, suffered[j.left.what]
		}
		text += fmt.Sprintf(", %.1fs after %s %s", term.took.Seconds(), before, fate)
	}
	j.left = nil
	j.terms = append(j.terms, term)
	j.note(true, text)
}

// log adds a line. The caller holds the lock.
func (j *journal) log(format string, args ...any) { j.note(false, fmt.Sprintf(format, args...)) }

// note adds a line, which a change of leader makes a strong one. The caller holds the lock.
func (j *journal) note(strong bool, text string) {
	e := event{at: j.now() - j.begun, text: plain(text), strong: strong}
	j.events = append(j.events, e)
	j.say(moment{Kind: kindLine, Text: e.text, Strong: strong})
}

// publish tells who waits and gives the lock back.
func (j *journal) publish() {
	j.notify()
	j.mu.Unlock()
}

// notify tells who waits. The caller holds the lock.
func (j *journal) notify() {
	close(j.changed)
	j.changed = make(chan struct{})
}
