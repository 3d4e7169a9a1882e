package work

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

func TestBeforeLeadRefusesATerm(t *testing.T) {
	status := func(code int) *Hook {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		}))
		t.Cleanup(s.Close)
		return &Hook{URL: s.URL}
	}
	hang := newDesk(t, hookBeforeLead)
	const short = 200 * time.Millisecond
	for name, row := range map[string]struct {
		hook    *Hook
		timeout time.Duration
		result  string // "": it is not run
		err     string // "": the term is not refused
	}{
		"none":            {nil, patience, "", ""},
		"a command":       {sh("exit 0"), patience, ranOK, ""},
		"a URL":           {status(204), patience, ranOK, ""},
		"exit 1":          {sh("echo not ready; exit 1"), patience, ranFailed, "before-lead: exit status 1: not ready"},
		"not there":       {&Hook{Argv: []string{"/nowhere/command"}}, patience, ranFailed, "no such file"},
		"500":             {status(500), patience, ranFailed, "before-lead: answered with status 500"},
		"a redirect":      {status(307), patience, ranFailed, "before-lead: answered with status 307"},
		"nobody listens":  {&Hook{URL: "http://127.0.0.1:1"}, patience, ranFailed, "connect"},
		"a command hangs": {sh("sleep 1000"), short, ranTimeout, "before-lead: has not ended within its timeout"},
		"a URL hangs":     {hang.hook(), short, ranTimeout, "before-lead: has not ended within its timeout"},
	} {
		b := newRig(t, func(c *HooksConfig) { c.BeforeLead, c.Timeout = row.hook, row.timeout })
		err := b.BeforeLead(t.Context(), termOf(7))
		if (err != nil) != (row.err != "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s: %v, want %q", name, err, row.err)
		}
		if row.result != "" {
			b.expect(hookBeforeLead + " " + row.result)
		} else if len(b.results) > 0 {
			t.Errorf("%s: %s", name, <-b.results)
		}
		if b.log.String() != "" {
			t.Errorf("%s: told to the log as well: %s", name, b.log)
		}
	}
}

func TestBeforeLeadEndsWithItsContext(t *testing.T) {
	gone := errors.New("the key has gone")
	for name, hook := range map[string]*Hook{"a command": sh(`echo begun >>$FILE; sleep 1000`), "a URL": nil} {
		d := newDesk(t, hookBeforeLead)
		b := newRig(t, func(c *HooksConfig) {
			if c.BeforeLead = hook; hook == nil {
				c.BeforeLead = d.hook()
			}
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.BeforeLead(ctx, termOf(7)) }()
		if hook != nil {
			says(t, b.file, "begun")
		} else {
			await(t, "before-lead", d.arrived)
		}
		cancel(gone)
		if err := await(t, "before-lead's end", done); !errors.Is(err, gone) {
			t.Errorf("%s: %v", name, err)
		}
		b.expect("before-lead cancelled")
	}
}

func TestCommandsAreToldInEnvironmentAndInput(t *testing.T) {
	tell := sh(`read state; echo "$ELECTOR_HOOK|$ELECTOR_TERM_TOKEN|$ELECTOR_TERM_KEY|$ELECTOR_TERM_IDENTITY|$ELECTOR_TERM_ELECTION|$ELECTOR_TERM_STATE|$ELECTOR_TERM_CAUSE|$state" >>$FILE`)
	b := newRig(t, func(c *HooksConfig) {
		c.BeforeLead, c.OnLead, c.BeforeRelease, c.OnFollow, c.OnChange = tell, tell, tell, tell, tell
	})
	b.elector.publish(election.Follower, 0, election.CauseRegistered)
	ended := b.start()
	b.expect("on-follow ok", "on-change ok")
	if err := b.BeforeLead(t.Context(), termOf(7)); err != nil {
		t.Error(err)
	}
	b.expect("before-lead ok")
	end := b.during(7, b.Around(b.Lead))
	for range 2 { // in either order
		await(t, "on-lead or on-change", b.results)
	}
	end(election.CauseResigned)
	b.elector.end()
	await(t, "Run's end", ended)
	wrote := b.wrote()
	for _, want := range []string{
		"on-follow|||a|default/x|follower|registered|2 follower",
		"on-change|||a|default/x|follower|registered|2 follower",
		"before-lead|7|/key/7|a|default/x|verifying|registered|2 follower",
		"on-lead|7|/key/7|a|default/x|leader|won|3 leader",
		"on-change|7|/key/7|a|default/x|leader|won|3 leader",
		"before-release|7|/key/7|a|default/x|stepping-down|resigned|4 stepping-down",
		"on-change|||a|default/x|connecting|resigned|6 connecting",
	} {
		if !slices.Contains(wrote, want) {
			t.Errorf("never wrote %q", want)
		}
	}
	if !slices.ContainsFunc(wrote, func(line string) bool {
		return strings.HasPrefix(line, "on-follow|7|/key/7|a|default/x|connecting|resigned|")
	}) {
		t.Error("never wrote of the end of the term")
	}
	if t.Failed() {
		t.Logf("wrote %q", wrote)
	}
}

func TestURLsArePostedTo(t *testing.T) {
	got, closed := make(chan string, 1), make(chan struct{}, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- fmt.Sprintf("%s %s %s %s %q", r.Method, r.URL, r.Header.Get("Content-Type"), r.Header.Get("Elector-Hook"), body)
		w.WriteHeader(http.StatusAccepted)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	s.Start()
	defer s.Close()
	b := newRig(t, func(c *HooksConfig) { c.BeforeLead = &Hook{URL: s.URL + "/hook?of=x"} })
	if err := b.BeforeLead(t.Context(), termOf(7)); err != nil {
		t.Error(err)
	}
	if got, want := <-got, `POST /hook?of=x application/json before-lead "1 connecting\n"`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	await(t, "the connection's end", closed)
	if b.client.Transport.(*http.Transport).Proxy != nil {
		t.Error("a proxy is asked for") // that of the environment leaves loopback out, so no server here would notice
	}
}
