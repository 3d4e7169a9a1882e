package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/elector-dev/elector/internal/devetcd"
)

// reloaded is an elector whose settings stand in a file.
type reloaded struct {
	*process
	file string
}

// hangUp replaces the file and sends SIGHUP. It waits for what the elector then says.
func (r *reloaded) hangUp(settings, says string) string {
	r.t.Helper()
	must(r.t, os.WriteFile(r.file, []byte(settings), 0o600))
	from := len(r.logged())
	must(r.t, syscall.Kill(r.PID(), syscall.SIGHUP))
	for {
		if log := r.awaitLog(says); strings.Contains(log[from:], says) {
			return log[from:]
		}
		pause(r.t)
	}
}

func TestSIGHUPChangesLogLevelHooksAndChecksAndEndsNoTerm(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	dir := t.TempDir()
	file, told := filepath.Join(dir, "elector.yaml"), filepath.Join(dir, "told")
	must(t, os.WriteFile(file, []byte("log-level: info\n"), 0o600))
	r := &reloaded{process: e.start(t, "w1", "--config", file), file: file}
	term := r.await("leading", "/leader", leads)

	const done = "settings were read anew"
	if log := r.hangUp("log-level: debug\n", done); !strings.Contains(log, `"changed":"log-level"`) {
		t.Errorf("the log says %s", log)
	}
	r.awaitLog(`"level":"DEBUG"`)

	worker := newPatient(t)
	settings := fmt.Sprintf("answer-max: 1s\ncheck-http: %s\ncheck-interval: 20ms\ncheck-timeout: 20ms\non-change: touch %s\n", worker.URL, told)
	if log := r.hangUp(settings, done); !strings.Contains(log, `"settings":"answer-max"`) || !strings.Contains(log, "check-http") {
		t.Errorf("the log says %s", log)
	}
	worker.seen(3)
	if a := r.get("/leader"); !leads(a) || a.Token != term.Token {
		t.Errorf("after the settings were read anew: %+v", a)
	}

	for _, row := range []struct{ settings, says string }{
		{"answer-max: soon\n", "is not a duration"},
		{"on-lead: /nowhere/hook\n", "cannot be run"},
		{"check-tcp: nonsense\n", "--check-tcp"},
		{"{", "YAML"},
	} {
		log := r.hangUp(row.settings, "the settings cannot be taken over and stay as they were")
		if !strings.Contains(log, row.says) {
			t.Errorf("%q: the log says %s", row.settings, log)
		}
	}
	worker.turn(well)
	worker.seen(3) // the check of the last good settings is still looked at

	worker.turn(sick)
	r.await("the new check barring the elector", "/status", func(a answer) bool { return a.code == http.StatusOK && !a.Eligible && !a.Leading })
	for _, err := os.Stat(told); err != nil; _, err = os.Stat(told) { // the new hook hears of it
		pause(t)
	}
	r.hangUp("", done)
	if again := r.await("leading without the check", "/leader", leads); again.Token <= term.Token {
		t.Errorf("the second term has token %d after %d", again.Token, term.Token)
	}
}
