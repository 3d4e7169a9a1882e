package httpapi

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// maxConns is how many connections a server has at most: all requests that may be held, and as many more
// as the short ones of probes, load balancers and programs need at one instant. It stays far below the
// descriptors that a process usually has, which etcd's connections come out of too.
const maxConns = maxHeld + 256

// conns keeps the number of a server's connections. When one more comes than may be, that one makes room
// which has been without a request in a handler for longest; so those that are idle, or say nothing, or
// half of something, never shut others out. Requests only note that they begin and end, without a lock: with
// many connections it would be the one thing that they all wait for.
type conns struct {
	most int
	turn atomic.Int64 // counts admissions and ends of requests

	mu sync.Mutex // guards the field below, for a change of it, and a look at all peers when room is made
	at map[net.Conn]*peer
}

// peer is a connection.
type peer struct {
	busy  atomic.Bool  // a request of it is in a handler
	since atomic.Int64 // the turn at which it was last without one
}

// peerKey is the key of a request's *peer in its context.
type peerKey struct{}

func newConns(most int) *conns { return &conns{most: most, at: map[net.Conn]*peer{}} }

// admit takes a new connection in; it is for http.Server.ConnContext. When all others are busy, which a
// server with slow requests beside all that may be held can be, it is the new one that is closed.
func (c *conns) admit(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.at) >= c.most && !c.makeRoom() {
		_ = conn.Close() // its peer learns all there is to tell
		return ctx
	}
	p := &peer{}
	p.since.Store(c.turn.Add(1))
	c.at[conn] = p
	return context.WithValue(ctx, peerKey{}, p)
}

// makeRoom closes the connection that has been without a request for longest. It wants mu held.
func (c *conns) makeRoom() bool {
	var longest net.Conn
	var since int64
	for conn, p := range c.at {
		if at := p.since.Load(); !p.busy.Load() && (longest == nil || at < since) {
			longest, since = conn, at
		}
	}
	if longest == nil {
		return false
	}
	delete(c.at, longest)
	_ = longest.Close() // nobody waits for anything on it
	return true
}

// follow is for http.Server.ConnState.
func (c *conns) follow(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.at, conn)
}

// handler marks connections as busy while h has a request of theirs.
func (c *conns) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := r.Context().Value(peerKey{}).(*peer); ok {
			p.busy.Store(true)
			defer func() {
				p.since.Store(c.turn.Add(1))
				p.busy.Store(false)
			}()
		}
		h.ServeHTTP(w, r)
	})
}
