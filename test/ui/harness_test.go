// Package ui looks at the pages with a real browser: that of one elector, with real electors and a real etcd behind it.
package ui

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/cli"
	"github.com/elector-dev/elector/internal/client"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
	"github.com/elector-dev/elector/internal/testenv"
)

// asElector marks a process of this test's as an elector.
const asElector = "UI_TEST_RUNS_ELECTOR"

func TestMain(m *testing.M) {
	if os.Getenv(asElector) != "" {
		ctx, stop := cli.WithSignals(context.Background())
		status := cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
		stop()
		os.Exit(status)
	}
	goleak.VerifyTestMain(m)
}

// patience is the longest that a test waits for anything.
const patience = 90 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func startEtcd(t *testing.T) *devetcd.Embedded {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	etcd, err := devetcd.Start(ctx, devetcd.Options{})
	must(t, err)
	t.Cleanup(etcd.Close)
	return etcd
}

// elector is a process of the real command.
type elector struct {
	*client.Client
	name, addr string
	process    *proc.Process
	log        bytes.Buffer
}

// wellFile is in the working directory of each elector: its worker is well.
const wellFile = "worker-is-well"

// startElector starts a process, which ends with the test, and waits until it stands in the election.
func startElector(t *testing.T, etcd *devetcd.Embedded, name string, flags ...string) *elector {
	t.Helper()
	addr, err := devetcd.FreeAddress("127.0.0.1")
	must(t, err)
	c, err := client.New(addr)
	must(t, err)
	exe, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, wellFile), nil, 0o600))
	e := &elector{Client: c, name: name, addr: addr}
	cmd := exec.Command(exe, slices.Concat([]string{
		"--election", "mail", "--id", name, "--ttl", "10s", "--answer-max", "1s", "--http", addr, "--etcd-endpoints", strings.Join(etcd.Endpoints(), ","),
	}, flags)...)
	cmd.Env, cmd.Stderr, cmd.Dir = append(os.Environ(), asElector+"=yes"), &e.log, dir
	e.process, err = proc.Start(cmd)
	must(t, err)
	t.Cleanup(func() {
		_ = e.process.Kill()
		e.Close()
		if t.Failed() {
			t.Logf("%s:\n%s", name, &e.log)
		}
	})
	e.await(t, "stands in the election", func(s *client.Status) bool { return s.Registered || s.Leading })
	return e
}

// await waits for a state.
func (e *elector) await(t *testing.T, what string, is func(*client.Status) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for s, err := range e.Events(ctx, false) {
		if err != nil && ctx.Err() != nil {
			break
		}
		if err == nil && is(s) {
			return
		}
	}
	t.Fatalf("%s: never seen that it %s", e.name, what)
}

func leads(s *client.Status) bool { return s.Leading }

// pair is an elector that leads and one that follows it.
func pair(t *testing.T, flags ...string) (leader, follower *elector) {
	t.Helper()
	etcd := startEtcd(t)
	leader = startElector(t, etcd, "red", flags...)
	leader.await(t, "leads", leads)
	return leader, startElector(t, etcd, "green", flags...)
}

// tab is a page in a browser.
type tab struct {
	context.Context
	t *testing.T

	mu       sync.Mutex
	expected []string // what may be complained of, since a test brings it about
}

// expect allows complaints with these texts in them from now on.
func (w *tab) expect(texts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected = append(w.expected, texts...)
}

func (w *tab) expects(complaint string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.expected, func(e string) bool { return strings.Contains(complaint, e) })
}

// browse opens the page of an elector under a name of its host.
func browse(t *testing.T, e *elector, host string) *tab {
	t.Helper()
	_, port, _ := strings.Cut(e.addr, ":")
	return open(t, "http://"+host+":"+port+"/ui", "#link", "live")
}

// open opens a page and waits until it has some words. What the browser or the page complains of fails the test.
func open(t *testing.T, url, selector, words string) *tab {
	t.Helper()
	path := testenv.Command(t, "chromium")
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("host-resolver-rules", "MAP worker.example 127.0.0.1"))...)
	ctx, cancel := chromedp.NewContext(alloc, chromedp.WithErrorf(t.Logf))
	w := &tab{Context: ctx, t: t}
	var heard sync.WaitGroup
	complaints := chromedp.Console(ctx)
	heard.Go(func() {
		for m, err := range complaints {
			if err != nil {
				return
			}
			if text := fmt.Sprintf("%s: %s %s", m.Type, m.Text, m.URL); !w.expects(text) {
				t.Errorf("the console has %s", text)
			}
		}
	})
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it has been of use already
		cancel()
		stop()
		heard.Wait()
	})
	w.do(chromedp.Navigate(url))
	w.see(selector, words)
	return w
}

func (w *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	run(w, chromedp.Steps(actions...))
}

// run takes an action in a tab.
func run[T any](w *tab, action chromedp.Action[T]) T {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.Context, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, action)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// ask evaluates an expression in the page, which may be a promise.
func ask[T any](w *tab, expression string) T {
	w.t.Helper()
	return run(w, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// until waits for a condition in the page, which is looked at in every frame.
func (w *tab) until(condition string) {
	w.t.Helper()
	const loop = `new Promise(done => {
		const end = performance.now() + %d;
		const look = () => %s ? done('') : performance.now() > end ? done(document.body.innerText) : requestAnimationFrame(look);
		look();
	})`
	if text := ask[string](w, fmt.Sprintf(loop, (patience-time.Second).Milliseconds(), condition)); text != "" {
		w.t.Fatalf("never seen: %s; the page has:\n%s", condition, text)
	}
}

// see waits until what a selector finds has these words in it.
func (w *tab) see(selector, words string) {
	w.t.Helper()
	w.until(fmt.Sprintf("document.querySelector(%q).textContent.includes(%q)", selector, words))
}

// press gives the focus to something and presses keys, as somebody without a mouse does.
func (w *tab) press(selector, keys string) {
	w.t.Helper()
	w.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.KeyEvent(keys))
}

// picture is where one goes: into the folder that UI_PICTURES names, if it names one.
func picture(t *testing.T, name string) string {
	dir := os.Getenv("UI_PICTURES")
	if dir == "" {
		dir = t.TempDir()
	}
	return filepath.Join(dir, name)
}
