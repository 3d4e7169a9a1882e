package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/election"
)

func TestReadinessByStateAndDemand(t *testing.T) {
	with := func(e *scripted, change func(*scripted)) *scripted { change(e); return e }
	lostContact := func(e *scripted) { e.now.Connected = false }
	cases := []struct {
		name    string
		elector *scripted
		// status of /readyz, ?contact=required, ?role=leader, and of both
		plain, contact, role, both int
	}{
		{"just started", alone(), 503, 503, 503, 503},
		{"in contact, not registered", with(alone(), func(e *scripted) { e.now.Connected = true }), 503, 503, 503, 503},
		{"standby", following(), 200, 200, 503, 503},
		{"standby without etcd", with(following(), lostContact), 200, 503, 503, 503},
		{"registered once, key gone", with(following(), func(e *scripted) {
			e.now.Phase, e.now.Registered = election.Connecting, false
		}), 200, 200, 503, 503},
		{"leader", leading(), 200, 200, 200, 200},
		{"leader without etcd, still certain", with(leading(), lostContact), 200, 503, 200, 503},
		{"stalled", with(leading(), func(e *scripted) { e.stalled = true }), 503, 503, 503, 503},
		{"ended", with(following(), func(e *scripted) { e.now.Ended = true }), 503, 503, 503, 503},
		{"ineligible, never in contact", with(alone(), func(e *scripted) { e.now.Phase = election.Ineligible }), 503, 503, 503, 503},
		{"ineligible, in contact", with(alone(), func(e *scripted) {
			e.now.Phase, e.now.Connected = election.Ineligible, true
		}), 200, 200, 503, 503},
	}
	for _, c := range cases {
		for target, want := range map[string]int{
			"/readyz": c.plain, "/readyz?contact=required": c.contact, "/readyz?role=leader": c.role,
			"/readyz?contact=required&role=leader": c.both,
		} {
			if rec := ask(c.elector, http.MethodGet, target); rec.Code != want {
				t.Errorf("%s: %s is %d, want %d: %s", c.name, target, rec.Code, want, rec.Body)
			}
		}
	}
}

func TestIneligibleElectorStaysReadyWithoutEtcd(t *testing.T) {
	e := alone()
	h := newAPI(e).Probe()
	e.now.Phase, e.now.Connected = election.Ineligible, true
	askOf(h, http.MethodHead, "/readyz")
	e.now.Connected = false
	if rec := askOf(h, http.MethodGet, "/readyz"); rec.Code != http.StatusOK {
		t.Errorf("unready after it was ready: %s", rec.Body)
	}
}

func TestReadinessThatWantsContactTellsTheRefusal(t *testing.T) {
	e := alone()
	e.now.Refusal = "user \"\xff\" lacks permission"
	var f failure
	if err := json.Unmarshal(ask(e, http.MethodGet, "/readyz?contact=required").Body.Bytes(), &f); err != nil {
		t.Fatal(err)
	}
	if f.Hint != "user \"\ufffd\" lacks permission" {
		t.Errorf("hint %q", f.Hint)
	}
	if rec := ask(e, http.MethodGet, "/readyz"); strings.Contains(rec.Body.String(), "permission") {
		t.Errorf("told unasked: %s", rec.Body)
	}
}

func TestLivenessFailsOnlyWhenTheLoopStandsStill(t *testing.T) {
	e := alone()
	if rec := ask(e, http.MethodGet, "/livez"); rec.Code != http.StatusOK {
		t.Errorf("without etcd: %d", rec.Code)
	}
	e.stalled = true
	rec := ask(e, http.MethodGet, "/livez")
	if rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), "hint") {
		t.Errorf("stalled: %d %s", rec.Code, rec.Body)
	}
}
