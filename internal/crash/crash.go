// Package crash ends the process where something would recover a panic and go on. After a panic nothing is known of what
// the process holds, and an elector of which that is so must not say yes: dead, it is a no to everybody, its command is
// killed by the kernel and its guard, and its key is left to the lease.
//
// Two libraries would go on: net/http recovers the panics of handlers, and of what else it calls in a connection's
// goroutine, and Prometheus' registry those of collectors. Everywhere else a panic ends the process anyhow.
package crash

import (
	"errors"
	"net/http"
)

// OnPanic is to be deferred. When the function panics the process ends as after any panic, in a goroutine that nobody
// recovers; the one that panicked stands still meanwhile, so that its stack is told. http.ErrAbortHandler is no fault but
// how a handler cuts its connection, and passes.
func OnPanic() {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	go panic(p)
	select {}
}

// Handler is h, of which a panic ends the process.
func Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer OnPanic()
		h.ServeHTTP(w, r)
	})
}
