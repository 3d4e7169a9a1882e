package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/election"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// asBroken makes this test binary a server whose handler panics.
const asBroken = "ELECTOR_TEST_AS_BROKEN"

func TestMain(m *testing.M) {
	if os.Getenv(asBroken) != "" {
		s := httptest.NewUnstartedServer(nil)
		s.Config = NewServer(newAPI(broken{leading()}).Main())
		s.Start()
		_, _ = s.Client().Get(s.URL + "/leader") // no answer comes
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// broken panics when it is asked.
type broken struct{ *scripted }

func (broken) Answer(time.Duration) election.Answer { panic("nothing is known any more") }

// net/http would recover it and go on.
func TestPanicOfAHandlerEndsTheProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asBroken+"=1")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "panic: nothing is known any more") {
		t.Errorf("%v, said:\n%s", err, out)
	}
}

// scripted is an elector that says what it is told to, and counts how it is asked.
type scripted struct {
	now      election.Answer
	identity string
	stalled  bool
	promises atomic.Int64 // calls of Answer
	limit    time.Duration

	queue    election.Queue
	past     []election.PastTerm
	err      error // of what is asked of etcd and the loop
	put      election.ValuePut
	resigned election.Resignation
	passed   election.Transfer
}

func (s *scripted) Answer(limit time.Duration) election.Answer {
	s.promises.Add(1)
	s.limit = limit
	return s.now
}

func (s *scripted) Look() election.Answer {
	a := s.now
	a.ExpiresIn, a.ExpiresAt = 0, a.At
	return a
}

func (s *scripted) Watch() (election.State, <-chan struct{}) { return s.now.State, nil }
func (s *scripted) History() []election.PastTerm             { return s.past }

func (s *scripted) Candidates(context.Context) (election.Queue, error) { return s.queue, s.err }

func (s *scripted) PutValue(_ context.Context, put election.ValuePut) (*election.Value, error) {
	s.put = put
	if s.err != nil {
		return nil, s.err
	}
	return &election.Value{Bytes: put.Bytes, ContentType: put.ContentType, Token: put.Token, Revision: 77}, nil
}

func (s *scripted) Resign(_ context.Context, wish election.Resignation) error {
	s.resigned = wish
	if s.err == nil {
		s.now.State.Phase, s.now.State.Token, s.now.Leading = election.Connecting, 0, false
	}
	return s.err
}

func (s *scripted) Transfer(_ context.Context, wish election.Transfer) (int64, election.Candidate, error) {
	s.passed = wish
	if s.err != nil {
		return 0, election.Candidate{}, s.err
	}
	token := s.now.State.Token
	s.now.State.Phase, s.now.State.Token, s.now.Leading = election.Connecting, 0, false
	s.now.Leader = election.Candidate{Identity: wish.To, Token: token + 1}
	return token, s.now.Leader, nil
}

func (s *scripted) Unfence(context.Context) error { return s.err }

func (s *scripted) AnswerMax() time.Duration { return 2 * time.Second }
func (s *scripted) Stalled() bool            { return s.stalled }
func (s *scripted) Identity() string         { return s.identity }
func (s *scripted) Incarnation() string      { return "3f1c9a70" }

func newAPI(e Elector) *API {
	return guarded(e, Writes{})
}

// ask sends one request to the main listener.
func ask(e Elector, method, target string) *httptest.ResponseRecorder {
	return askOf(newAPI(e).Main(), method, target)
}

func askOf(h http.Handler, method, target string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, target, nil))
	return rec
}

var (
	began = time.Date(2026, 3, 1, 12, 0, 0, 987_654_321, time.FixedZone("", 7200))
	found = began.Add(-time.Minute)
)

// leading is an elector with a yes that is certain for a little less than 2 s.
func leading() *scripted {
	return &scripted{identity: "pod-a", now: election.Answer{
		State: election.State{
			Seq: 7, Phase: election.Leader, Cause: election.CauseWon, Since: began, Token: 4242,
			Registered: true, EverRegistered: true, Lease: 0x694d9a1b2c3d4e5f, LeaseTTL: 10 * time.Second,
			Leader: election.Candidate{Identity: "pod-a", Incarnation: "3f1c9a70", Token: 4242}, LeaderFrom: began,
			Refusal: "user \"u\" lacks permission",
		},
		At: 5_000_000_000, Leading: true, Connected: true,
		ExpiresIn: 1_999_999_999, ExpiresAt: 6_999_999_999, SinceRenewal: 1234567 * time.Microsecond,
	}}
}

// following is a registered elector that sees another lead.
func following() *scripted {
	return &scripted{identity: "pod-b", now: election.Answer{
		State: election.State{
			Seq: 3, Phase: election.Follower, Cause: election.CauseRegistered, Since: began,
			Registered: true, EverRegistered: true, Lease: 0xabc, LeaseTTL: 10 * time.Second,
			Leader: election.Candidate{Identity: "pod-a", Token: 4242}, LeaderFrom: found,
		},
		At: 5_000_000_000, Connected: true, SinceRenewal: time.Second,
	}}
}

