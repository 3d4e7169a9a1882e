package kubernetes

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// An answer is what a script in a test has to make do with for now.
type answer int

const (
	yes    answer = iota // 200, and two seconds
	no                   // 503
	silent               // nothing before the asking program gives up
)

// desk answers like an elector, the same until it is told otherwise.
type desk struct {
	*httptest.Server
	asked chan struct{} // one for each request, if somebody waits for it

	mu  sync.Mutex
	now answer // guarded by mu
}

func newDesk(t *testing.T) *desk {
	d := &desk{asked: make(chan struct{})}
	closing := make(chan struct{})
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case d.asked <- struct{}{}:
		default:
		}
		d.mu.Lock()
		now := d.now
		d.mu.Unlock()
		switch now {
		case yes:
			_, _ = w.Write([]byte(`{"election":"a/b","identity":"pod","state":"leader","leading":true,"token":7,"expires_in_ms":2000}`))
		case no:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"election":"a/b","identity":"pod","state":"follower","leading":false,"token":7,"expires_in_ms":2000}`))
		case silent:
			select {
			case <-r.Context().Done():
			case <-closing:
			}
		}
	}))
	t.Cleanup(func() { close(closing); d.Close() })
	return d
}

// say changes the answers, and waits until one that was given before has been worked off: a script asks one after another.
func (d *desk) say(t *testing.T, now answer) {
	t.Helper()
	d.mu.Lock()
	d.now = now
	d.mu.Unlock()
	d.questions(t, 2)
}

// questions waits for some that come from now on.
func (d *desk) questions(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-d.asked:
		case <-time.After(time.Minute):
			t.Fatal("nobody asks any more")
		}
	}
}

// busybox returns a folder that has the programs of this machine's busybox, as an image of busybox has them.
func busybox(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this test needs busybox, and CI must have it: %v", err)
		}
		t.Skipf("this test needs busybox: %v", err)
	}
	dir := t.TempDir()
	if out, err := exec.Command(program, "--install", "-s", dir).CombinedOutput(); err != nil {
		t.Fatalf("busybox --install: %v\n%s", err, out)
	}
	return dir
}

// script starts what a container of an example runs, as an image of busybox would, but that asks another address. It is ended
// with SIGTERM, and well.
func script(t *testing.T, n *node, pod string, w workload, address string) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	c := w.pod.Spec.Containers[0]
	there := *n
	there.addresses = strings.NewReplacer("127.0.0.1:4040", address)
	cmd := there.command(ctx, pod, w, c, c.Command...)
	bin := busybox(t)
	cmd.Path, cmd.Err = filepath.Join(bin, c.Command[0]), nil
	cmd.Env = []string{"PATH=" + bin}
	n.start(pod, cmd)
	t.Cleanup(func() {
		end()
		if err := cmd.Wait(); cmd.ProcessState != nil && !cmd.ProcessState.Success() {
			t.Errorf("after SIGTERM %s ends with %v", pod, err)
		}
	})
}

// until waits for what a script says.
func (n *node) until(pod string, is func(said string) bool) {
	n.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !is(n.outputs[pod].String()) {
		select {
		case <-look.C:
		case <-deadline.C:
			n.t.Fatalf("%s has not said what it should:\n%s", pod, n.outputs[pod])
		}
	}
}

// The worker acts on a yes, on nothing else, and each time on what was said last.
func TestTheExamplesWorkerActsOnAYesAlone(t *testing.T) {
	t.Parallel()
	built := examples(t)
	n := &node{t: t, files: []objects{built["worker"]}, folders: make(map[string]string), outputs: make(map[string]*output)}
	d := newDesk(t)
	script(t, n, "worker-1", built["worker"].workloads()[0], d.Listener.Addr().String())
	worked := func() int { return strings.Count(n.outputs["worker-1"].String(), "working with token 7\n") }

	n.until("worker-1", func(string) bool { return worked() > 0 })
	for name, instead := range map[string]answer{"503": no, "silence": silent} {
		d.say(t, instead)
		before := worked()
		d.questions(t, 2)
		if after := worked(); after != before {
			t.Errorf("with %s for an answer it has worked %d times", name, after-before)
		}
		d.say(t, yes)
		n.until("worker-1", func(string) bool { return worked() > before })
	}
	if said := strings.ReplaceAll(n.outputs["worker-1"].String(), "working with token 7\n", ""); said != "" {
		t.Errorf("it says as well:\n%s", said)
	}
}

// The program of the StatefulSet's example prints what it is told.
func TestTheExamplesLedgerIsToldWhoLeads(t *testing.T) {
	t.Parallel()
	built := examples(t)
	n := &node{t: t, files: []objects{built["statefulset"]}, folders: make(map[string]string), outputs: make(map[string]*output)}
	d := newDesk(t)
	script(t, n, "ledger-1", built["statefulset"].workloads()[0], d.Listener.Addr().String())
	n.until("ledger-1", func(said string) bool { return strings.Contains(said, `"token":7`) })
}
