package httpapi

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// maxConnections is how many connections a server keeps: those that wait, and some for the others. When one
// more comes, the one that has been of no use for the longest time makes room, so that connections which
// are idle, half-open or dawdle over their headers never shut anybody out.
const maxConnections = maxWaiting + 256

// connections keeps the open connections of a server.
type connections struct {
	limit int

	mu   sync.Mutex // guards the fields below, for a look at each connection at most
	open map[net.Conn]*connection
	uses uint64 // counts signs of use
}

// connection is one of them.
type connection struct {
	busy atomic.Int64 // requests in a handler
	used uint64       // when it last began or ended a request, as connections.uses; guarded by connections.mu
}

// track makes a server keep no more than limit connections.
func track(s *http.Server, limit int) {
	cs := &connections{limit: limit, open: make(map[net.Conn]*connection)}
	handler := s.Handler
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, cs.add(c))
	}
	s.ConnState = cs.note
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(connectionKey{}).(*connection)
		c.busy.Add(1)
		defer c.busy.Add(-1)
		handler.ServeHTTP(w, r)
	})
}

// connectionKey is where a request's context has its *connection.
type connectionKey struct{}

// add takes a new connection in, and closes the one that it takes the place of, if it takes one's.
func (cs *connections) add(c net.Conn) *connection {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.uses++
	added := &connection{used: cs.uses}
	if len(cs.open) >= cs.limit {
		cs.makeRoom()
	}
	cs.open[c] = added
	return added
}

// makeRoom closes the connection that has not been used for the longest time and has no request in a
// handler. There is one, since fewer may wait than there are connections. It wants mu held.
func (cs *connections) makeRoom() {
	var useless net.Conn
	for c, conn := range cs.open {
		if conn.busy.Load() == 0 && (useless == nil || conn.used < cs.open[useless].used) {
			useless = c
		}
	}
	if useless != nil {
		delete(cs.open, useless)
		_ = useless.Close() // its server's goroutine finds it closed
	}
}

// note takes in what the server tells of a connection.
func (cs *connections) note(c net.Conn, state http.ConnState) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.uses++
	switch conn := cs.open[c]; state {
	case http.StateIdle:
		if conn != nil {
			conn.used = cs.uses
		}
	case http.StateClosed, http.StateHijacked:
		delete(cs.open, c)
	}
}
