package httpapi

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/election"
)

func TestThePageRunsNothingButItself(t *testing.T) {
	_, rec := exchange{elector: leading(), order: order{method: "GET", path: "/ui"}}.answer(t)
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	policy, body := rec.Header().Get("Content-Security-Policy"), rec.Body.String()
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy has no %q: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy allows what is unsafe: %s", policy)
	}
	for _, kind := range []string{"script", "style"} {
		part := regexp.MustCompile(`(?s)<` + kind + `>(.*)</` + kind + `>`).FindStringSubmatch(body)
		if part == nil || !strings.Contains(policy, kind+"-src "+digest(part[1])) {
			t.Errorf("the policy does not name the page's %s", kind)
		}
	}
	if strings.Contains(body, "{{") {
		t.Error("a place in the page was left open")
	}
	if outside := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]+\.[a-z]|innerHTML|document\.write|eval\(`).FindString(body); outside != "" {
		t.Errorf("the page has %q", outside)
	}
}

func TestThePageKnowsWhetherItsRequestsMayChangeSomething(t *testing.T) {
	for name, c := range map[string]struct {
		host   string
		writes Writes
		want   string
	}{
		"loopback":         {host: "127.0.0.1:4040", want: `data-writes="yes" data-why=""`},
		"with a token":     {host: "localhost", writes: Writes{TokenFile: tokenFile(t)}, want: `data-writes="token"`},
		"another name":     {host: "evil.example.org", want: `data-writes="no" data-why="writes are not taken under this Host`},
		"a listed name":    {host: "w1.example.org", writes: Writes{Hosts: []string{"w1.example.org"}}, want: `data-writes="yes"`},
		"others can reach": {host: "localhost", writes: Writes{Exposed: true}, want: `data-writes="no" data-why="others can reach`},
		"no token is left": {host: "localhost", writes: Writes{TokenFile: `/none/"><script>`}, want: `data-why="the token to compare with cannot be read; read --http-token-file: open /none/&#34;&gt;&lt;script&gt;`},
	} {
		_, rec := exchange{elector: leading(), order: order{method: "GET", path: "/ui", host: c.host}, writes: c.writes}.answer(t)
		if !strings.Contains(rec.Body.String(), c.want) {
			t.Errorf("%s: the page has no %s", name, c.want)
		}
	}
}

func TestThePageHasWordsForEveryPhaseAndCause(t *testing.T) {
	words := func(name string) string {
		found := regexp.MustCompile(`(?s)const ` + name + ` = \{(.*?)\};`).FindStringSubmatch(pageScript)
		if found == nil {
			t.Fatalf("the page has no table of %s", name)
		}
		return found[1]
	}
	phases, causes := words("phases"), words("causes")
	for _, p := range election.Phases {
		if !strings.Contains(phases, "'"+string(p)+"':") {
			t.Errorf("no words for the phase %s", p)
		}
	}
	source, err := os.ReadFile("../election/state.go")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`Cause = +"(.*)"`).FindAllStringSubmatch(regexp.MustCompile(` +`).ReplaceAllString(string(source), " "), -1)
	if len(all) < 20 {
		t.Fatalf("only %d causes were found", len(all))
	}
	for _, c := range all {
		if !strings.Contains(causes, "'"+c[1]+"':") {
			t.Errorf("no words for the cause %q", c[1])
		}
	}
}
