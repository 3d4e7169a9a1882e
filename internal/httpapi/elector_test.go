package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// bubble is a boot clock that follows the time of a synctest bubble and can be set ahead of it, as
// when a process was paused: the loop's timers have not fired then.
type bubble struct {
	start  time.Time
	jumped atomic.Int64
}

func (b *bubble) Now() election.Instant {
	return election.Instant(time.Since(b.start) + time.Second + time.Duration(b.jumped.Load()))
}

// store is an etcd with one candidate, whose every call succeeds at once.
type store struct {
	clock  election.Clock
	closed atomic.Int64 // Instant at which the key was given up
}

func (s *store) Open(_ context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	now := s.clock.Now()
	reply := election.Reply{Sent: now, Received: now, RaftTerm: 1, Revision: 9}
	return &session{store: s, req: req}, election.Opened{
		First: reply, Key: "/elector/shop/billing/abc",
		Grant: election.Grant{Lease: 0xabc, TTL: req.TTL, Reply: reply},
	}, nil
}

type session struct {
	store *store
	req   election.OpenRequest
}

// Campaign wins, and the lease's first keep-alive is acknowledged, which the elector then confirms.
func (s *session) Campaign(context.Context) (election.Won, error) {
	now := s.store.clock.Now()
	s.req.Sink(election.OwnKeyPut{Session: s.req.Number, Key: election.KeyState{Token: 10, Mod: 10, Lease: 0xabc, Own: true}})
	s.req.Sink(election.Renewed{Session: s.req.Number, Renewal: election.Renewal{
		Lease: 0xabc, Sent: now, Received: now, RaftTerm: 1, TTL: s.req.TTL,
	}})
	return election.Won{Token: 10, Mod: 10, RaftTerm: 1}, nil
}

func (s *session) Confirm(context.Context, election.Claim) (election.Confirmation, error) {
	now := s.store.clock.Now()
	reply := election.Reply{Sent: now, Received: now, RaftTerm: 1, Revision: 10}
	return election.Confirmation{Reply: reply, Holds: true, Oldest: true}, nil
}

func (s *session) Rebind(context.Context, election.Claim, uint64) (election.Rebound, error) {
	return election.Rebound{}, election.ErrSessionEnded
}

func (s *session) PutValue(_ context.Context, _ election.Claim, put election.ValuePut) (*election.Value, error) {
	v := &election.Value{Bytes: put.Bytes, ContentType: put.ContentType, Token: put.Token, Revision: 11}
	s.req.Sink(election.ValueSeen{Session: s.req.Number, Value: v})
	return v, nil
}

func (s *session) Candidates(context.Context) (election.Queue, error) {
	self := election.Candidate{Identity: "pod-a", Incarnation: "3f1c9a70", Token: 10}
	return election.Queue{Standings: []election.Standing{{Candidate: self}}, Total: 1}, nil
}

func (s *session) Close(bool, election.Claim) {
	s.store.closed.CompareAndSwap(0, int64(s.store.clock.Now()))
}

// lead runs an elector until it leads, calls f, stops it, and returns how long after f the key was
// given up.
func lead(t *testing.T, f func(*election.Elector, *bubble)) time.Duration {
	t.Helper()
	clock := &bubble{start: time.Now()}
	etcd := &store{clock: clock}
	e, err := election.New(election.Config{
		Identity: "pod-a", Incarnation: "3f1c9a70", Election: "billing", TTL: 10 * time.Second, AnswerMax: 2 * time.Second,
		Clock: clock, Store: etcd, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx, nil) }()
	synctest.Wait()
	if !e.Look().Leading {
		t.Fatalf("does not lead: %+v", e.Look())
	}
	f(e, clock)
	before := clock.Now()
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return election.Instant(etcd.closed.Load()).Sub(before)
}

