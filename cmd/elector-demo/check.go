package main

import (
	"fmt"
	"time"
)

// checker compares every yes with all others. It judges as a worker would live by the answers: a yes may
// be acted on from when it was received until its end, which counts from when the question was sent.
type checker struct {
	claims map[int]claim // the newest of each elector
	newest claim         // with the greatest token
	broken string        // the first breach, as a sentence; empty while the promise holds
}

// claim is a stretch of time that one yes, or several without a gap, covered without a doubt.
type claim struct {
	who         string
	token       int64
	from, until time.Duration
}

// yes takes in a positive answer and judges it.
func (c *checker) yes(elector int, who string, s sample) {
	mine := claim{who: who, token: s.status.Token, from: s.received, until: max(s.received, s.until())}
	for i, other := range c.claims {
		// The answer was made somewhere between sent and received. It is wrong if that lies within
		// the other's time as a whole, whatever became of it on the way.
		evaluated := other.from <= s.sent && s.received <= other.until
		if i != elector && (evaluated || mine.from < other.until && other.from < mine.until) {
			c.breach("%s (token %d) and %s (token %d) said yes for the same time", other.who, other.token, who, mine.token)
		}
	}
	if c.claims == nil {
		c.claims = make(map[int]claim)
	}
	old, known := c.claims[elector]
	if known && old.token == mine.token && mine.from <= old.until {
		mine.from, mine.until = old.from, max(old.until, mine.until)
	}
	c.claims[elector] = mine
	c.token(mine, known && old.token == mine.token, s)
}

// token sees to it that tokens grow: a term's token is greater than those of all terms before it.
func (c *checker) token(mine claim, sameTerm bool, s sample) {
	switch {
	case mine.token > c.newest.token:
		c.newest = mine
	case mine.token == c.newest.token && mine.who == c.newest.who:
	case sameTerm && s.sent < c.newest.from: // an old answer that was late
	default:
		c.breach("%s leads with token %d, which is not greater than %s's %d", mine.who, mine.token, c.newest.who, c.newest.token)
	}
}

func (c *checker) breach(format string, args ...any) {
	if c.broken == "" {
		c.broken = fmt.Sprintf(format, args...)
	}
}
