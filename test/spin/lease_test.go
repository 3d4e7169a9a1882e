// Package spin holds no code of its own: its test has spin(1) explore lease.pml, a model of the lease protocol that was
// written from docs/safety.md and not from the code. docs/proof.md says what that adds.
package spin

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/testenv"
)

// deepVar is the environment variable that asks for the large world too; make spin sets it.
const deepVar = "ELECTOR_SPIN_DEEP"

// patience bounds each program, not what is expected of it.
const patience = 10 * time.Minute

// world is one exploration: the assertions of lease.pml, or one of its formulas.
type world struct {
	flags string
	claim string // ltl formula; empty: the assertions
	fails string // of a defence that is missing: what spin finds; empty: nothing is
	deep  bool
}

const safe, live = "-DNEVER_CALM", ""

var worlds = []world{
	{flags: safe},
	{claim: "leader", flags: live + " -DTERMS=1"},
	{claim: "kept", flags: live + " -DTERMS=1"},

	// Not vacuous: each defence is needed.
	{flags: safe + " -DREPLY_CLOCK", fails: "assertion violated"},
	{flags: safe + " -DNO_CONFIRM", fails: "assertion violated"},
	{flags: safe + " -DNO_TERM_RULE", fails: "assertion violated"},
	{flags: safe + " -DNO_SETTLED", fails: "assertion violated"},
	{flags: safe + " -DNO_IN_TIME", fails: "assertion violated"},
	{flags: safe + " -DNO_MARGIN", fails: "assertion violated"},
	{flags: safe + " -DNO_WAIT", fails: "assertion violated"},
	{flags: safe + " -DFLAG", fails: "assertion violated"},
	{flags: safe + " -DTRUST_CAMPAIGN", fails: "assertion violated"},
	{claim: "leader", flags: live + " -DZOMBIE", fails: "acceptance cycle"},
	{claim: "kept", flags: live + " -DNO_REBIND", fails: "assertion violated"},

	{claim: "kept", flags: live, deep: true},
}

func TestLease(t *testing.T) {
	testenv.Command(t, "spin")
	testenv.Command(t, "gcc")
	for _, w := range worlds {
		t.Run(strings.Join(strings.Fields(w.claim+" "+w.flags), ","), func(t *testing.T) {
			if w.deep && os.Getenv(deepVar) == "" {
				t.Skip("takes minutes: make spin")
			}
			out := w.explore(t)
			found := regexp.MustCompile(`errors: (\d+)`).FindStringSubmatch(out)
			states := regexp.MustCompile(`(\d+) states, stored`).FindStringSubmatch(out)
			switch {
			case found == nil || states == nil:
				t.Fatalf("spin has not come to an end:\n%s", out)
			case w.fails == "" && (strings.Contains(out, "search depth too small") || strings.Contains(out, "Search not completed")):
				t.Fatalf("not all was explored:\n%s", out)
			case w.fails == "" && found[1] != "0", w.fails != "" && (found[1] == "0" || !strings.Contains(out, w.fails)):
				t.Errorf("%s errors, and wanted is %q:\n%s", found[1], w.fails, out)
			}
			t.Logf("%s states, %s errors", states[1], found[1])
		})
	}
}

// explore makes spin's verifier of a world and runs it.
func (w world) explore(t *testing.T) string {
	t.Helper()
	model, err := filepath.Abs("lease.pml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("spin", append(append([]string{"-a"}, strings.Fields(w.flags)...), model)...)
	compile, verify := []string{"-w", "-DCOLLAPSE", "-DVECTORSZ=2048", "-DMEMLIM=4096"}, []string{"-m200000"}
	if w.claim == "" {
		compile = append(compile, "-DSAFETY", "-DNOCLAIM")
	} else {
		verify = append(verify, "-a", "-N", w.claim)
	}
	if w.deep { // else the compiler would take longer than the verifier
		compile = append(compile, "-O2")
	}
	run("gcc", append(compile, "-o", "pan", "pan.c")...)
	return run(filepath.Join(dir, "pan"), verify...)
}
