package link

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"time"
)

// What travels through a pipe: content, and what happens to a connection, in its place.
const (
	opening = iota // the target is to be dialed; never lost, since a kernel would ask again and again
	content
	finish // the end of the stream
	breach // the end of the connection
)

const (
	capacity = 4 << 20 // of a pipe, in bytes
	overhead = 64      // is what an item counts besides its bytes, lest a pipe fills with tiny ones
)

type item struct {
	kind int
	data []byte
	read time.Time
	due  time.Time // not before; set by push
}

func (i item) cost() int { return len(i.data) + overhead }

// pipe is one direction of one connection. The link's mutex guards the fields that change.
type pipe struct {
	conn *conn
	way  int
	wake chan struct{} // cap 1; tells the writer to look again
	room chan struct{} // cap 1; tells the reader to look again

	queue   []item
	size    int  // cost of the queue
	ended   bool // finish has been the last item, passed on or lost
	broken  bool // breach has
	done    bool // finish has been passed on
	lost    bool // something was: the stream has a hole
	writing bool // the writer is in a Write, or about to be
	forget  bool // Sever came during that Write: what it did not pass on is lost
}

func (p *pipe) rule() rule { return p.conn.link.rules[p.way] }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put copies bytes into the pipe once it has room. It returns false when the connection has ended.
func (p *pipe) put(ctx context.Context, at time.Time, b []byte) bool {
	l := p.conn.link
	for {
		l.mu.Lock()
		fits := p.size < capacity
		if fits {
			p.push(item{kind: content, data: append([]byte(nil), b...), read: at})
		}
		l.mu.Unlock()
		if fits {
			return ctx.Err() == nil
		}
		select {
		case <-p.room:
		case <-ctx.Done():
			return false
		}
	}
}

// push appends an item, or loses it where nothing passes. The link's mutex is held.
func (p *pipe) push(i item) {
	if p.broken || p.ended && i.kind != breach {
		return
	}
	p.ended = p.ended || i.kind == finish
	p.broken = i.kind == breach
	rule := p.rule()
	if rule.severed && i.kind != opening {
		p.lose(i)
		return
	}
	n := int64(len(i.data))
	if rule.held {
		p.conn.link.stats.Held += n
	}
	i.due = i.read
	if rule.delay > 0 {
		p.conn.link.stats.Delayed += n
		i.due = i.read.Add(rule.delay)
	}
	p.queue = append(p.queue, i)
	p.size += i.cost()
	signal(p.wake)
}

func (p *pipe) lose(i item) {
	p.conn.link.stats.Lost += int64(len(i.data))
	p.lost = true
}

// hold keeps the writer from going on and counts what is held back by that. The link's mutex is held.
func (p *pipe) hold() {
	for _, i := range p.queue {
		p.conn.link.stats.Held += int64(len(i.data))
	}
	p.interrupt()
}

// release lets go all that is in the pipe, whether it is due or not. The link's mutex is held.
func (p *pipe) release() {
	for i := range p.queue {
		p.queue[i].due = time.Time{}
	}
	signal(p.wake)
}

// sever loses what is in the pipe. The link's mutex is held.
func (p *pipe) sever() {
	var kept []item
	p.size = 0
	for _, i := range p.queue {
		if i.kind == opening {
			kept = append(kept, i)
			p.size += i.cost()
		} else {
			p.lose(i)
		}
	}
	p.queue = kept
	p.forget = p.writing
	p.interrupt()
	signal(p.room)
}

// interrupt ends a Write that is under way: it may be waiting for its receiver. The link's mutex is held.
func (p *pipe) interrupt() {
	if p.writing {
		_ = p.receiver().SetWriteDeadline(time.Unix(1, 0))
	}
}

// take waits for the first item to be due and allowed to go, and removes it. It returns false when the
// connection has ended.
func (p *pipe) take(ctx context.Context) (item, bool) {
	for {
		i, wait, ok := p.next()
		if ctx.Err() != nil {
			return item{}, false
		}
		if ok {
			return i, true
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-p.wake:
		case <-due:
		case <-ctx.Done():
			return item{}, false
		}
	}
}

// next removes the first item if it may go now; else it says when to look again, 0 meaning when woken.
func (p *pipe) next() (i item, wait time.Duration, ok bool) {
	p.conn.link.mu.Lock()
	defer p.conn.link.mu.Unlock()
	if rule := p.rule(); len(p.queue) == 0 || rule.held || rule.severed {
		return item{}, 0, false
	}
	i = p.queue[0]
	if wait = time.Until(i.due); wait > 0 {
		return item{}, wait, false
	}
	p.queue[0] = item{}
	p.queue = p.queue[1:]
	p.size -= i.cost()
	signal(p.room)
	if i.kind == content {
		p.writing, p.forget = true, false
		_ = p.receiver().SetWriteDeadline(time.Time{})
	}
	return i, 0, true
}

// wrote settles a Write of an item, of which n bytes were passed on.
func (p *pipe) wrote(i item, n int, err error) {
	l := p.conn.link
	l.mu.Lock()
	defer l.mu.Unlock()
	p.writing = false
	l.stats.Passed += int64(n)
	i.data = i.data[n:]
	switch {
	case err == nil:
	case p.forget:
		p.lose(i)
		if !p.rule().severed { // healed before this Write had ended
			p.conn.abort()
		}
	case errors.Is(err, os.ErrDeadlineExceeded): // held during the Write
		l.stats.Held += int64(len(i.data))
		p.queue = slices.Insert(p.queue, 0, i)
		p.size += i.cost()
		signal(p.wake)
	default: // the receiver is gone, and the sender will hear of it in the usual way
		p.conn.pipes[1-p.way].push(item{kind: breach, read: time.Now()})
	}
}

// finish tells the receiver that the stream has ended, and ends the connection if both streams have.
func (p *pipe) finish() {
	p.conn.link.mu.Lock()
	defer p.conn.link.mu.Unlock()
	if p.conn.over {
		return
	}
	p.done = true
	_ = p.receiver().CloseWrite() // an error is of a receiver that is gone
	if c := p.conn; c.pipes[1-p.way].done {
		c.close()
		_, _ = c.near.Close(), c.far.Close()
	}
}

// receiver is the socket that the pipe empties into, once it was dialed. Only the writer may call it without
// the link's mutex.
func (p *pipe) receiver() *net.TCPConn {
	if p.way == up {
		return p.conn.far
	}
	return p.conn.near
}