func TestKeyStaysUntilWhatAGetWasToldHasRunOut(t *testing.T) {
	for _, target := range []string{"/leader", "/status", "/"} {
		synctest.Test(t, func(t *testing.T) {
			var told struct {
				ExpiresInMs int64 `json:"expires_in_ms"`
			}
			kept := lead(t, func(e *election.Elector, _ *bubble) {
				rec := ask(e, http.MethodGet, target)
				if err := json.Unmarshal(rec.Body.Bytes(), &told); err != nil || rec.Code != http.StatusOK {
					t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
				}
			})
			if promised := time.Duration(told.ExpiresInMs) * time.Millisecond; promised != 2*time.Second || kept < promised {
				t.Errorf("%s: key given up after %v, promised were %v", target, kept, promised)
			}
		})
	}
}

func TestKeyGoesAtOnceWhenOnlyProbesHaveAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := lead(t, func(e *election.Elector, _ *bubble) {
			for _, target := range []string{"/", "/leader", "/status", "/livez", "/readyz"} {
				ask(e, http.MethodHead, target)
				ask(e, http.MethodOptions, target)
			}
			ask(e, http.MethodGet, "/readyz?role=leader&contact=required")
			ask(e, http.MethodGet, "/livez")
		})
		if kept != 0 {
			t.Errorf("key given up after %v", kept)
		}
	})
}

func TestTermThatLapsedBeforeTheRequestIsANo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lead(t, func(e *election.Elector, clock *bubble) {
			clock.jumped.Add(int64(10*time.Second - election.Margin(10*time.Second)))
			if state, _ := e.Watch(); state.Phase != election.Leader {
				t.Fatalf("the loop has noticed already: %s", state.Phase)
			}
			rec := ask(e, http.MethodGet, "/leader")
			var got Status
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if rec.Code != http.StatusServiceUnavailable || got.Leading || got.Token != 0 || got.ExpiresInMs != 0 ||
				got.State != string(election.SteppingDown) || got.Leader != (LeaderStatus{}) {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
			wantNoElectorHeaders(t, rec)
			if rec := ask(e, http.MethodGet, "/"); rec.Body.String()[:10] != `{"name":""` {
				t.Errorf("/ says %s", rec.Body)
			}
			if rec := ask(e, http.MethodGet, "/readyz?role=leader"); rec.Code != http.StatusServiceUnavailable {
				t.Errorf("/readyz?role=leader says %d", rec.Code)
			}
		})
	})
}

func TestReadinessOutlivesTheElectorsTermButNotItsLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var probe http.Handler
		lead(t, func(e *election.Elector, clock *bubble) {
			probe = newAPI(e).Probe()
			if rec := askOf(probe, http.MethodGet, "/readyz"); rec.Code != http.StatusOK {
				t.Errorf("leader: %d %s", rec.Code, rec.Body)
			}
			clock.jumped.Add(int64(time.Minute))
			for _, target := range []string{"/livez", "/readyz"} {
				if rec := askOf(probe, http.MethodGet, target); rec.Code != http.StatusServiceUnavailable {
					t.Errorf("%s with a loop that stands still: %d", target, rec.Code)
				}
			}
		})
		if rec := askOf(probe, http.MethodGet, "/readyz"); rec.Code != http.StatusServiceUnavailable {
			t.Errorf("ended: %d", rec.Code)
		}
	})
}

func TestAnswersOverARealConnection(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = NewServer(newAPI(leading()).Main())
	srv.Start()
	defer srv.Close()
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/leader", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || (len(body) > 0) != (method == http.MethodGet) {
			t.Errorf("%s: %d %q %v", method, resp.StatusCode, body, err)
		}
	}
}

// silent is a response that goes nowhere.
type silent struct{ header http.Header }

func (s silent) Header() http.Header         { return s.header }
func (s silent) Write(b []byte) (int, error) { return len(b), nil }
func (s silent) WriteHeader(int)             {}

func BenchmarkLeader(b *testing.B) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		b.Run(method, func(b *testing.B) {
			h := newAPI(leading()).Main()
			req := httptest.NewRequest(method, "/leader", nil)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(silent{http.Header{}}, req)
			}
		})
	}
}

// Pass implements election.Session.
func (s *session) Pass(context.Context, election.Claim, election.Candidate) error { return nil }
