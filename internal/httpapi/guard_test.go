package httpapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/election"
)

// order is a request that is to change something.
type order struct {
	method, path, host, body string
	header                   map[string]string
	unix                     bool
}

func (o order) send(h http.Handler) *httptest.ResponseRecorder {
	if o.method == "" {
		o.method, o.path = http.MethodPost, "/resign"
	}
	r := httptest.NewRequest(o.method, o.path, strings.NewReader(o.body))
	r.Host = o.host
	if o.host == "" {
		r.Host = "127.0.0.1:4040"
	}
	for k, v := range o.header {
		r.Header.Set(k, v)
	}
	if o.unix {
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "/s", Net: "unix"})))
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func guarded(e Elector, w Writes) *API {
	scrape := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	open := func(ctx context.Context) (Hold, error) {
		if s, ok := e.(*scripted); ok && s.err != nil {
			return nil, s.err
		}
		return &grip{answer: e.Answer, fate: make(chan string, 1)}, nil
	}
	drains := Drains{
		Drain: func(ctx context.Context, reason string) error {
			if s, ok := e.(*scripted); ok {
				return s.err
			}
			return e.(*member).Bar(ctx, election.Bar{Cause: election.CauseDrained, Why: reason})
		},
		Undrain: func(ctx context.Context) error {
			if s, ok := e.(*scripted); ok {
				return s.err
			}
			return e.(*member).Bar(ctx, election.Bar{})
		},
	}
	return New(Config{Elector: e, Election: "shop/billing", Metrics: scrape, Holds: Holds{Open: open}, Drains: drains, Writes: w})
}

func TestOnlyThisHostsProgramsMayChangeSomething(t *testing.T) {
	own := map[string]string{"Elector-Request": "1"}
	with := func(more ...string) map[string]string {
		h := map[string]string{"Elector-Request": "1"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	for _, c := range []struct {
		name   string
		writes Writes
		order  order
		want   int
	}{
		{"as it should be", Writes{}, order{header: own}, 200},
		{"JSON", Writes{}, order{header: map[string]string{"Content-Type": "Application/json; charset=utf-8"}}, 200},
		{"the token", Writes{}, order{header: map[string]string{"Elector-Token": "4242"}}, 200},
		{"nothing that a form could not send", Writes{}, order{}, 403},
		{"a form", Writes{}, order{header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 403},
		{"a form of text", Writes{}, order{header: map[string]string{"Content-Type": "text/plain"}}, 403},
		{"another value", Writes{}, order{header: map[string]string{"Elector-Request": "yes"}}, 403},
		{"localhost", Writes{}, order{host: "LOCALHOST:80", header: own}, 200},
		{"IPv6 loopback", Writes{}, order{host: "[::1]:4040", header: own}, 200},
		{"another loopback address", Writes{}, order{host: "127.9.9.9", header: own}, 200},
		{"foreign host", Writes{}, order{host: "evil.example.org:4040", header: own}, 403},
		{"a name that begins like the loopback", Writes{}, order{host: "127.0.0.1.example.org", header: own}, 403},
		{"listed host", Writes{Hosts: []string{"Elector.example.org"}}, order{host: "elector.EXAMPLE.org:4040", header: own}, 200},
		{"Unix socket", Writes{}, order{host: "whatever", unix: true, header: own}, 200},
		{"Unix socket, a form", Writes{}, order{host: "whatever", unix: true}, 403},
		{"foreign origin", Writes{}, order{header: with("Origin", "https://evil.example.org")}, 403},
		{"no origin", Writes{}, order{header: with("Origin", "null")}, 403},
		{"own origin", Writes{}, order{header: with("Origin", "http://localhost:4040")}, 200},
		{"exposed", Writes{Exposed: true}, order{header: own}, 403},
	} {
		e := leading()
		rec := c.order.send(guarded(e, c.writes).Main())
		if rec.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, rec.Code, c.want, rec.Body)
		}
		if changed := !e.now.Leading; changed != (c.want == 200) {
			t.Errorf("%s: resigned: %v", c.name, changed)
		}
	}
}

func TestWritesNeedTheTokenOfTheFileAsItIsNow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	put := func(text string) {
		t.Helper()
		next := file + ".next"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil { // as a secret's volume does
			t.Fatal(err)
		}
	}
	put("s3cret\n")
	if err := CheckTokenFile(file); err != nil {
		t.Fatal(err)
	}
	h := guarded(leading(), Writes{Exposed: true, TokenFile: file}).Main()
	want := func(status int, authorization string) {
		t.Helper()
		header := map[string]string{"Elector-Request": "1"}
		if authorization != "" {
			header["Authorization"] = authorization
		}
		rec := order{method: "PUT", path: "/value", header: header}.send(h)
		if rec.Code != status || (rec.Header().Get("WWW-Authenticate") != "") != (status == 401) {
			t.Errorf("%q: %d, want %d: %s", authorization, rec.Code, status, rec.Body)
		}
		if strings.Contains(rec.Body.String(), "s3cret") {
			t.Errorf("the answer has the token: %s", rec.Body)
		}
	}
	const through = http.StatusPreconditionRequired // the guard is passed, and Elector-Token is missing
	want(401, "")
	want(401, "Bearer")
	want(401, "Bearer s3cre")
	want(401, "Basic s3cret")
	want(through, "Bearer s3cret")
	want(through, "bearer s3cret")
	put("changed")
	want(401, "Bearer s3cret")
	want(through, "Bearer changed")
	// In its place, as long as before and with the same time stamp.
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("CHANGED"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	want(401, "Bearer changed")
	want(through, "Bearer CHANGED")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	want(403, "Bearer CHANGED")
}

func TestATokenFileWithoutATokenIsRefused(t *testing.T) {
	for _, text := range []string{"", "\n", "two words", "two\nlines", "ü", strings.Repeat("x", maxToken+1)} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckTokenFile(file); err == nil {
			t.Errorf("%.20q is taken for a token", text)
		}
	}
}

