package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
)

// commanding is what a terminal, a log of lines, a header or an event stream would obey.
const commanding = "evil\x1b]0;owned\a\u009b31m\r\nElector-Token: 9\r\n\r\nevent: end\ndata: {\"leading\":true}\n\nREADY=1\n"

// inert fails the test when what was said commands what shows it, or is too much for that.
func inert(t *testing.T, what, said string) {
	t.Helper()
	commands := func(r rune) bool { return unicode.IsControl(r) && r != '\n' }
	if !utf8.ValidString(said) || strings.ContainsFunc(said, commands) || len(said) > 256<<10 {
		t.Errorf("%s: %d bytes: %.2000q", what, len(said), said)
	}
	for line := range strings.Lines(said) {
		for _, begins := range []string{"Elector-Token", "READY", "data: {\"leading\":true}", "event: end"} {
			if strings.HasPrefix(line, begins) {
				t.Errorf("%s says what stands in etcd: %.2000q", what, said)
			}
		}
	}
}

// firstEvent is what a stream says until its first event has ended.
func (p *process) firstEvent(path string) string {
	p.t.Helper()
	r, err := p.http.Get("http://" + p.addr + path)
	must(p.t, err)
	defer r.Body.Close()
	var said strings.Builder
	for text, data := bufio.NewReader(r.Body), false; ; {
		line, err := text.ReadString('\n')
		must(p.t, err)
		said.WriteString(line)
		if data = data || strings.HasPrefix(line, "data: "); data && line == "\n" {
			return said.String()
		}
	}
}

func TestWhatStandsInEtcdCommandsNothingThatShowsIt(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	records := []string{
		commanding, strings.Repeat(commanding, 10_000), fmt.Sprintf(`{"identity":%q,"incarnation":%[1]q,"version":%[1]q,"since":"2199-01-01T00:00:00Z","more":{}}`, "\u0007\u009b2J"+strings.Repeat("é", 200)),
	}
	for i, value := range records { // the first leads, as far as anybody can tell
		_, err := e.client.Put(t.Context(), fmt.Sprintf("/elector/default/e2e/%d\xff", i), value)
		must(t, err)
	}
	const garbage = 50
	first := e.start(t, "first", "--log-level", "debug")
	first.await("following", "/status", follows)
	for i := range garbage {
		_, err := e.client.Put(t.Context(), "/elector/default/e2e#value", fmt.Sprint(i, commanding))
		must(t, err)
	}
	first.showsInert(t)
	if n := strings.Count(first.awaitLog("is not a value of elector"), "is not a value of elector"); n != 1 {
		t.Errorf("%d values that are none are told of %d times", garbage, n)
	}
	_, err := e.client.Delete(t.Context(), "/elector/default/e2e/", clientv3.WithPrefix())
	must(t, err)
	first.await("leading once they have gone", "/leader", leads)
	first.showsInert(t)
}

// showsInert looks at everything that an elector shows of its election.
func (p *process) showsInert(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/", "/leader", "/status", "/candidates", "/history", "/value", "/metrics", "/readyz?contact=required"} {
		r, err := p.http.Get("http://" + p.addr + path)
		must(t, err)
		body, err := io.ReadAll(r.Body)
		must(t, err)
		r.Body.Close()
		inert(t, path, string(body))
		var header bytes.Buffer
		must(t, r.Header.Write(&header))
		inert(t, path, strings.ReplaceAll(header.String(), "\r\n", "; "))
		if path == "/value" && r.StatusCode != http.StatusNotFound {
			t.Errorf("a value that is none is shown: %d %s", r.StatusCode, body)
		}
	}
	for _, path := range []string{"/events", "/sse"} {
		inert(t, path, p.firstEvent(path))
	}
	for _, verb := range [][]string{
		{"status"}, {"status", "-o", "json"}, {"status", "-o", "name"}, {"leader", "-o", "json"}, {"candidates"}, {"candidates", "-o", "json"},
		{"history"}, {"history", "-o", "json"}, {"watch", "--timeout", "1s"}, {"watch", "-o", "json", "--timeout", "1s"},
	} {
		_, said := p.tell(verb...)
		if inert(t, fmt.Sprint(verb), said); said == "" && verb[0] != "leader" {
			t.Errorf("%v says nothing", verb)
		}
	}
	inert(t, "the log", p.logged())
}
