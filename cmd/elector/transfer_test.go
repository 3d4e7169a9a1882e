package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
)

// tell runs one of the command's verbs against an elector. It returns the exit status and what was said.
func (p *process) tell(args ...string) (status int, said string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), os.Args[0], append(args, "--addr", p.addr)...)
	cmd.Env = append(os.Environ(), asElector+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// queued starts electors that stand in the order in which they are named.
func (e *etcd) queued(t *testing.T, ids []string, args ...string) (fleet []*process) {
	t.Helper()
	for _, id := range ids {
		p := e.start(t, id, args...)
		fleet = append(fleet, p)
		p.await("standing", "/status?max=1ms", func(a answer) bool { return a.Registered && a.Leader.Identity != "" })
	}
	return fleet
}

// standingWith waits until a candidate stands with a token after another, and returns it.
func (p *process) standingWith(id string, after int64) int64 {
	p.t.Helper()
	c := p.ask()
	for limit := time.Now().Add(patience); time.Now().Before(limit); pause(p.t) {
		q, err := c.Candidates(p.t.Context())
		must(p.t, err)
		for _, c := range q.Candidates {
			if c.Identity == id && c.Token > after {
				return c.Token
			}
		}
	}
	p.t.Fatalf("%s never stands with a token after %d", id, after)
	return 0
}

// stopsIn is a command of elector run that needs some time to stop, and says in a file when it begins to and has.
func stopsIn(t *testing.T, wait, journal string) []string {
	t.Helper()
	return strings.Fields(script(t, `
trap 'echo asked >>"$1"; sleep "$2"; echo stopped >>"$1"; exit 0' TERM
echo acts >>"$1"
while :; do sleep 0.05; done
`, journal, wait))
}

// said is what is in such a file.
func said(t *testing.T, journal string) []string {
	t.Helper()
	text, err := os.ReadFile(journal)
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	return strings.Fields(string(text))
}

func TestTransferGoesToTheLastOfTheQueueWhenTheWorkHasStopped(t *testing.T) {
	const stopping = time.Second
	e := startEtcd(t, devetcd.Options{})
	journal := filepath.Join(t.TempDir(), "journal")
	args := []string{"--ttl", "6s", "--answer-max", "300ms"}
	first := e.launch(t, nil, "run", "c1", append(append(args, "--stop-grace", "2s", "--"), stopsIn(t, fmt.Sprint(stopping.Seconds()), journal)...)...)
	_, yes := leader(t, first)
	for limit := time.Now().Add(patience); !slices.Contains(said(t, journal), "acts"); pause(t) {
		if time.Now().After(limit) {
			t.Fatalf("the command does not act\n%s", first.logged())
		}
	}
	fleet := append([]*process{first}, e.queued(t, []string{"c2", "c3", "c4", "c5"}, args...)...)
	last := fleet[4]
	want := first.standingWith("c5", yes.Token)
	e.observe(t, fleet...)

	told := make(chan string, 1)
	asked := time.Now()
	go func() {
		status, text := first.tell("transfer", "c5")
		told <- fmt.Sprintf("%d %q", status, text)
	}()
	at := last.sees()
	if now := said(t, journal); !slices.Equal(now, []string{"acts", "asked", "stopped"}) {
		t.Errorf("at the next yes the command of the old leader has said %q", now)
	}
	if text := <-told; text != `0 ""` {
		t.Errorf("elector transfer: %s", text)
	}
	if now := last.get("/leader"); !leads(now) || now.Token != want || now.Token <= yes.Token {
		t.Errorf("c5 stood with %d and leads with %d, after %d: %+v", want, now.Token, yes.Token, now)
	}
	for _, p := range fleet[:4] {
		behind := last.standingWith(p.id, want) // it may be seen to follow before it knows that its key has gone
		p.await("following", "/status", func(a answer) bool { return follows(a) && a.Leader.Token == want })
		t.Logf("%s stands again, with %d", p.id, behind)
	}
	if said := said(t, journal); len(said) != 3 {
		t.Errorf("the command says %q", said)
	}
	t.Logf("the next yes %v after the order, with a command that needs %v to stop; token %d, then %d", at.Sub(asked), stopping, yes.Token, want)
}

func TestTransferToACandidateThatDiesMeanwhileLeavesNobodyWithoutALeader(t *testing.T) {
	const short = 2 * time.Second
	e := startEtcd(t, devetcd.Options{})
	fleet := e.queued(t, []string{"c1", "c2", "c3"}, "--ttl", short.String(), "--answer-max", "300ms")
	first, heir := fleet[0], fleet[2]
	yes := first.await("leading", "/leader", leads)
	e.observe(t, fleet[:2]...)
	type result struct {
		status int
		said   string
	}
	told := make(chan result, 1)
	go func() {
		status, text := first.tell("transfer", "c3")
		told <- result{status, text}
	}()
	first.await("being asked", "/status?max=1ms", func(a answer) bool { return a.code == http.StatusOK && !a.Leading })
	must(t, heir.Kill())
	killed := boottime.Now()
	_, next := leader(t, fleet[:2]...)
	took := next.received - killed
	if next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
	if took > short+2*time.Second { // the promise is one second; the other is for a busy machine
		t.Errorf("the next yes %v after the kill, TTL %v", took, short)
	}
	// Whether the dead one's key was seen to lead is a matter of milliseconds.
	r := <-told
	if r.status != 0 && (r.status != 1 || !strings.Contains(r.said, "leads: the candidate had gone")) {
		t.Errorf("elector transfer: %d %q", r.status, r.said)
	}
	t.Logf("%s leads with %d, %v after the kill, TTL %v; elector transfer: %d %q", next.Identity, next.Token, took, short, r.status, r.said)
}

func TestTransferThatCannotBeIsRefusedWithTheReason(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	fleet := e.queued(t, []string{"c1", "c2"})
	yes := fleet[0].await("leading", "/leader", leads)
	for _, c := range []struct {
		asked *process
		to    string
		want  string
	}{
		{fleet[0], "nobody", "no other candidate of that identity stands in the queue"},
		{fleet[0], "c1", "no other candidate of that identity stands in the queue"},
		{fleet[1], "c2", `"c1" does`},
	} {
		status, text := c.asked.tell("transfer", c.to)
		if status != 1 || !strings.Contains(text, c.want) {
			t.Errorf("%s is asked to transfer to %s: exit status %d, %q", c.asked.id, c.to, status, text)
		}
		t.Logf("%s is asked to transfer to %s: %s", c.asked.id, c.to, strings.TrimSpace(text))
	}
	if now := fleet[0].get("/leader"); !leads(now) || now.Token != yes.Token {
		t.Errorf("afterwards: %+v", now)
	}
}
