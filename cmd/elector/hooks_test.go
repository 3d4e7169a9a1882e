package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/client"
	"github.com/elector-dev/elector/internal/devetcd"
)

// asHook makes this test binary a hook that takes its time: the file to which it writes when that has passed.
const asHook = "ELECTOR_TEST_AS_HOOK"

// slowly is how long such a hook takes.
const slowly = 700 * time.Millisecond

func beHook(journal string) int {
	time.Sleep(slowly)
	line := fmt.Sprintf("%d %s %s\n", boottime.Now(), os.Getenv("ELECTOR_HOOK"), os.Getenv("ELECTOR_TERM_TOKEN"))
	if os.WriteFile(journal, []byte(line), 0o600) != nil {
		return 1
	}
	return 0
}

// itself is this test binary in another part than that of the elector, as a hook or a command names it.
func itself(part, journal string) string {
	return strings.Join([]string{"env", "-u", asElector, part + "=" + journal, os.Args[0]}, " ")
}

// script writes a script of sh and returns the hook that runs it with arguments.
func script(t *testing.T, text string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sh")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return strings.Join(append([]string{"sh", path}, args...), " ")
}

// telling is a hook that takes a few milliseconds and says in a file when it begins and ends, with the token and
// the number of the state that it was told.
func telling(t *testing.T, journal string) string {
	t.Helper()
	return script(t, `
read -r state
seq=${state#*\"seq\":}
told="$ELECTOR_HOOK ${ELECTOR_TERM_TOKEN:-0} ${seq%%,*}"
echo "begin $told" >>"$1"
[ "$ELECTOR_HOOK" = on-change ] || sleep 0.004 # the machine has others to serve
echo "end $told" >>"$1"
`, journal)
}

// hookRun is one run of such a hook.
type hookRun struct {
	hook       string
	token, seq int64
	ended      bool
}

// readRuns reads what such hooks have said. A line of another run between the two of one is an error, unless the
// first was cut short: then it says nothing more.
func readRuns(t *testing.T, journal string) (runs []hookRun) {
	t.Helper()
	text, err := os.ReadFile(journal)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	must(t, err)
	for line := range strings.Lines(string(text)) {
		var word string
		var r hookRun
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if _, err := fmt.Sscan(line, &word, &r.hook, &r.token, &r.seq); err != nil {
			t.Fatalf("journal line %q: %v", line, err)
		}
		switch n := len(runs); {
		case word == "begin":
			runs = append(runs, r)
		case n > 0 && runs[n-1] == r:
			runs[n-1].ended = true
		default:
			t.Fatalf("%q ends while another runs:\n%s", line, text)
		}
	}
	return runs
}

// awaitRun waits until a hook has run to its end, for a token if that is not 0.
func (p *process) awaitRun(journal, hook string, token int64) {
	p.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); pause(p.t) {
		for _, r := range readRuns(p.t, journal) {
			if r.hook == hook && r.ended && (token == 0 || r.token == token) {
				return
			}
		}
	}
	p.t.Fatalf("%s: no %s for %d\n%s", p.id, hook, token, p.logged())
}

// unheard is the tokens of on-lead's runs that were cut short before they could say anything, as the log tells.
func (p *process) unheard(runs []hookRun) (tokens []int64) {
	p.t.Helper()
	for line := range strings.Lines(p.logged()) {
		var entry struct {
			Msg, Hook, Err string
			Token          int64
		}
		must(p.t, json.Unmarshal([]byte(line), &entry))
		said := slices.ContainsFunc(runs, func(r hookRun) bool { return r.hook == entry.Hook && r.token == entry.Token })
		switch {
		case entry.Msg != "a hook has failed":
		case entry.Hook != "on-lead" || !strings.HasPrefix(entry.Err, "cut short: "):
			p.t.Errorf("%s: %s", p.id, line)
		case !said:
			tokens = append(tokens, entry.Token)
		}
	}
	return tokens
}

