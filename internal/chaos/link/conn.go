package link

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// conn is one connection: two sockets and a pipe for each direction between them. The link's mutex guards
// the fields.
type conn struct {
	link  *Link
	near  *net.TCPConn // of the one who dialed
	far   *net.TCPConn // of the target; nil until it was dialed
	pipes [2]*pipe     // by direction
	end   context.CancelFunc
	over  bool
}

// serve starts a connection. What it starts ends with the connection or with the context.
func (l *Link) serve(ctx context.Context, near *net.TCPConn) {
	ctx, end := context.WithCancel(ctx)
	c := &conn{link: l, near: near, end: end}
	for way := range c.pipes {
		c.pipes[way] = &pipe{conn: c, way: way, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Conns++
	l.conns[c] = struct{}{}
	if ctx.Err() != nil { // Close came first and has not seen this one
		c.abort()
		return
	}
	c.pipes[up].push(item{kind: opening, read: time.Now()})
	l.workers.Go(func() { c.read(ctx, near, c.pipes[up]) })
	l.workers.Go(func() { c.write(ctx, c.pipes[up]) })
}

// read fills a pipe from a socket until the stream or the connection ends.
func (c *conn) read(ctx context.Context, src *net.TCPConn, p *pipe) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		at := time.Now()
		if n > 0 && !p.put(ctx, at, buf[:n]) {
			return
		}
		if err != nil {
			c.link.mu.Lock()
			if errors.Is(err, io.EOF) {
				p.push(item{kind: finish, read: at})
			} else {
				p.push(item{kind: breach, read: at})
			}
			c.link.mu.Unlock()
			return
		}
	}
}

// write empties a pipe into its receiver until the connection ends. It does not end with the stream: the
// breach may come behind.
func (c *conn) write(ctx context.Context, p *pipe) {
	for {
		i, ok := p.take(ctx)
		if !ok {
			return
		}
		switch i.kind {
		case opening:
			if !c.dial(ctx) {
				return
			}
		case content:
			n, err := p.receiver().Write(i.data)
			p.wrote(i, n, err)
		case finish:
			p.finish()
		case breach:
			c.link.mu.Lock()
			c.abort()
			c.link.mu.Unlock()
			return
		}
	}
}

// dial connects to the target and starts the way down. A target that cannot be reached is passed on to the
// one who dialed as a reset.
func (c *conn) dial(ctx context.Context) bool {
	limited, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// A dial that is called off when the target has accepted already must not look like the end of a stream.
	dialer := net.Dialer{ControlContext: lingerless}
	far, err := dialer.DialContext(limited, "tcp", c.link.target)
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if err != nil {
		c.pipes[down].push(item{kind: breach, read: time.Now()})
	} else {
		c.far = far.(*net.TCPConn)
		_ = c.far.SetLinger(-1)
		if c.over {
			c.reset(c.far)
			return false
		}
		c.link.workers.Go(func() { c.read(ctx, c.far, c.pipes[down]) })
	}
	c.link.workers.Go(func() { c.write(ctx, c.pipes[down]) })
	return err == nil
}

// lingerless makes a socket that sends a reset when it is closed.
func lingerless(_ context.Context, _, _ string, raw syscall.RawConn) error {
	var err error
	controlled := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	})
	return errors.Join(controlled, err)
}

// abort ends the connection with a reset to both sides; the link's mutex is held.
func (c *conn) abort() {
	if c.over {
		return
	}
	c.close()
	c.reset(c.near)
	c.reset(c.far)
}

// close ends the connection's goroutines and forgets it; the sockets are left to the caller, who holds the
// link's mutex.
func (c *conn) close() {
	c.over = true
	c.end()
	delete(c.link.conns, c)
}

// reset closes a socket such that its peer is sent a reset. Errors are of sockets that are gone already.
func (c *conn) reset(s *net.TCPConn) {
	if s == nil {
		return
	}
	_ = s.SetLinger(0)
	_ = s.Close()
}
