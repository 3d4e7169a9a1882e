package httpapi

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/elector-dev/elector/internal/crash"
)

// maxConns is how many connections a server has at most: all requests that may be held, and as many more
// as the short ones of probes, load balancers and programs need at one instant. It stays far below the
// descriptors that a process usually has, which etcd's connections come out of too.
const maxConns = maxHeld + 256

// conns keeps the number of a server's connections. When one more comes than may be, that one makes room
// which has been without a request in a handler for longest; so those that are idle, or say nothing, or
// half of something, never shut others out.
type conns struct {
	most int

	mu   sync.Mutex // guards the fields below, for a few steps along the list
	list list.List  // of *peer; the longer without a request, the nearer to the front, but for busy ones
	at   map[net.Conn]*list.Element
}

// peer is a connection.
type peer struct {
	net.Conn
	busy bool // a request of it is in a handler
}

// peerKey is the key of a request's *list.Element in its context.
type peerKey struct{}

func newConns(most int) *conns { return &conns{most: most, at: map[net.Conn]*list.Element{}} }

// admit takes a new connection in; it is for http.Server.ConnContext. When all others are busy, which a
// server with slow requests beside all that may be held can be, it is the new one that is closed.
func (c *conns) admit(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.at) >= c.most && !c.makeRoom() {
		_ = conn.Close() // its peer learns all there is to tell
		return ctx
	}
	e := c.list.PushBack(&peer{Conn: conn})
	c.at[conn] = e
	return context.WithValue(ctx, peerKey{}, e)
}

// makeRoom closes the connection that has been without a request for longest. It wants mu held.
func (c *conns) makeRoom() bool {
	for e := c.list.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*peer); !p.busy {
			c.remove(p.Conn)
			_ = p.Conn.Close() // nobody waits for anything on it
			return true
		}
	}
	return false
}

func (c *conns) remove(conn net.Conn) {
	if e := c.at[conn]; e != nil {
		c.list.Remove(e)
		delete(c.at, conn)
	}
}

// follow is for http.Server.ConnState.
func (c *conns) follow(conn net.Conn, state http.ConnState) {
	defer crash.OnPanic() // net/http would go on
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(conn)
}

// handler marks connections as busy while h has a request of theirs.
func (c *conns) handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e, ok := r.Context().Value(peerKey{}).(*list.Element); ok {
			c.mark(e, true)
			defer c.mark(e, false)
		}
		h.ServeHTTP(w, r)
	})
}

func (c *conns) mark(e *list.Element, busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Value.(*peer).busy = busy
	c.list.MoveToBack(e) // nothing, if it had to make room meanwhile
}
