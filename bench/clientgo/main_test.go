package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait.
const patience = 30 * time.Second

// api is an API server that knows one Lease.
type api struct {
	mu       sync.Mutex // guards the fields below
	lease    *coordination.Lease
	version  int
	deaf     bool                      // every request fails
	released func(*coordination.Lease) // is called when a Lease is about to be without a holder
	*httptest.Server
}

func startAPI(t *testing.T) *api {
	a := &api{}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// set changes the API server.
func (a *api) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *api) ServeHTTP(w http.ResponseWriter, rq *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	const path = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
	resource := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	sent := read(rq.Body)
	var refused *apierrors.StatusError
	switch at := rq.Method + " " + strings.TrimPrefix(rq.URL.Path, path); {
	case a.deaf:
		refused = apierrors.NewForbidden(resource, "test", nil)
	case at == "POST " && a.lease != nil:
		refused = apierrors.NewAlreadyExists(resource, "test")
	case at == "POST ":
		a.keep(sent)
	case a.lease == nil:
		refused = apierrors.NewNotFound(resource, "test")
	case at == "PUT /test" && sent.ResourceVersion != a.lease.ResourceVersion:
		refused = apierrors.NewConflict(resource, "test", nil)
	case at == "PUT /test":
		if holder(&sent) == "" && a.released != nil {
			a.released(a.lease)
		}
		a.keep(sent)
	case at == "DELETE /test":
		a.lease = nil
	case at != "GET /test":
		refused = apierrors.NewMethodNotSupported(resource, at)
	}
	w.Header().Set("Content-Type", "application/json")
	if refused != nil {
		w.WriteHeader(int(refused.ErrStatus.Code))
		_ = json.NewEncoder(w).Encode(refused.ErrStatus)
		return
	}
	_ = json.NewEncoder(w).Encode(a.lease)
}

// read is the Lease in a request, in whatever form the library sends it; an empty one if there is none.
func read(body io.Reader) (l coordination.Lease) {
	text, _ := io.ReadAll(body)
	if o, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, nil); err == nil {
		if sent, ok := o.(*coordination.Lease); ok {
			l = *sent
		}
	}
	return l
}

func (a *api) keep(l coordination.Lease) {
	a.version++
	l.ResourceVersion = strconv.Itoa(a.version)
	a.lease = &l
}

func holder(l *coordination.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// instance is one daemon in this process.
type instance struct {
	t    *testing.T
	id   string
	addr string
	stop context.CancelFunc
	done chan int // exit status
}

// command is what an instance is started with: the API server's address, and times that tests can wait for.
func (a *api) command(t *testing.T, id string, args ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": %q}}], "contexts": [{"name": "c", "context": {"cluster": "c"}}]}`, a.URL)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{
		"--election", "test", "--id", id, "--http", "127.0.0.1:0", "--kubeconfig", file,
		"--lease-duration", "3s", "--renew-deadline", "1s", "--retry-period", "50ms",
	}, args...)
}

func start(t *testing.T, a *api, id string, args ...string) *instance {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	i := &instance{t: t, id: id, stop: stop, done: make(chan int, 1)}
	log, stderr := io.Pipe()
	args = a.command(t, id, args...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		i.done <- run(ctx, args, stderr)
		stderr.Close()
	}()
	addr, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if _, at, ok := strings.Cut(lines.Text(), "address="); ok {
				addr <- at[:cmp.Or(strings.IndexByte(at, ' ')+1, len(at)+1)-1]
			}
		}
	}()
	t.Cleanup(func() { stop(); <-ended; <-read })
	select {
	case i.addr = <-addr:
	case <-time.After(patience):
		t.Fatalf("%s does not listen", id)
	}
	return i
}

// ask gets /leader; status 0 when no answer came.
func (i *instance) ask() (code int, s status) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + i.addr + "/leader")
	if err != nil {
		return 0, s
	}
	defer r.Body.Close()
	_ = json.NewDecoder(r.Body).Decode(&s) // an answer that cannot be read says nothing
	return r.StatusCode, s
}

// await asks until the answer is as wanted.
func (i *instance) await(what string, want func(code int, s status) bool) status {
	i.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		if code, s := i.ask(); want(code, s) {
			return s
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-i.t.Context().Done():
		}
	}
	i.t.Fatalf("%s never says: %s", i.id, what)
	return status{}
}