// inOrder checks the runs of one elector, and returns how many there were of each hook and how many were cut short.
func (p *process) inOrder(runs []hookRun) (count map[string]int, cut int) {
	t, id := p.t, p.id
	t.Helper()
	count = map[string]int{}
	unheard := p.unheard(runs)
	role, token, seq := "", int64(0), int64(0)
	for i, r := range runs {
		count[r.hook]++
		if r.hook == "on-follow" && role == "on-follow" && len(unheard) > 0 && unheard[0] >= token {
			role, token, unheard = "on-lead", unheard[0], unheard[1:]
			count[role]++
			cut++
		}
		switch {
		case r.hook != "on-change" && r.hook == role:
			t.Errorf("%s: %s twice: %+v", id, role, runs[max(0, i-6):i+1])
		case r.token != 0 && r.token < token:
			t.Errorf("%s: tokens go back: %+v", id, runs[max(0, i-6):i+1])
		case r.seq < seq:
			t.Errorf("%s: states go back: %+v", id, runs[max(0, i-6):i+1])
		case !r.ended && r.hook != "on-lead":
			t.Errorf("%s: cut short: %+v", id, r)
		}
		if r.hook != "on-change" {
			role = r.hook
		}
		if !r.ended {
			cut++
		}
		token, seq = max(token, r.token), r.seq
	}
	if role != "on-follow" {
		t.Errorf("%s has stopped, and was told last: %s", id, role)
	}
	return count, cut
}

// successor waits until one of a fleet leads in a later term, and is promised nothing to speak of.
func successor(t *testing.T, fleet []*process, token int64) (*process, int64) {
	t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); pause(t) {
		for _, p := range fleet {
			if a := p.glance(); a.Leading && a.Token > token {
				return p, a.Token
			}
		}
	}
	t.Fatalf("nobody leads after the term %d", token)
	return nil, 0
}

func TestHooksNeverOverlapAndKeepTheOrderOfFiftyChanges(t *testing.T) {
	const changes = 50
	e := startEtcd(t, devetcd.Options{})
	var fleet []*process
	journals := map[*process]string{}
	for i := range 7 { // of two each would come back ever later, with the back-off of sessions that live for less than a TTL
		journal := filepath.Join(t.TempDir(), "journal")
		hook := telling(t, journal)
		p := e.start(t, fmt.Sprintf("w%d", i+1), "--on-lead", hook, "--on-follow", hook, "--on-change", hook)
		fleet, journals[p] = append(fleet, p), journal
	}
	var orders sync.WaitGroup
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	began := time.Now()
	l, token := successor(t, fleet, 0)
	for i := range changes {
		if i%2 == 0 { // else the term may be over before on-lead has had its turn, or while it runs
			l.awaitRun(journals[l], "on-lead", token)
		}
		c, of := l.ask(), token
		orders.Go(func() { _, _ = c.Resign(ctx, of, 0) }) // it answers when the elector is back; if it is refused nobody follows
		l, token = successor(t, fleet, token)
	}
	enough()
	orders.Wait()
	took := time.Since(began)
	for _, p := range fleet {
		must(t, p.Terminate())
	}
	all, cuts := map[string]int{}, 0
	for _, p := range fleet {
		if status := p.awaitExit(); status != 0 {
			t.Errorf("%s: exit status %d", p.id, status)
		}
		count, cut := p.inOrder(readRuns(t, journals[p]))
		for hook, n := range count {
			all[hook] += n
		}
		cuts += cut
	}
	if all["on-lead"] < changes/2 || all["on-follow"] < changes/2 || all["on-change"] < changes {
		t.Errorf("too few runs: %v", all)
	}
	t.Logf("%d changes in %v: %v, of which %d were cut short", changes, took, all, cuts)
}

// haunted starts an elector whose on-lead, and a child of it, act for ever.
func (e *etcd) haunted(t *testing.T, id string, args ...string) *runner {
	t.Helper()
	journal := filepath.Join(t.TempDir(), "acts")
	return &runner{e.start(t, id, append([]string{"--on-lead", itself(asActor, journal)}, args...)...), journal}
}

