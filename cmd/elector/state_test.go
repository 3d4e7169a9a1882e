package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

// A killed elector that comes back gives its key away as soon as its promises have run out: somebody leads long before
// the lease would have ended, and not before the last yes of the dead one has.
func TestElectorThatWasKilledAndStartedAgainDoesNotLeaveTheFleetToItsLease(t *testing.T) {
	const (
		trials    = 8
		longTTL   = 15 * time.Second
		answerMax = time.Second
	)
	e := startEtcd(t, devetcd.Options{})
	kept := t.TempDir()
	run := func(id string) *process {
		return e.start(t, id, "--ttl", longTTL.String(), "--answer-max", answerMax.String(), "--state-dir", filepath.Join(kept, id))
	}
	fleet := []*process{run("w1"), run("w2")}
	var took []time.Duration
	for range trials {
		first, _ := leader(t, fleet...)
		second := others(fleet, first)[0]
		second.await("following", "/status", follows)
		last := first.get("/leader")
		must(t, first.Kill())
		again := run(first.id)
		up := boottime.Now()
		fleet = []*process{again, second}
		_, next := leader(t, fleet...)
		took = append(took, next.received-up)
		if next.Token <= last.Token {
			t.Errorf("token %d follows %d", next.Token, last.Token)
		}
		promised := time.Duration(last.ExpiresBoottimeMs) * time.Millisecond
		if leads(last) && next.received < promised {
			t.Errorf("promised until %v, and the next yes comes at %v", promised, next.received)
		}
	}
	slices.Sort(took)
	t.Logf("%d trials, TTL %v, longest promise %v: the next yes came after %v at the median and %v at most", trials, longTTL, answerMax, took[trials/2], took[trials-1])
	if most := took[trials-1]; most > longTTL/3 { // a tenth of a second after the promises, and the rest for a busy machine
		t.Errorf("the next yes came %v after the restart", most)
	}
}

// refused runs an elector that is to refuse its settings, and returns what it says.
func (e *etcd) refused(t *testing.T, args ...string) string {
	t.Helper()
	return e.ends(t, 2, args...)
}

// ends runs an elector that is to end by itself with a status, and returns what it says.
func (e *etcd) ends(t *testing.T, status int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"--election", "e2e", "--http", "", "--etcd-endpoints", strings.Join(e.Endpoints(), ",")}, args...)...)
	cmd.Env = append(os.Environ(), asElector+"=1")
	said, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if !errors.As(err, &failed) || failed.ExitCode() != status {
		t.Errorf("%v: %v, want exit status %d\n%s", args, err, status, said)
	}
	return string(said)
}

// A full disk is nobody's mistake: a supervisor that gives up after status 2 is to try again.
func TestStateDirectoryOnAFullDiskIsAFailure(t *testing.T) {
	testenv.Root(t) // to have a disk
	script := `mount -t tmpfs -o size=4k,mode=700 none "$DIR" && head -c 4096 /dev/zero >"$DIR/full"; exec "$0" --election e2e --id w1 --http "" --state-dir "$DIR"`
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", script, os.Args[0])
	cmd.Env = append(os.Environ(), asElector+"=1", "DIR="+t.TempDir())
	said, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if !errors.As(err, &failed) || failed.ExitCode() != 1 || !strings.Contains(string(said), "no space left on device") {
		t.Errorf("%v, want exit status 1\n%s", err, said)
	}
}

func TestStateDirectoryOfALivingElectorAndACopyOfItAreRefused(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	original := filepath.Join(t.TempDir(), "state")
	w := e.start(t, "w1", "--state-dir", original)
	_, yes := leader(t, w)
	copied := filepath.Join(t.TempDir(), "state")
	must(t, os.CopyFS(copied, os.DirFS(original)))
	must(t, errors.Join(os.Chmod(copied, 0o700), os.Chmod(filepath.Join(copied, "lock"), 0o600), os.Chmod(filepath.Join(copied, "state.json"), 0o600)))
	if said := e.ends(t, 1, "--id", "w1", "--state-dir", original); !strings.Contains(said, "is in use by another process") { // which will end
		t.Errorf("of the original it says %q", said)
	}
	if said := e.refused(t, "--id", "w1", "--state-dir", copied); !strings.Contains(said, "is a copy") {
		t.Errorf("of the copy it says %q", said)
	}
	if said := e.refused(t, "--id", "w2", "--state-dir", copied); !strings.Contains(said, "holds the state of") {
		t.Errorf("another identity is told %q", said)
	}
	if now := w.get("/leader"); !leads(now) || now.Token != yes.Token {
		t.Errorf("the original: %+v", now)
	}
	must(t, w.Kill())
	if said := e.refused(t, "--id", "w1", "--state-dir", copied); !strings.Contains(said, "is a copy") {
		t.Errorf("after the original's end: %q", said)
	}
	awaitKeys(t, e, 1) // it is left to its lease
}
