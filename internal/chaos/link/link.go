package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
)

// The directions, as indices: up is from the one who dialed to the target.
const (
	up = iota
	down
)

// dialTimeout bounds the dial to a target that neither accepts nor refuses.
const dialTimeout = 10 * time.Second

// Link is an address that leads to another one. Its methods are safe for concurrent use, and none of them
// waits for the network, except that Close joins what the link started.
type Link struct {
	listener *net.TCPListener
	target   string
	stop     context.CancelFunc
	workers  sync.WaitGroup // the accepting one and those of all connections

	mu    sync.Mutex // guards the fields below and everything of the connections; never held while waiting
	rules [2]rule    // by direction
	conns map[*conn]struct{}
	stats Stats
}

// rule is what happens to the bytes of one direction.
type rule struct {
	delay   time.Duration
	held    bool
	severed bool
}

// Stats counts what a link has done since it was made. A difference of two tells whether a fault had any
// effect.
type Stats struct {
	Conns   int   // accepted
	Passed  int64 // bytes that were given to the kernel on the way to their receiver
	Held    int64 // bytes that were held back for some time, each counted once per Hold
	Lost    int64 // bytes that will never arrive because of Sever
	Delayed int64 // bytes that were read while a delay was set
}

// Listen makes a link from a free port of host, an IP address, to target, a host and a port. The target
// need not be there: a connection that it refuses is reset. Close the link.
func Listen(host, target string) (*Link, error) {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, fmt.Errorf("link to %q: %w", target, err)
	}
	var listener net.Listener
	var err error
	for range 5 { // a port that was free a moment ago may be taken
		var addr string
		if addr, err = devetcd.FreeAddress(host); err != nil {
			break
		}
		if listener, err = net.Listen("tcp", addr); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for a link to %s: %w", target, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Link{listener: listener.(*net.TCPListener), target: target, stop: stop, conns: map[*conn]struct{}{}}
	l.workers.Go(func() { l.accept(ctx) })
	return l, nil
}

// Addr returns the host and port to dial instead of the target's.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Close resets all connections, stops listening and joins what the link started. Later calls do nothing.
func (l *Link) Close() error {
	l.stop()
	err := l.listener.Close()
	l.Reset()
	l.workers.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Delay passes each byte on no sooner than this long after it was read; 0 is at once. Bytes that were read
// before keep the delay of their time, and later ones stay behind them.
func (l *Link) Delay(upward, downward time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules[up].delay, l.rules[down].delay = max(0, upward), max(0, downward)
}

// Hold says in which directions bytes are held back from now on, those on their way included. A direction
// that was held and no longer is goes on, as by Release.
func (l *Link) Hold(upward, downward bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for way, hold := range [2]bool{upward, downward} {
		was := l.rules[way].held
		l.rules[way].held = hold
		for c := range l.conns {
			switch p := c.pipes[way]; {
			case hold && !was:
				p.hold()
			case was && !hold:
				p.release()
			}
		}
	}
}

// Release passes on at once, in their order, all bytes that were held back, whatever delay is set, and holds
// back no more.
func (l *Link) Release() { l.Hold(false, false) }

// Sever says in which directions nothing passes from now on. Nobody is told: connections stay open, new ones
// are accepted, and what is sent is lost, as are the bytes on their way, those held back, and the ends of
// streams and connections. Only what the kernel was given before still arrives. A direction that was severed
// and no longer is has healed: see Heal.
func (l *Link) Sever(upward, downward bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for way, sever := range [2]bool{upward, downward} {
		l.rules[way].severed = sever
		for c := range l.conns {
			switch p := c.pipes[way]; {
			case sever:
				p.sever()
			case p.lost:
				c.abort()
			default:
				signal(p.wake)
			}
		}
	}
}

// Heal ends Sever. Connections that lost something meanwhile are reset, since a stream cannot go on with a
// hole; those that lost nothing go on.
func (l *Link) Heal() { l.Sever(false, false) }

// Reset ends all connections with a TCP reset to both sides. Bytes on their way are not counted as lost.
func (l *Link) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.abort()
	}
}

// Stats returns what the link has done so far.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// accept serves connections until the listener is closed.
func (l *Link) accept(ctx context.Context) {
	for {
		near, err := l.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, or a client that is gone already
			select {
			case <-time.After(10 * time.Millisecond):
				continue
			case <-ctx.Done():
				return
			}
		}
		l.serve(ctx, near)
	}
}