func TestOnLeadHookThatHangsIsKilledAndTheTermGoesOn(t *testing.T) {
	const timeout = 1500 * time.Millisecond
	e := startEtcd(t, devetcd.Options{})
	journal := filepath.Join(t.TempDir(), "journal")
	r := e.haunted(t, "w1", "--hook-timeout", timeout.String(), "--on-follow", telling(t, journal), "--answer-max", "300ms")
	began := r.act()
	first := boottime.Now()
	asked, slowest := 0, time.Duration(0)
	for !errors.Is(syscall.Kill(-began.group, 0), syscall.ESRCH) {
		a := r.get("/leader")
		if !leads(a) || a.Token != began.token {
			t.Fatalf("while on-lead hangs: %+v\n%s", a, r.logged())
		}
		asked, slowest = asked+1, max(slowest, a.received-a.sent)
		if boottime.Now()-first > patience {
			t.Fatal("it hangs for ever")
		}
		pause(t)
	}
	hung := boottime.Now() - first
	r.awaitLog("has not ended within its timeout")
	if n := r.metric("elector_hook_duration_seconds_count", `hook="on-lead",result="timeout"`); n != 1 {
		t.Errorf("%v timeouts are counted", n)
	}
	if hung > timeout+time.Second { // the second is for a busy machine
		t.Errorf("it was killed %v after it had begun to act", hung)
	}
	if slowest > time.Second {
		t.Errorf("/leader took %v", slowest)
	}
	if a := r.get("/leader"); !leads(a) || a.Token != began.token {
		t.Errorf("after it was killed: %+v", a)
	}
	runs := len(readRuns(t, journal))
	_, err := r.ask().Resign(t.Context(), began.token, time.Minute)
	must(t, err)
	for limit := time.Now().Add(patience); len(readRuns(t, journal)) == runs; pause(t) {
		if time.Now().After(limit) {
			t.Fatalf("no on-follow\n%s", r.logged())
		}
	}
	t.Logf("killed %v after it had begun to act, with --hook-timeout %v; %d yes meanwhile, the slowest in %v", hung, timeout, asked, slowest)
}

func TestOnLeadHookThatHangsDoesNotDelayTheNextLeader(t *testing.T) {
	const promise = time.Second
	e := startEtcd(t, devetcd.Options{})
	r := e.haunted(t, "w1", "--hook-timeout", "1000s", "--answer-max", promise.String())
	began := r.act()
	next := e.start(t, "w2")
	next.await("following", "/status", follows)
	yes := r.get("/leader")
	must(t, r.Terminate())
	asked := boottime.Now()
	took := r.succeeded(next, began.token)
	promised := time.Duration(yes.ExpiresBoottimeMs) * time.Millisecond
	if last := readActs(t, r.journal).last; last >= took {
		t.Errorf("it acts at %v, the next leads at %v", last, took)
	}
	r.reaped(began.group)
	if late := took - promised; !leads(yes) || late < 0 || late > time.Second { // for etcd and a busy machine
		t.Errorf("the next yes %v after the promise had run out: %+v", late, yes)
	}
	if status := r.awaitExit(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	t.Logf("the next yes %v after SIGTERM, %v after the promise had run out", took-asked, took-promised)
}

func TestBeforeLeadHookThatRefusesPassesTheLeadOnForAboutATTL(t *testing.T) {
	const short = 2 * time.Second
	e := startEtcd(t, devetcd.Options{})
	refuse := filepath.Join(t.TempDir(), "refuse")
	must(t, os.WriteFile(refuse, nil, 0o600))
	args := []string{"--ttl", short.String(), "--answer-max", "300ms"}
	first := e.start(t, "w1", args...)
	leader(t, first)
	choosy := e.start(t, "w2", append(args, "--before-lead", script(t, `echo "not today"; test ! -e "$1"`, refuse))...)
	before := choosy.await("following", "/status", follows)
	last := e.start(t, "w3", args...)
	last.await("following", "/status", follows)
	w := e.observe(t, first, choosy, last)
	led := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.yes["w2"] != nil
	}

	must(t, first.Terminate())
	_, next := leader(t, last, choosy)
	out := choosy.await("being vetoed", "/status", func(a answer) bool { return a.State == "ineligible" })
	back := choosy.await("standing again", "/status", func(a answer) bool { return a.Registered && a.Lease.ID != before.Lease.ID })
	if out.Cause != "vetoed" || out.Registered {
		t.Errorf("after it refused: %+v", out)
	}
	if took := back.received - out.sent; took < short/2 || took > short+2*time.Second {
		t.Errorf("it stands again after %v, TTL %v", took, short)
	}
	choosy.awaitLog("not today")
	if led() {
		t.Error("it refused, and led")
	}
	must(t, os.Remove(refuse))
	must(t, last.Terminate())
	if _, now := leader(t, choosy); now.Token <= next.Token {
		t.Errorf("token %d follows %d", now.Token, next.Token)
	}
	t.Logf("it stood again %v after its refusal, TTL %v", back.received-out.sent, short)
}

