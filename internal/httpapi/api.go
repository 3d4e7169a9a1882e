package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Elector is what the surface asks; *election.Elector is one. Its methods are called concurrently, from
// before the elector runs until after it has ended, and must not block but where that is said.
type Elector interface {
	// Answer evaluates leadership now. A yes is a promise for as long as it says, at most limit.
	Answer(limit time.Duration) election.Answer
	// AnswerMax is the longest promise that Answer gives.
	AnswerMax() time.Duration
	// Look evaluates leadership now and promises nothing.
	Look() election.Answer
	// Watch returns the published state and a channel that is closed when a newer one is published. It
	// tells when to ask Answer or Look again.
	Watch() (election.State, <-chan struct{})
	// Stalled reports whether the elector's loop has stood still for so long that only a restart
	// of the process helps.
	Stalled() bool
	// Identity and Incarnation name this elector; they do not change.
	Identity() string
	Incarnation() string
	// History is the latest terms that the elector has seen, the oldest first.
	History() []election.PastTerm

	// The others block until etcd or the loop has answered, or ctx ends.

	Candidates(ctx context.Context) (election.Queue, error)
	PutValue(ctx context.Context, put election.ValuePut) (*election.Value, error)
	Resign(ctx context.Context, wish election.Resignation) error
	Transfer(ctx context.Context, wish election.Transfer) (token int64, to election.Candidate, err error)
	Unfence(ctx context.Context) error
}

var _ Elector = (*election.Elector)(nil)

// Config is what the surface needs. All fields but Logger are required.
type Config struct {
	Elector  Elector
	Election string       // "<namespace>/<name>", as bodies show it
	Metrics  http.Handler // answers /metrics
	Holds    Holds        // of workers; the zero value takes none
	Drains   Drains
	Writes   Writes       // who may change something
	Logger   *slog.Logger // is told of handlers that panic; nil: nobody is
}

// API is the HTTP surface of one elector. Its handlers may be served by any number of servers.
type API struct {
	elector Elector
	scrape  http.Handler
	logger  *slog.Logger
	self    Status // the fields that never change
	guard   *guard
	holds   Holds
	drains  Drains

	form        atomic.Pointer[form] // of the latest answer; any goroutine replaces it
	bodies      sync.Pool            // of *[]byte
	longest     time.Duration        // promise that Answer gives
	longestText []string             // the same as a header

	met atomic.Bool // a probe has found this elector ineligible and in contact with etcd
}

// New returns the surface of an elector. It starts nothing.
func New(cfg Config) *API {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	longest := cfg.Elector.AnswerMax()
	return &API{
		bodies:      sync.Pool{New: func() any { return new([]byte) }},
		longest:     longest,
		longestText: []string{strconv.FormatInt(longest.Milliseconds(), 10)},

		elector: cfg.Elector,
		scrape:  cfg.Metrics,
		guard:   newGuard(cfg.Writes),
		holds:   cfg.Holds,
		drains:  cfg.Drains,
		logger:  cfg.Logger,
		self: Status{
			Election:    clean(cfg.Election),
			Identity:    clean(cfg.Elector.Identity()),
			Incarnation: clean(cfg.Elector.Incarnation()),
		},
	}
}

// Main serves every route, for the main listener.
func (a *API) Main() http.Handler { return a.serve(newRoom(maxHeld), func(route) bool { return true }) }

// Probe serves the routes for probes, load balancers and scrapes, for a listener that others can reach.
func (a *API) Probe() http.Handler {
	return a.serve(newRoom(maxProbeHeld), func(r route) bool { return r.probe })
}

// Values of headers that every answer has; in canonical form and shared, so that they cost nothing.
var (
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
	jsonType = []string{"application/json"}
)

// serve dispatches to the routes that are wanted. Paths are compared as they are, without cleaning or
// redirects, so that a path means the same to this server and to whatever filters requests before it.
func (a *API) serve(room *room, wanted func(route) bool) http.Handler {
	table := make(map[string]route)
	var paths []string
	for _, rt := range a.routes() {
		if wanted(rt) {
			table[rt.path] = rt
			paths = append(paths, rt.path)
		}
	}
	notFound := failure{"no such path", "this listener has " + strings.Join(paths, ", ")}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer a.tellPanic(r)
		h := w.Header()
		h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
		if ambiguous(r) {
			h.Set("Connection", "close")
		}
		rt, ok := table[r.URL.Path]
		switch {
		case !ok:
			reply(w, r, http.StatusNotFound, notFound)
		case !rt.methods.has(r.Method):
			allowed := strings.Join(rt.methods, ", ")
			w.Header().Set("Allow", allowed)
			reply(w, r, http.StatusMethodNotAllowed, failure{"method not allowed", "use one of " + allowed})
		default:
			q, err := rt.takes.read(r.URL.RawQuery)
			if err != nil {
				reply(w, r, http.StatusBadRequest, failure{err.Error(), rt.takes.hint()})
				return
			}
			q.place = &place{room: room}
			defer q.place.leave()
			rt.handle(w, r, q)
		}
	})
}

// ambiguous reports whether what filters requests before this server may take another view of where a request ends, or
// of whom it asks. It is then its connection's last, so that nothing behind it passes for a request that was let
// through.
func ambiguous(r *http.Request) bool { return len(r.TransferEncoding) > 0 || r.URL.Host != "" }

// tellPanic logs a handler's panic and lets it go on, to the end of the process: see package crash.
func (a *API) tellPanic(r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p != http.ErrAbortHandler {
		a.logger.Error("a handler panicked, which ends the process; please report this", "path", r.URL.Path, "err", p)
	}
	panic(p)
}

type methods []string

func (m methods) has(method string) bool { return len(m) == 0 || slices.Contains(m, method) }

// failure is the body of every error.
type failure struct {
	Error string `json:"error"` // what is wrong
	Hint  string `json:"hint"`  // what to do about it
}

// statusOnly reports whether a request wants the status line and nothing else.
func statusOnly(r *http.Request) bool {
	return r.Method == http.MethodHead || r.Method == http.MethodOptions
}

// reply answers with a status and, unless only that is wanted, a body as a line of JSON.
func reply(w http.ResponseWriter, r *http.Request, status int, body any) {
	if statusOnly(r) {
		w.WriteHeader(status)
		return
	}
	write(w, status, append(encode(body), '\n'))
}

// encode never fails: bodies are structs of strings, numbers, booleans and times. Bytes that are not
// UTF-8 and characters that mean something in HTML come out as escapes.
func encode(body any) []byte {
	b, err := json.Marshal(body)
	if err != nil {
		panic("encode body: " + err.Error())
	}
	return b
}

// write sends a JSON body. An error means that the reader is gone, which is nobody's concern.
func write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// clean makes valid UTF-8 of text that others chose.
func clean(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// decode reads a body of one JSON object with known fields and nothing behind it.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the body cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body goes on behind its object")
	}
	return nil
}
