//go:build e2e

// Package e2e runs elector's image as it is meant to be run, beside workers in containers, and takes it through what
// happens to a fleet.
package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/dockertest"
	"github.com/elector-dev/elector/internal/testenv"
)

const (
	ttl       = 4 * time.Second
	answerMax = time.Second
)

func TestAFleetOfContainersHasOneLeaderAtATime(t *testing.T) {
	testenv.Docker(t)
	f := newFleet(t)
	var summary strings.Builder
	// step tells what was done, and how long it took from then until somebody led.
	step := func(what string, began time.Duration, now dockertest.Answer) {
		fmt.Fprintf(&summary, "%-34s %s leads with token %d after %v\n", what, now.Identity, now.Token,
			(time.Duration(now.Received)*time.Millisecond - began).Round(10*time.Millisecond))
	}

	now := f.leads(dockertest.Answer{})
	fmt.Fprintf(&summary, "%-34s %s leads with token %d\n", "elect", now.Identity, now.Token)
	for i := 1; i <= 3; i++ {
		if worker(i) != now.Identity {
			f.stands(worker(i))
		}
	}

	old := now
	heir := worker(1)
	if old.Identity == heir {
		heir = worker(2)
	}
	began := boottime.Now()
	dockertest.Docker(t, "exec", f.container(elector(old.Identity)), "/elector", "transfer", heir)
	if now = f.leads(old); now.Identity != heir {
		t.Errorf("the lead was to go to %s, and %s has it", heir, now.Identity)
	}
	step("hand over from "+old.Identity, began, now)
	f.stands(old.Identity)

	for _, fault := range []struct {
		what   string
		on     func(worker string) string
		do, un []string
	}{
		{"cut off", f.container, []string{"network", "disconnect", f.network}, []string{"network", "connect", f.network}},
		{"pause", f.electorOf, []string{"pause"}, []string{"unpause"}},
		{"kill", f.electorOf, []string{"kill"}, []string{"start"}},
	} {
		old = now
		target := fault.on(old.Identity)
		began := boottime.Now()
		dockertest.Docker(t, append(fault.do, target)...)
		now = f.leads(old)
		step(fault.what+" "+old.Identity, began, now)
		if now.Identity == old.Identity {
			t.Errorf("%s leads again, which %s had met", now.Identity, fault.what)
		}
		undone := boottime.Now().Milliseconds()
		dockertest.Docker(t, append(fault.un, target)...)
		f.stands(old.Identity)
		if fault.what == "pause" && !slices.ContainsFunc(f.told, func(a dockertest.Answer) bool {
			return a.Identity == old.Identity && a.Sent < undone && a.Received >= undone
		}) {
			t.Errorf("nothing had been asked of %s while it stood still", old.Identity)
		}
	}

	for i := 1; i <= 3; i++ {
		dockertest.Docker(t, "stop", "--time=30", f.container(elector(worker(i))))
		if status := dockertest.Docker(t, "inspect", "--format={{.State.ExitCode}}", f.container(elector(worker(i)))); status != "0" {
			t.Errorf("%s stops with exit status %s", elector(worker(i)), status)
		}
	}
	f.read()
	yes := 0
	for _, a := range f.told {
		if a.Leading {
			yes++
		}
	}
	terms, wrong := dockertest.Judge(f.told)
	for _, w := range wrong {
		t.Error(w)
	}
	fmt.Fprintf(&summary, "%d answers, %d yes in %d terms; two at once: %s", len(f.told), yes, terms,
		map[bool]string{true: "never", false: "SEE ABOVE"}[len(wrong) == 0])
	t.Logf("\n%s", &summary)
}

// electorOf is the container of the elector beside a worker.
func (f *fleet) electorOf(worker string) string { return f.container(elector(worker)) }
