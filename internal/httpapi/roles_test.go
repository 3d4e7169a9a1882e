package httpapi

import (
	"net/http"
	"testing"

	"github.com/elector-dev/elector/internal/election"
)

func TestRolesByState(t *testing.T) {
	with := func(e *scripted, change func(*scripted)) *scripted { change(e); return e }
	cases := []struct {
		name                               string
		elector                            *scripted
		leader, follower, readOnly, health int
	}{
		{"just started", alone(), 503, 503, 503, 503},
		{"in contact, not registered", with(alone(), func(e *scripted) { e.now.Connected = true }), 503, 503, 503, 200},
		{"standby", following(), 503, 200, 200, 200},
		{"standby without etcd", with(following(), func(e *scripted) { e.now.Connected = false }), 503, 503, 503, 503},
		{"leader", leading(), 200, 503, 200, 200},
		{"leader without etcd, still certain", with(leading(), func(e *scripted) { e.now.Connected = false }), 200, 503, 200, 503},
		{"stalled standby", with(following(), func(e *scripted) { e.stalled = true }), 503, 200, 200, 503},
		{"ended", with(following(), func(e *scripted) { e.now.Ended = true }), 503, 503, 503, 503},
		{"ineligible", with(alone(), func(e *scripted) { e.now.Phase, e.now.Connected = election.Ineligible, true }), 503, 503, 503, 200},
	}
	for _, c := range cases {
		for path, want := range map[string]int{
			"/leader": c.leader, "/primary": c.leader, "/read-write": c.leader,
			"/follower": c.follower, "/replica": c.follower, "/read-only": c.readOnly, "/health": c.health,
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
				if rec := ask(c.elector, method, path); rec.Code != want {
					t.Errorf("%s: %s %s is %d, want %d", c.name, method, path, rec.Code, want)
				}
			}
		}
	}
}

func TestAYesInTheBodyOfAnyRoleIsAPromise(t *testing.T) {
	for _, path := range []string{"/primary", "/read-write", "/follower", "/replica", "/read-only", "/health"} {
		e := leading()
		rec := ask(e, http.MethodGet, path)
		if e.promises.Load() != 1 || rec.Header().Get("Elector-Token") != "4242" {
			t.Errorf("%s: %d promises, headers %v", path, e.promises.Load(), rec.Header())
		}
	}
}

func TestMaxLowersThePromiseAskedFor(t *testing.T) {
	for query, want := range map[string]string{"?max=500ms": "500ms", "?max=1h": "2s", "": "2s", "?max=1ns": "1ns"} {
		for _, path := range []string{"/leader", "/primary", "/status"} {
			e := leading()
			if ask(e, http.MethodGet, path+query); e.limit.String() != want {
				t.Errorf("%s%s asks for %v, want %s", path, query, e.limit, want)
			}
		}
	}
}