// alone is an elector that has just started.
func alone() *scripted {
	return &scripted{identity: "pod-c", now: election.Answer{
		State: election.State{Seq: 1, Phase: election.Connecting, Since: began},
		At:    5_000_000_000,
	}}
}

func TestBodiesAreAsDocumented(t *testing.T) {
	for _, c := range []struct {
		file, target string
		elector      *scripted
		status       int
	}{
		{"leader_yes", "/leader", leading(), 200},
		{"leader_no", "/leader", following(), 503},
		{"leader_alone", "/leader", alone(), 503},
		{"status_yes", "/status", leading(), 200},
		{"status_no", "/status", following(), 200},
		{"root_yes", "/", leading(), 200},
		{"root_no", "/", following(), 200},
		{"root_nobody", "/", alone(), 200},
		{"livez", "/livez", following(), 200},
		{"readyz", "/readyz", following(), 200},
		{"readyz_not", "/readyz", alone(), 503},
		{"readyz_query", "/readyz?role=master", leading(), 400},
		{"query_unknown", "/livez?verbose", leading(), 400},
		{"query_value", "/leader?wait=11m", leading(), 400},
		{"status_value", "/status", sharing("text/plain", "x"), 200},
		{"primary_yes", "/primary?max=500ms", leading(), 200},
		{"replica_yes", "/replica", following(), 200},
		{"candidates", "/candidates", standing(), 200},
		{"history", "/history", standing(), 200},
		{"value_none", "/value", following(), 404},
		{"not_found", "/leader/", leading(), 404},
	} {
		t.Run(c.file, func(t *testing.T) {
			rec := ask(c.elector, http.MethodGet, c.target)
			if rec.Code != c.status {
				t.Errorf("status %d, want %d", rec.Code, c.status)
			}
			if got := rec.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
			golden(t, "testdata/"+c.file+".json", rec.Body.Bytes())
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("differs from %s:\n got %s\nwant %s", file, got, want)
	}
}

func TestYesCarriesTokenAndExpiryInHeadersAndIsPromised(t *testing.T) {
	for _, target := range []string{"/leader", "/primary", "/follower", "/read-only", "/health", "/status", "/"} {
		e := leading()
		rec := ask(e, http.MethodGet, target)
		if got := rec.Header().Get("Elector-Token"); got != "4242" {
			t.Errorf("%s: Elector-Token %q", target, got)
		}
		if got := rec.Header().Get("Elector-Expires-In-Ms"); got != "1999" {
			t.Errorf("%s: Elector-Expires-In-Ms %q", target, got)
		}
		if e.promises.Load() != 1 || e.limit != e.AnswerMax() {
			t.Errorf("%s: %d promises, limit %v", target, e.promises.Load(), e.limit)
		}
	}
}

func TestNoHasNoElectorHeaders(t *testing.T) {
	for _, target := range []string{"/leader", "/replica", "/health", "/status", "/", "/livez", "/readyz", "/metrics", "/nowhere"} {
		for _, e := range []*scripted{following(), alone()} {
			wantNoElectorHeaders(t, ask(e, http.MethodGet, target))
		}
	}
}

func wantNoElectorHeaders(t *testing.T, rec *httptest.ResponseRecorder) {
	t.Helper()
	for name := range maps.Keys(rec.Header()) {
		if strings.HasPrefix(name, "Elector-") {
			t.Errorf("header %s: %s", name, rec.Header().Get(name))
		}
	}
}

func TestStatusLineIsAllThatHeadAndOptionsGet(t *testing.T) {
	for _, method := range []string{http.MethodHead, http.MethodOptions} {
		for target, want := range map[string][2]int{ // status for a leader and for one that has just started
			"/": {200, 200}, "/leader": {200, 503}, "/status": {200, 200}, "/livez": {200, 200}, "/readyz": {200, 503},
			"/leader?wait=10m": {200, 503}, "/status?wait=10m": {200, 200}, "/events?renewals=1": {200, 200}, "/sse": {200, 200},
			"/follower": {503, 503}, "/read-only": {200, 503}, "/health": {200, 503},
			"/readyz?role=nobody": {400, 400}, "/events?wait=1s": {400, 400}, "/nowhere": {404, 404},
		} {
			for i, e := range []*scripted{leading(), alone()} {
				rec := ask(e, method, target)
				if rec.Code != want[i] || rec.Body.Len() != 0 {
					t.Errorf("%s %s: %d with %d bytes, want %d with none", method, target, rec.Code, rec.Body.Len(), want[i])
				}
				wantNoElectorHeaders(t, rec)
				if e.promises.Load() != 0 {
					t.Errorf("%s %s promised something", method, target)
				}
			}
		}
	}
}

func TestProbesAndScrapesPromiseNothing(t *testing.T) {
	for _, target := range []string{
		"/livez", "/liveness", "/healthz", "/readyz", "/readiness", "/readyz?role=leader&contact=required", "/metrics",
	} {
		e := leading()
		rec := ask(e, http.MethodGet, target)
		if rec.Code != http.StatusOK || e.promises.Load() != 0 {
			t.Errorf("%s: %d, %d promises", target, rec.Code, e.promises.Load())
		}
		wantNoElectorHeaders(t, rec)
	}
}

func TestOldContractAnswersEveryMethodInItsOwnBytes(t *testing.T) {
	const want = `{"name":"pod-a","last_update":"2026-03-01T10:00:00Z","is_leader":true,"expires_in_ms":1999}`
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
		e := leading()
		if rec := ask(e, method, "/?x=y"); rec.Code != http.StatusOK || rec.Body.String() != want || e.promises.Load() != 1 {
			t.Errorf("%s: %d %q, %d promises", method, rec.Code, rec.Body, e.promises.Load())
		}
	}
}

func TestUnknownPathsAndWrongMethodsAreErrorsWithAHint(t *testing.T) {
	for _, c := range []struct {
		method, target string
		status         int
		allow          string
	}{
		{"GET", "/nowhere", 404, ""},
		{"GET", "//leader", 404, ""},
		{"GET", "/leader/../status", 404, ""},
		{"POST", "/nowhere", 404, ""},
		{"POST", "/leader", 405, "GET, HEAD, OPTIONS"},
		{"PUT", "/status", 405, "GET, HEAD, OPTIONS"},
		{"DELETE", "/readyz", 405, "GET, HEAD, OPTIONS"},
		{"POST", "/metrics", 405, "GET, HEAD"},
	} {
		e := leading()
		rec := ask(e, c.method, c.target)
		var f failure
		if err := json.Unmarshal(rec.Body.Bytes(), &f); err != nil || f.Error == "" || f.Hint == "" {
			t.Errorf("%s %s: body %q: %v", c.method, c.target, rec.Body, err)
		}
		if rec.Code != c.status || rec.Header().Get("Allow") != c.allow || e.promises.Load() != 0 {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.target, rec.Code, rec.Header().Get("Allow"))
		}
	}
}

