package election

import (
	"sync/atomic"
	"time"
)

// Promises are what one consumer has been told, apart from what all others have: it can be settled with that
// consumer alone. The zero value is no promise. They belong to the elector whose AnswerTo made them.
type Promises struct {
	desk  atomic.Pointer[desk]
	until atomic.Int64 // the latest end, an Instant; 0: none
}

// Until is when the latest of them ends; zero if there is none, or they have been settled.
func (p *Promises) Until() Instant { return Instant(p.until.Load()) }

// Settle ends the account. With owed, whatever was promised is owed like any other promise, and the release of
// the term's key waits for it; without, the consumer has stopped. AnswerTo must not be called again.
func (p *Promises) Settle(owed bool) {
	until := Instant(p.until.Swap(0))
	if d := p.desk.Load(); owed && d != nil {
		d.promise(until)
	}
}

// AnswerTo is Answer for a consumer that keeps an account of its own.
func (e *Elector) AnswerTo(owed *Promises, limit time.Duration) Answer {
	return e.desk.answerTo(owed, max(0, limit))
}

// answerTo evaluates as answer does, and puts the promise down to an account. It is complete once the term's
// end has been published, as desk.promised is.
func (d *desk) answerTo(owed *Promises, limit time.Duration) Answer {
	owed.desk.Store(d)
	return d.evaluate(limit, &owed.until)
}