func TestBeforeReleaseHookEndsBeforeTheKeyGoes(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	journal := filepath.Join(t.TempDir(), "journal")
	p := e.start(t, "w1", "--before-release", itself(asHook, journal), "--answer-max", "100ms")
	_, yes := leader(t, p)
	next := e.start(t, "w2", "--answer-max", "100ms")
	next.await("following", "/status", follows)
	w := e.observe(t, p, next)
	asked := boottime.Now()
	_, err := p.ask().Resign(t.Context(), 0, time.Minute)
	must(t, err)
	told := next.await("leading", "/leader", leads)
	var gone time.Duration
	for limit := time.Now().Add(patience); gone == 0; pause(t) {
		w.mu.Lock()
		gone = w.gone[yes.Token]
		w.mu.Unlock()
		if time.Now().After(limit) {
			t.Fatal("the key does not go")
		}
	}
	var at, token int64
	var hook string
	text, err := os.ReadFile(journal)
	must(t, err)
	_, err = fmt.Sscan(string(text), &at, &hook, &token)
	must(t, err)
	ended := time.Duration(at)
	if hook != "before-release" || token != yes.Token {
		t.Errorf("%s for %d, of a term with %d", hook, token, yes.Token)
	}
	if ended < asked+slowly || ended >= gone || ended >= told.received {
		t.Errorf("asked at %v, the hook ended at %v, the key was gone at %v, the next yes came at %v", asked, ended, gone, told.received)
	}
	t.Logf("the hook ended %v after the order, the key was seen to go %v after that", ended-asked, gone-ended)
}

func TestHookThatIsAURLGetsTheState(t *testing.T) {
	type post struct {
		hook, kind, method, path string
		state                    client.Status
	}
	posts := make(chan post, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := post{hook: r.Header.Get("Elector-Hook"), kind: r.Header.Get("Content-Type"), method: r.Method, path: r.URL.Path}
		body, err := io.ReadAll(r.Body)
		if err = errors.Join(err, json.Unmarshal(body, &got.state)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		posts <- got
	}))
	defer server.Close()
	e := startEtcd(t, devetcd.Options{})
	p := e.start(t, "w1", "--on-lead", server.URL+"/lead", "--on-follow", server.URL+"/follow")
	next := func() post {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		select {
		case got := <-posts:
			return got
		case <-ctx.Done():
			t.Fatalf("no POST\n%s", p.logged())
			return post{}
		}
	}
	got := next()
	if got.hook == "on-follow" { // it may be seen to follow before it leads
		got = next()
	}
	_, yes := leader(t, p)
	if got.hook != "on-lead" || got.method != http.MethodPost || got.path != "/lead" || got.kind != "application/json" ||
		!got.state.Leading || got.state.Token != yes.Token || got.state.Identity != "w1" {
		t.Errorf("%+v", got)
	}
	_, err := p.ask().Resign(t.Context(), yes.Token, time.Minute)
	must(t, err)
	if got := next(); got.hook != "on-follow" || got.path != "/follow" || got.state.Leading || got.state.Token != 0 {
		t.Errorf("%+v", got)
	}
}