func TestProbeListenerHasRolesProbesAndScrapesOnly(t *testing.T) {
	h := newAPI(leading()).Probe()
	for target, want := range map[string]int{
		"/leader": 200, "/primary": 200, "/read-write": 200, "/follower": 503, "/replica": 503, "/read-only": 200, "/health": 200,
		"/livez": 200, "/liveness": 200, "/healthz": 200, "/readyz": 200, "/readiness": 200, "/metrics": 200,
		"/": 404, "/status": 404, "/events": 404, "/sse": 404, "/candidates": 404, "/history": 404, "/value": 404, "/resign": 404,
	} {
		if rec := askOf(h, http.MethodGet, target); rec.Code != want {
			t.Errorf("%s: %d, want %d", target, rec.Code, want)
		}
	}
	rec := askOf(h, http.MethodGet, "/status")
	if want := "this listener has /leader, /primary,"; !strings.Contains(rec.Body.String(), want) {
		t.Errorf("hint of %s", rec.Body)
	}
}

func TestNothingMayBeCached(t *testing.T) {
	for _, target := range []string{"/", "/leader", "/status", "/livez", "/readyz", "/metrics", "/nowhere"} {
		if got := ask(leading(), http.MethodGet, target).Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", target, got)
		}
	}
}

func TestPanicIsLoggedAndGoesOn(t *testing.T) {
	var log bytes.Buffer
	api := New(Config{
		Elector: leading(), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Metrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") }),
	})
	defer func() {
		if p := recover(); p != "broken" || !strings.Contains(log.String(), "err=broken") {
			t.Errorf("panic %v, log %s", p, &log)
		}
	}()
	askOf(api.Main(), http.MethodGet, "/metrics")
}

func TestServerHasLimits(t *testing.T) {
	s := NewServer(newAPI(leading()).Main())
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("a limit is missing: %+v", s)
	}
	if s.Addr != "" {
		t.Errorf("listens on %q", s.Addr)
	}
}

// standing is an elector with a queue and a history, of which some was written by others.
func standing() *scripted {
	e := following()
	ended := began.Add(time.Hour)
	e.queue = election.Queue{Total: 4, Standings: []election.Standing{
		{Candidate: election.Candidate{Identity: "pod-a", Incarnation: "1", Token: 4242}, Since: began, Version: "v1.2.3"},
		{Candidate: election.Candidate{Identity: "pod-b", Incarnation: "3f1c9a70", Token: 4243}, Since: began, Version: "v1.2.3"},
		{Candidate: election.Candidate{Identity: "by hand\xff", Token: 4244}},
		{Candidate: election.Candidate{Identity: "pod-a", Incarnation: "2", Token: 4245}, Since: time.Unix(1<<50, 0)},
	}}
	e.past = []election.PastTerm{
		{Identity: "pod-b", Incarnation: "3f1c9a70", Token: 4000, From: found, To: ended, Cause: election.CauseResigned},
		{Identity: "pod-a", Incarnation: "1", Token: 4242, From: ended},
	}
	return e
}
