package httpapi

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/elector-dev/elector/internal/election"
)

func TestRolesByState(t *testing.T) {
	with := func(e *scripted, change func(*scripted)) *scripted { change(e); return e }
	cases := []struct {
		name    string
		elector *scripted
		// status of /leader, /follower, /read-only and /health
		leader, follower, either, health int
	}{
		{"just started", alone(), 503, 503, 503, 503},
		{"in contact, not registered", with(alone(), func(e *scripted) { e.now.Connected = true }), 503, 503, 503, 200},
		{"follower", following(), 503, 200, 200, 200},
		{"follower without etcd", with(following(), func(e *scripted) { e.now.Connected = false }), 503, 503, 503, 503},
		{"verifying", with(following(), func(e *scripted) { e.now.Phase = election.Verifying }), 503, 200, 200, 200},
		{"leader", leading(), 200, 503, 200, 200},
		{"leader without etcd, still certain", with(leading(), func(e *scripted) { e.now.Connected = false }), 200, 503, 200, 503},
		{"stepping down, work may still act", with(following(), func(e *scripted) { e.now.Phase = election.SteppingDown }), 503, 503, 503, 200},
		{"stalled", with(leading(), func(e *scripted) { e.stalled = true }), 200, 503, 200, 503},
		{"ended", with(alone(), func(e *scripted) { e.now.Ended, e.now.Connected = true, true }), 503, 503, 503, 503},
	}
	for _, c := range cases {
		for target, want := range map[string]int{
			"/leader": c.leader, "/primary": c.leader, "/read-write": c.leader,
			"/follower": c.follower, "/replica": c.follower, "/read-only": c.either, "/health": c.health,
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				if rec := ask(c.elector, method, target); rec.Code != want {
					t.Errorf("%s: %s %s is %d, want %d", c.name, method, target, rec.Code, want)
				}
			}
			var got Status
			rec := ask(c.elector, http.MethodGet, target)
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || got.Leading != c.elector.now.Leading || got.Seq != c.elector.now.Seq {
				t.Errorf("%s: body of %s: %s", c.name, target, rec.Body)
			}
		}
	}
}

func TestPromiseIsNoLongerThanAskedFor(t *testing.T) {
	for _, path := range []string{"/leader", "/primary", "/read-write", "/status"} {
		for query, want := range map[string]string{"": "2s", "?max=500ms": "500ms", "?max=2s": "2s", "?max=1h": "2s", "?max=1ns": "1ns"} {
			e := leading()
			if rec := ask(e, http.MethodGet, path+query); rec.Code != http.StatusOK || e.limit.String() != want {
				t.Errorf("%s%s: %d, limit %v, want %s", path, query, rec.Code, e.limit, want)
			}
		}
	}
}
