package main

import (
	"context"
	_ "embed" // holds the page
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The page of the whole fleet.
var (
	//go:embed page/fleet.html
	pageDocument string
	//go:embed page/fleet.css
	pageStyle string
	//go:embed page/fleet.js
	pageScript string
)

// pagePolicy has the page ask nothing of others, and run nothing but itself.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// web serves the page, the tape, and what the page's buttons do.
type web struct {
	tape    *tape
	elapsed func() time.Duration
	targets []target // none: nothing can be done
	mux     *http.ServeMux
}

// newWeb makes the server of a tape. The counter may be nil.
func newWeb(t *tape, elapsed func() time.Duration, targets []target, c *counter) *web {
	w := &web{tape: t, elapsed: elapsed, targets: targets, mux: http.NewServeMux()}
	file := func(kind, text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", kind+"; charset=utf-8")
			rw.Header().Set("Content-Security-Policy", pagePolicy)
			rw.Header().Set("Cache-Control", "no-store")
			_, _ = rw.Write([]byte(text)) // a reader that is gone misses nothing
		}
	}
	w.mux.HandleFunc("GET /{$}", file("text/html", pageDocument))
	w.mux.HandleFunc("GET /fleet.css", file("text/css", pageStyle))
	w.mux.HandleFunc("GET /fleet.js", file("text/javascript", pageScript))
	w.mux.HandleFunc("GET /moments", w.moments)
	w.mux.HandleFunc("POST /do", w.do)
	if c != nil {
		w.mux.Handle("POST /counter", c)
	}
	return w
}

// serve serves until the context ends, and joins its handlers.
func (w *web) serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: w.mux, ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the page: %w", err)
	case <-ctx.Done():
	}
	over, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = server.Shutdown(over) // whoever has not ended by then is cut
	_ = server.Close()
	<-ended
	return context.Cause(ctx)
}

// moments streams the tape, from its setup to what happens now. What was so before the stream began comes with a mark
// behind it that says what time it is.
func (w *web) moments(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.Header().Set("Cache-Control", "no-store")
	conn := http.NewResponseController(rw)
	out := json.NewEncoder(rw)
	send := func(event string, what any) error {
		if _, err := fmt.Fprintf(rw, "event: %s\ndata: ", event); err != nil {
			return err
		}
		if err := out.Encode(what); err != nil { // which ends the line
			return err
		}
		_, err := rw.Write([]byte("\n"))
		return err
	}
	if send("moments", []moment{w.tape.setup}) != nil {
		return
	}
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	for n := 0; ; {
		moments, next, changed := w.tape.from(n)
		n = next
		for part := range slices.Chunk(moments, 1000) {
			if send("moments", part) != nil {
				return
			}
		}
		if send("now", w.elapsed().Milliseconds()) != nil || conn.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
	}
}

// do does to an elector or a member what a button of the page says.
func (w *web) do(rw http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || !ownHost(r.Host) {
		http.Error(rw, "only the demo's own page may do that", http.StatusForbidden)
		return
	}
	var order struct{ Who, What string }
	if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 1<<10)).Decode(&order); err != nil {
		http.Error(rw, "send who and what", http.StatusBadRequest)
		return
	}
	i := slices.IndexFunc(w.targets, func(t target) bool { return t.label() == order.Who })
	if i < 0 {
		http.Error(rw, "there is nobody of that name to do anything to", http.StatusNotFound)
		return
	}
	if err := act(w.targets[i], order.What); err != nil {
		http.Error(rw, err.Error(), http.StatusConflict)
		return
	}
	rw.WriteHeader(http.StatusNoContent)
}

// act does what a word says.
func act(t target, what string) error {
	switch what {
	case "stop":
		return t.stop()
	case "kill":
		return t.kill()
	case "freeze":
		return t.freeze()
	case "thaw":
		return t.thaw()
	case "cut":
		return t.cut(true)
	case "heal":
		return t.cut(false)
	case "start":
		return t.start()
	}
	return errors.New("nothing is known by that word")
}

// ownHost keeps out names that somebody has made resolve to this host.
func ownHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && (addr.IsLoopback() || addr.IsPrivate())
}
