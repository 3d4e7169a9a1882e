package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/elector-dev/elector/internal/crash"
)

// These are how many connections a server has at most: all requests that may be held or slow, and as many more
// as the short ones of probes, load balancers and programs need at one instant, which nothing holds up. It stays far
// below the descriptors that a process usually has, which etcd's connections come out of too.
const (
	maxConns      = maxHeld + maxSlow + 128
	maxProbeConns = maxProbeHeld + maxSlow + 128
)

// maxBuffer is how many bytes the kernel keeps for a connection in each direction (Linux keeps twice that): of answers that
// are not read, and of what comes unasked. In a container that is the elector's memory, and else grows to megabytes.
const maxBuffer = 32 << 10

// conns keeps the number of a server's connections. When one more comes than may be, one that is without a request in a
// handler makes room: of the host that has most connections, that which has been so for longest. So those that are idle,
// or say nothing, or half of something, never shut others out, and a greedy host shuts out itself. Requests only note that
// they begin and end, without a lock: with many connections it would be the one thing that they all wait for.
type conns struct {
	most int
	turn atomic.Int64 // counts admissions and ends of requests

	mu sync.Mutex // guards the fields below, for a change of them, and a look at all peers when room is made
	at map[net.Conn]*peer
	of map[string]*host
}

// host is where connections come from.
type host struct {
	name  string
	conns int
}

// peer is a connection.
type peer struct {
	from  *host
	busy  atomic.Int32 // requests of it that are in a handler; HTTP/2 may have several
	since atomic.Int64 // the turn at which it was last without one
}

// peerKey is the key of a request's *peer in its context.
type peerKey struct{}

func newConns(most int) *conns {
	return &conns{most: most, at: map[net.Conn]*peer{}, of: map[string]*host{}}
}

// hostOf is whose connection it is: an address, or of IPv6 the network that one host usually has to itself. All that come
// over a Unix socket are one.
func hostOf(conn net.Conn) string {
	at, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	addr := at.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() {
		network, _ := addr.Prefix(64) // 64 is no error
		addr = network.Addr()
	}
	return addr.String()
}

// admit takes a new connection in; it is for http.Server.ConnContext. When all others are busy it is the new one that is
// closed.
func (c *conns) admit(ctx context.Context, conn net.Conn) context.Context {
	name := hostOf(conn)
	if t, ok := beneath(conn).(*net.TCPConn); ok {
		_ = errors.Join(t.SetReadBuffer(maxBuffer), t.SetWriteBuffer(maxBuffer)) // one that is closed already keeps nothing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.at) >= c.most && !c.makeRoom() {
		cut(conn) // its peer learns all there is to tell
		return ctx
	}
	from := c.of[name]
	if from == nil {
		from = &host{name: name}
		c.of[name] = from
	}
	from.conns++
	p := &peer{from: from}
	p.since.Store(c.turn.Add(1))
	c.at[conn] = p
	return context.WithValue(ctx, peerKey{}, p)
}

// makeRoom closes a connection without a request. It wants mu held.
func (c *conns) makeRoom() bool {
	var least net.Conn
	for conn, p := range c.at {
		if p.busy.Load() == 0 && (least == nil || p.before(c.at[least])) {
			least = conn
		}
	}
	if least == nil {
		return false
	}
	c.remove(least)
	cut(least) // nobody waits for anything on it
	return true
}

// before reports whether a peer is to make room before another one.
func (p *peer) before(other *peer) bool {
	if p.from.conns != other.from.conns {
		return p.from.conns > other.from.conns
	}
	return p.since.Load() < other.since.Load()
}

// cut closes a connection without another word: TLS would say farewell, and wait for some seconds until that is read.
func cut(conn net.Conn) { _ = beneath(conn).Close() }

// beneath is the connection that TLS is spoken on, if it is.
func beneath(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

func (c *conns) remove(conn net.Conn) {
	p := c.at[conn]
	if p == nil {
		return
	}
	delete(c.at, conn)
	if p.from.conns--; p.from.conns == 0 {
		delete(c.of, p.from.name)
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
		if p, ok := r.Context().Value(peerKey{}).(*peer); ok {
			p.busy.Add(1)
			defer func() {
				p.since.Store(c.turn.Add(1))
				p.busy.Add(-1)
			}()
		}
		h.ServeHTTP(w, r)
	})
}