func TestReadsNeedNoToken(t *testing.T) {
	h := guarded(leading(), Writes{Exposed: true, TokenFile: "/nowhere"}).Main()
	for _, path := range []string{"/", "/leader", "/status", "/history", "/candidates"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "evil.example.org"
		rec := httptest.NewRecorder()
		if h.ServeHTTP(rec, r); rec.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}

func TestProbeListenerTakesNoWrites(t *testing.T) {
	e := leading()
	h := guarded(e, Writes{}).Probe()
	for _, o := range []order{
		{header: map[string]string{"Elector-Request": "1"}},
		{method: "PUT", path: "/value", header: map[string]string{"Elector-Token": "4242"}},
	} {
		if rec := o.send(h); rec.Code != http.StatusNotFound || !e.now.Leading || e.put.Token != 0 {
			t.Errorf("%+v: %d", o, rec.Code)
		}
	}
}

// FuzzHost: whatever is taken for this host's own is an address of the loopback, localhost, or listed.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"127.0.0.1:4040", "[::1]:80", "::1", "localhost", "127.0.0.1.example.org", "a:b:c", "[::ffff:127.0.0.1]:1", "0", "[]", "LISTED:1"} {
		f.Add(host)
	}
	g := newGuard(Writes{Hosts: []string{"listed"}})
	f.Fuzz(func(t *testing.T, host string) {
		if !g.knows(host) {
			return
		}
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			name = strings.Trim(host, "[]")
		}
		if ip := net.ParseIP(name); (ip == nil || !ip.IsLoopback()) && !strings.EqualFold(name, "localhost") && !strings.EqualFold(name, "listed") &&
			!strings.HasPrefix(name, "::1%") {
			t.Errorf("%q is taken for this host's own", host)
		}
	})
}

// FuzzOrigin: a page that may write is one of a host that may be asked, by a scheme that names one.
func FuzzOrigin(f *testing.F) {
	for _, origin := range []string{
		"http://localhost:4040", "https://[::1]", "null", "", "http://listed", "http://listed.evil.example.org", "http://evil@listed",
		"http://localhost@evil.example.org", "//localhost", "file:///localhost", "http://127.0.0.1:4040/x?y#z", "http:localhost",
	} {
		f.Add(origin)
	}
	g := newGuard(Writes{Hosts: []string{"listed"}})
	f.Fuzz(func(t *testing.T, origin string) {
		if !g.knowsOrigin(http.Header{"Origin": {origin}}) {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || !g.knows(u.Host) {
			t.Errorf("%q may write", origin)
		}
		if g.knowsOrigin(http.Header{"Origin": {origin, "https://evil.example.org"}}) || g.knowsOrigin(http.Header{"Origin": {"null", origin}}) {
			t.Errorf("%q speaks for another", origin)
		}
	})
}

// FuzzAuthorization: nothing but the scheme and the token passes.
func FuzzAuthorization(f *testing.F) {
	file := filepath.Join(f.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret"), 0o600); err != nil {
		f.Fatal(err)
	}
	for _, header := range []string{"Bearer s3cret", "bearer s3cret", "Bearer  s3cret", "Bearer s3cret ", "s3cret", "", "Bearer", "Bearer \x00"} {
		f.Add(header)
	}
	g := newGuard(Writes{TokenFile: file})
	f.Fuzz(func(t *testing.T, header string) {
		passes := g.refuseToken(http.Header{"Authorization": {header}}).status == 0
		scheme, token, _ := strings.Cut(header, " ")
		if passes != (strings.EqualFold(scheme, "bearer") && token == "s3cret") {
			t.Errorf("%q passes: %v", header, passes)
		}
	})
}
