package election

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Config is what an Elector needs. Journal, Recorder and what may be zero are not required.
type Config struct {
	Identity    string
	Incarnation string // random, new for each process
	Election    string // for the work's information; the store knows its keys

	TTL        time.Duration // asked for; a whole number of seconds from MinTTL to MaxTTL
	AnswerMax  time.Duration // the longest promise in one answer
	ReleaseNow bool          // on shutdown, release without waiting for promises
	Grace      time.Duration // that the work needs to stop: by loss, it is told that much earlier
	Barred     Bar           // not eligible at the start, and why; see Elector.Bar
	Past       Past          // what earlier processes have left

	// Vet is asked before each term begins, when its key is known to be the oldest. An error keeps it from beginning:
	// the key is given up, and the next candidacy begins a TTL later. ctx ends when the candidacy does, at the latest
	// half a TTL after the key became the oldest, and a margin before its lease can expire; Vet must return soon then,
	// since the key waits for it. The cause of its end is a *CauseError. nil: nobody.
	Vet Lead

	Clock    Clock
	Store    Store
	Logger   *slog.Logger
	Journal  Journal  // nil: later processes are told nothing
	Recorder Recorder // nil: nothing is recorded
}

// Recorder is told of what is worth counting. Its methods are called from the elector's loop and must
// not block.
type Recorder interface {
	Renewal(result RenewalResult, renewal, confirmation time.Duration) // zero: not known
	Handover(time.Duration)
	Session(SessionResult)
	TermStarted()
	TermEnded(Cause)
	LeaderChanged()
	LoopLag(time.Duration)
	Twins(int) // other processes that stand under the own identity, as of the latest look at the queue
}

// Lead is the work of one term. It is called when the term begins and must return soon after ctx is
// cancelled, whose cause is a *CauseError; the key is not released before it has returned. When it
// returns earlier, the elector resigns.
type Lead func(ctx context.Context, term Term) error

// Elector is a candidate in one election. Its methods may be called concurrently with Run and with each
// other, before, during and after it.
type Elector struct {
	cfg      Config
	desk     *desk
	past     history
	lastLoop atomic.Int64 // Instant of the loop's latest turn; 0 before Run

	asks  chan func(*run) // taken by the loop
	ended chan struct{}   // closed when Run returns

	census  chan struct{} // held, by sending, over the fields below, for one reading of the queue
	queue   Queue
	unread  error   // why queue could not be read; nil: it was
	counted Instant // when that was; 0: never
}

// New checks the configuration. It starts nothing.
func New(cfg Config) (*Elector, error) {
	switch {
	case cfg.Identity == "" || cfg.Incarnation == "":
		return nil, errors.New("election: identity and incarnation must not be empty")
	case cfg.TTL < MinTTL || cfg.TTL > MaxTTL || cfg.TTL%time.Second != 0:
		return nil, fmt.Errorf("election: TTL %v is not a whole number of seconds from %v to %v", cfg.TTL, MinTTL, MaxTTL)
	case cfg.Grace < 0 || cfg.Grace > MaxGrace(cfg.TTL):
		return nil, fmt.Errorf("election: grace %v is not from 0s to %v, what a TTL of %v allows", cfg.Grace, MaxGrace(cfg.TTL), cfg.TTL)
	case cfg.AnswerMax <= 0:
		return nil, fmt.Errorf("election: longest answer %v must be positive", cfg.AnswerMax)
	case cfg.Clock == nil || cfg.Store == nil || cfg.Logger == nil:
		return nil, errors.New("election: clock, store and logger are required")
	}
	if cfg.Recorder == nil {
		cfg.Recorder = noRecorder{}
	}
	e := &Elector{
		cfg: cfg, desk: newDesk(cfg.Clock, cfg.AnswerMax, cfg.Identity),
		asks: make(chan func(*run)), ended: make(chan struct{}), census: make(chan struct{}, 1),
	}
	first := State{Phase: Connecting, Since: time.Now()}
	switch {
	case cfg.Past.Fenced != CauseNone:
		first.Phase, first.Cause = Fenced, cfg.Past.Fenced
	case cfg.Barred.Cause != CauseNone:
		first.Phase, first.Cause = Ineligible, cfg.Barred.Cause
	}
	first.Bar = cfg.Barred
	e.desk.publish(first, facts{})
	return e, nil
}

// Answer evaluates leadership at this instant. A yes is a promise: it holds for ExpiresIn, which is at
// most limit and at most the configured longest answer, and the key stays until then. It does not block.
func (e *Elector) Answer(limit time.Duration) Answer { return e.desk.answer(max(0, limit)) }

// AnswerMax is the longest promise that Answer gives.
func (e *Elector) AnswerMax() time.Duration { return e.cfg.AnswerMax }

// Look evaluates leadership at this instant and promises nothing. It does not block.
func (e *Elector) Look() Answer { return e.desk.answer(0) }

// WorkEnd is when the work of the term under way must have ended, whatever becomes of this process: when the
// work's grace has passed after certainty's end, a margin before the lease can first expire. Every renewal that
// is confirmed moves it, while the term is being wound up too, and publishes nothing: whoever guards the work
// looks now and then. Zero when there is no term. It does not block.
func (e *Elector) WorkEnd() Instant { return e.desk.workEnd() }

// Watch returns the published state and a channel that is closed when a newer one is published. The
// state is what the elector's loop knows, not an answer: its leader may be this elector before it leads
// and after. Ask Answer or Look for what may be told.
func (e *Elector) Watch() (State, <-chan struct{}) { return e.desk.watch() }

// Identity is the configured identity.
func (e *Elector) Identity() string { return e.cfg.Identity }

// Incarnation tells this process from others of the same identity.
func (e *Elector) Incarnation() string { return e.cfg.Incarnation }

// LoopAge is how long ago the elector's loop last ran; zero before Run. A healthy loop runs several
// times per TTL.
func (e *Elector) LoopAge() time.Duration {
	last := Instant(e.lastLoop.Load())
	if last == 0 {
		return 0
	}
	return e.cfg.Clock.Now().Sub(last)
}

// Stalled reports whether the loop has not run for so long that the process should be restarted: the
// TTL while a term is under way, twice that otherwise.
func (e *Elector) Stalled() bool {
	state, _ := e.desk.watch()
	limit := 2 * e.cfg.TTL
	if state.Phase == Leader || state.Phase == SteppingDown {
		limit = e.cfg.TTL
	}
	return e.LoopAge() > limit
}

// alive tells the store whether keep-alives may go out.
func (e *Elector) alive() bool { return e.LoopAge() <= StallLimit(e.cfg.TTL) }

// noRecorder records nothing.
type noRecorder struct{}

func (noRecorder) Renewal(RenewalResult, time.Duration, time.Duration) {}
func (noRecorder) Handover(time.Duration)                              {}
func (noRecorder) Session(SessionResult)                               {}
func (noRecorder) TermStarted()                                        {}
func (noRecorder) TermEnded(Cause)                                     {}
func (noRecorder) LeaderChanged()                                      {}
func (noRecorder) LoopLag(time.Duration)                               {}
func (noRecorder) Twins(int)                                           {}
