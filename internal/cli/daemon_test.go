package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
)

// nowhere is an endpoint that refuses connections.
const nowhere = "--etcd-endpoints=http://127.0.0.1:1"

// logged is a daemon's log, which must be JSON. It keeps the lines and hands out listeners' addresses.
type logged struct {
	t         *testing.T
	addresses chan string

	mu    sync.Mutex // guards lines
	lines []map[string]any
}

func newLogged(t *testing.T) *logged { return &logged{t: t, addresses: make(chan string, 2)} }

// Write implements io.Writer; slog writes one line at a time.
func (l *logged) Write(b []byte) (int, error) {
	var line map[string]any
	if err := json.Unmarshal(b, &line); err != nil {
		l.t.Errorf("not a line of JSON: %q", b)
	}
	l.mu.Lock()
	l.lines = append(l.lines, line)
	l.mu.Unlock()
	if line["msg"] == "listening" {
		l.addresses <- "http://" + line["address"].(string)
	}
	return len(b), nil
}

// with returns the lines whose key has the value.
func (l *logged) with(key string, value any) (found []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if line[key] == value {
			found = append(found, line)
		}
	}
	return found
}

// address waits until the daemon listens, and returns the base of its next listener's URLs.
func (l *logged) address() string {
	l.t.Helper()
	select {
	case a := <-l.addresses:
		return a
	case <-time.After(30 * time.Second):
		l.t.Fatal("the daemon does not listen")
		return ""
	}
}

// start runs the command until the test or stop ends it; stopped gets its exit status.
func start(t *testing.T, log *logged, env []string, args ...string) (stop context.CancelFunc, stopped <-chan int) {
	ctx, stop := context.WithCancel(t.Context())
	status := make(chan int, 1)
	args = append([]string{"--log-format=json", "--http=127.0.0.1:0", "--id=me"}, args...)
	var wg sync.WaitGroup
	wg.Go(func() { status <- Run(ctx, args, env, strings.NewReader(""), io.Discard, log) })
	t.Cleanup(wg.Wait)
	t.Cleanup(stop)
	return stop, status
}

// fetcher gets pages without keeping connections, so that each request needs a listener.
var fetcher = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

func fetch(t *testing.T, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := fetcher.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func wantStatus(t *testing.T, url string, want int) {
	t.Helper()
	if got, body, err := fetch(t, url); got != want || err != nil {
		t.Errorf("%s: status %d, %v, want %d\n%s", url, got, err, want, body)
	}
}

func TestTheDaemonAnswersWhileEtcdIsOutOfReach(t *testing.T) {
	log := newLogged(t)
	stop, stopped := start(t, log, []string{"ELECTOR_ELETCION=x", "ELECTOR_PORT=tcp://10.0.0.1:4040"},
		"--election=orders", "--probe-http=127.0.0.1:0", nowhere)
	main, probe := log.address(), log.address()
	wantStatus(t, main+"/livez", http.StatusOK)
	wantStatus(t, main+"/leader", http.StatusServiceUnavailable)
	wantStatus(t, main+"/metrics", http.StatusOK)
	wantStatus(t, probe+"/livez", http.StatusOK)
	wantStatus(t, probe+"/readyz", http.StatusServiceUnavailable)
	if _, body, _ := fetch(t, main+"/"); !strings.Contains(body, `"name":""`) {
		t.Errorf("the old contract names somebody: %s", body)
	}
	if _, body, _ := fetch(t, main+"/metrics"); !strings.Contains(body, `elector_leading{election="default/orders"} 0`) ||
		!strings.Contains(body, `leader_election_master_status{election="default/orders",name="orders"} 0`) {
		t.Error("the metrics do not say that this elector does not lead")
	}
	stop()
	if status := <-stopped; status != 0 {
		t.Errorf("exit status %d", status)
	}
	if _, _, err := fetch(t, main+"/livez"); err == nil {
		t.Error("the listener is still open")
	}
	if warned := log.with("msg", "check the settings"); len(warned) != 1 || !strings.Contains(warned[0]["warning"].(string), "ELECTOR_ELETCION") {
		t.Errorf("warnings: %v, want one, of ELECTOR_ELETCION", warned)
	}
	if all, named := len(log.lines), len(log.with("election", "default/orders")); named != all || len(log.with("identity", "me")) != all {
		t.Errorf("%d of %d lines carry the election", named, all)
	}
}

func TestPollersAreToldNoUntilTheKeyIsGivenUp(t *testing.T) {
	etcd, err := devetcd.Start(t.Context(), devetcd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	client, err := etcd.NewClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	log := newLogged(t)
	stop, stopped := start(t, log, nil, "--election=orders", "--ttl=3s", "--answer-max=1s",
		"--etcd-endpoints="+strings.Join(etcd.Endpoints(), ","))
	base := log.address()
	leader := base + "/leader"
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for status := 0; status != http.StatusOK; <-tick.C {
		if status, _, err = fetch(t, leader); err != nil {
			t.Fatal(err)
		}
	}
	_, scraped, _ := fetch(t, base+"/metrics")
	for _, want := range []string{"elector_leading{%s} 1\n", "elector_terms_started_total{%s} 1\n", "elector_etcd_requests_total{%s,op=\"grant\"} 1\n"} {
		if want = fmt.Sprintf(want, `election="default/orders"`); !strings.Contains(scraped, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	stop()
	noes := 0
	for ; ; <-tick.C {
		status, body, err := fetch(t, leader)
		if err != nil {
			break // the listener is closed
		}
		switch {
		case status == http.StatusServiceUnavailable:
			noes++
		case noes > 0:
			t.Fatalf("a yes after a no: %s", body)
		}
	}
	if noes == 0 {
		t.Error("nobody was told no before the listener closed")
	}
	found, err := client.Get(t.Context(), "/elector/default/orders/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if found.Count != 0 {
		t.Error("the listener closed before the key was given up")
	}
	if status := <-stopped; status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestTheProgramObeysSigterm(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "elector", "--election=orders", "--log-format=json", "--http=127.0.0.1:0", nowhere)
	log := newLogged(t)
	cmd.Stderr = lineWriter{log}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, log.address()+"/livez", http.StatusOK)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if stopping := log.with("msg", "stopping"); len(stopping) != 1 || stopping[0]["cause"] != `caught signal "terminated"` {
		t.Errorf("the log says %v of the stop", stopping)
	}
}

// lineWriter splits what a pipe brings into lines. The exec package calls it from one goroutine; a
// line of the log is shorter than a pipe's atomic write.
type lineWriter struct{ to io.Writer }

func (w lineWriter) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if _, err := io.WriteString(w.to, line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}
