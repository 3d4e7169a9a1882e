// Package examples holds no code of its own: its tests run the example workers beside real electors.
package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/devetcd/proc"
	"github.com/elector-dev/elector/internal/testenv"
)

// act is one line of the workers' journal.
type act struct {
	at    int64 // milliseconds on the boot clock
	token int64
	by    string
}

// read returns the journal. A line that is still being written is left out.
func read(t *testing.T, journal string) (acts []act) {
	t.Helper()
	text, err := os.ReadFile(journal)
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	for line := range strings.Lines(string(text)) {
		var a act
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if _, err := fmt.Sscan(line, &a.at, &a.token, &a.by); err != nil {
			t.Fatalf("journal line %q: %v", line, err)
		}
		acts = append(acts, a)
	}
	return acts
}

// judge holds the journal against the promise: the acts of a term come before those of every later one, and
// each term is one worker's.
func judge(t *testing.T, acts []act) {
	t.Helper()
	type span struct {
		first, last int64
		by          string
	}
	terms := map[int64]span{}
	for _, a := range acts {
		s, ok := terms[a.token]
		if !ok {
			s = span{a.at, a.at, a.by}
		}
		if s.by != a.by {
			t.Errorf("%s and %s act under token %d", s.by, a.by, a.token)
		}
		s.first, s.last = min(s.first, a.at), max(s.last, a.at)
		terms[a.token] = s
	}
	var tokens []int64
	for token := range terms {
		tokens = append(tokens, token)
	}
	slices.Sort(tokens)
	for i, token := range tokens {
		s := terms[token]
		t.Logf("token %d: %-6s from %d to %d", token, s.by, s.first, s.last)
		if i > 0 && terms[tokens[i-1]].last >= s.first {
			t.Errorf("%s still acts when %s, with token %d, does", terms[tokens[i-1]].by, s.by, token)
		}
	}
}

// workers are the examples: how each is run beside its elector.
func workers(t *testing.T) map[string]func(*post) []string {
	t.Helper()
	goWorker := filepath.Join(t.TempDir(), "worker-go")
	build := exec.Command("go", "build", "-trimpath", "-o", goWorker, "./worker-go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	python, node := testenv.Command(t, "python3"), testenv.Command(t, "node")
	url := func(p *post) string { return "http://" + p.http }
	return map[string]func(*post) []string{
		"go":     func(p *post) []string { return []string{goWorker, url(p)} },
		"python": func(p *post) []string { return []string{python, "worker.py", url(p)} },
		"node":   func(p *post) []string { return []string{node, "worker.mjs", url(p)} },
		"shell":  func(p *post) []string { return []string{"./worker.sh", p.leaderFile} },
	}
}

// crew is the four workers with their electors, and the journal that they all write to.
type crew struct {
	*testing.T
	posts   map[string]*post
	journal string
}

func newCrew(t *testing.T) *crew {
	c := &crew{t, map[string]*post{}, filepath.Join(t.TempDir(), "journal")}
	endpoints := startEtcd(t)
	for name, argv := range workers(t) {
		p := newPost(t, name, endpoints)
		c.posts[name] = p
		words := append(argv(p), c.journal)
		worker, err := proc.Start(exec.Command(words[0], words[1:]...))
		must(t, err)
		t.Cleanup(func() { must(t, worker.Kill()) })
	}
	for name, p := range c.posts {
		until(t, name+" stands", func() bool { return p.is("/read-only") })
	}
	return c
}

// acting waits until the leader's worker acts, after the n acts that there were, and returns its name.
func (c *crew) acting(n int) string {
	c.Helper()
	var name string
	until(c.T, "a worker acts", func() bool {
		acts := read(c.T, c.journal)
		if len(acts) <= n {
			return false
		}
		name = acts[len(acts)-1].by
		return c.posts[name].leads()
	})
	return name
}

// handOver does something to the leader's elector, and waits until another one's worker acts.
func (c *crew) handOver(what string, do func(*post)) {
	c.Helper()
	old := c.acting(len(read(c.T, c.journal)))
	c.Logf("%s: %s", old, what)
	do(c.posts[old])
	until(c.T, "another acts after "+old, func() bool {
		acts := read(c.T, c.journal)
		return acts[len(acts)-1].by != old
	})
}

func TestExampleWorkersNeverActAtOnce(t *testing.T) {
	c := newCrew(t)
	acted := map[string]bool{}
	faults := []func(){
		func() {
			c.handOver("is stopped", (*post).stop)
		},
		func() {
			c.handOver("is killed", (*post).kill)
		},
		func() {
			var frozen *post
			c.handOver("is frozen", func(p *post) { frozen = p; must(t, p.process.Pause()) })
			must(t, frozen.process.Resume())
		},
	}
	// Each worker must act once. Who stands next is nobody's choice, so it takes a few rounds.
	for i := 0; len(acted) < 4 || i < 2*len(faults); i++ {
		if i == 30 {
			t.Fatalf("of four workers only %v have acted", acted)
		}
		acted[c.acting(len(read(t, c.journal)))] = true
		faults[i%len(faults)]()
		for _, p := range c.posts {
			if p.process.Ended() {
				p.start()
			}
		}
		for name, p := range c.posts {
			until(t, name+" stands", func() bool { return p.is("/read-only") })
		}
	}
	judge(t, read(t, c.journal))
}