func yes(code int, _ status) bool     { return code == http.StatusOK }
func no(code int, _ status) bool      { return code == http.StatusServiceUnavailable }
func follows(code int, s status) bool { return no(code, s) && s.State == "follower" }

func TestTheClientGoDaemonLeadsAndHandsOver(t *testing.T) {
	server := startAPI(t)
	a := start(t, server, "a")
	first := a.await("yes", yes)
	want := status{Election: "default/test", Identity: "a", State: "leader", Leading: true, Leader: "a", Reads: first.Reads, Writes: first.Writes}
	if first != want || first.Reads == 0 || first.Writes == 0 {
		t.Errorf("answer %+v", first)
	}
	if later := a.await("further renewals", func(_ int, s status) bool { return s.Writes > first.Writes+2 }); later.Reads > first.Reads {
		t.Errorf("a leader reads: %+v, then %+v", first, later)
	}
	b := start(t, server, "b")
	if s := b.await("that it follows", follows); s.Leader != "a" || s.Leading || s.Writes > 0 {
		t.Errorf("beside a leader b answers %+v", s)
	}
	var before int // what the old leader says when its release comes
	server.set(func() { server.released = func(*coordination.Lease) { before, _ = a.ask() } })
	a.stop()
	if status := <-a.done; status != 0 {
		t.Errorf("exits with %d", status)
	}
	b.await("yes", yes)
	server.set(func() {
		if before != http.StatusServiceUnavailable {
			t.Errorf("when the Lease is released the old leader still says %d", before)
		}
		if holder(server.lease) != "b" || *server.lease.Spec.LeaseDurationSeconds != 3 {
			t.Errorf("the Lease is %+v", server.lease.Spec)
		}
	})
}

func TestTheClientGoDaemonSaysNoAfterItsRenewDeadlineAndLeadsAgain(t *testing.T) {
	server := startAPI(t)
	a := start(t, server, "a")
	a.await("yes", yes)
	server.set(func() { server.deaf = true })
	a.await("no", no)
	server.set(func() { server.deaf = false })
	a.await("yes", yes)
}

// The library notices another holder at its next look, its callbacks only at the renew deadline.
func TestIsLeaderIsAnsweredWhereItIsAskedFor(t *testing.T) {
	server := startAPI(t)
	a := start(t, server, "a", "--is-leader", "--lease-duration", "2m", "--renew-deadline", "1m")
	a.await("yes", yes)
	server.set(func() {
		other := "other"
		server.lease.Spec.HolderIdentity = &other
		server.keep(*server.lease)
	})
	if s := a.await("no", no); s.Leader != "other" {
		t.Errorf("answer %+v", s)
	}
}

func TestTheLeaseIsRemoved(t *testing.T) {
	server := startAPI(t)
	server.set(func() { server.keep(coordination.Lease{}) })
	for range 2 { // what is gone need not be removed
		var said strings.Builder
		if status := run(t.Context(), server.command(t, "a", "--remove"), &said); status != 0 || server.lease != nil {
			t.Errorf("exit %d, %v, %s", status, server.lease, &said)
		}
	}
}

func TestTheLibrarysUsersDefaultsAreTaken(t *testing.T) {
	s, err := parse([]string{"--election", "e", "--id", "a"}, io.Discard)
	want := settings{
		election: "e", namespace: "default", id: "a", http: "127.0.0.1:4040",
		leaseDuration: 15 * time.Second, renewDeadline: 10 * time.Second, retry: 2 * time.Second,
	}
	if err != nil || s != want {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestMistakesOnTheCommandLineAreTold(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, wrong := range []struct {
		status int
		said   string
		args   []string
	}{
		{2, "set --election", []string{"--id", "a"}},
		{2, "not defined", []string{"--election", "e", "--elections", "x"}},
		{2, "invalid value", []string{"--election", "e", "--retry-period", "x"}},
		{1, "no such file", []string{"--election", "e", "--kubeconfig", missing}},
		{1, "no such file", []string{"--election", "e", "--kubeconfig", missing, "--remove"}},
		{1, "renewDeadline", startAPI(t).command(t, "a", "--lease-duration", "1s", "--renew-deadline", "2s")},
	} {
		var said strings.Builder
		if status := run(t.Context(), wrong.args, &said); status != wrong.status || !strings.Contains(said.String(), wrong.said) {
			t.Errorf("%v: exit %d, %q", wrong.args, status, said.String())
		}
	}
}
