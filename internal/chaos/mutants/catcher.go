package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// catcher is what must notice that a defence is missing.
type catcher struct {
	by      string // for the table
	slow    bool   // it runs processes and clocks of its own, and runs when what computes is done
	command func(ctx context.Context, overlay, dir string) (*exec.Cmd, error)
	// noticed is what its output shows when it fails for the right reason, with what was broken as its
	// group: a build that breaks or a harness that does not start notices nothing.
	noticed *regexp.Regexp
}

// patience bounds one catcher.
const patience = 5 * time.Minute

// model is a scope of the exhaustive model, and the invariant that is broken there: another one would be
// another defect, or a start that is not reached.
func model(scope, invariant string) catcher {
	return catcher{
		by:      "the model, scope `" + scope + "`",
		command: goTest("./internal/election", "^TestModel$/^"+scope+"$"),
		noticed: regexp.MustCompile(`model_scopes_test.go:\d+: (` + invariant + `): `),
	}
}

// namedTest is a test of the ordinary suite, by the pattern of go test's -run, and what it says when what it is
// about is missing: it may also fail because its etcd does not start.
func namedTest(pkg, pattern, says string) catcher {
	parts := strings.Split(pattern, "/")
	return catcher{
		by: "`" + parts[len(parts)-1] + "`", slow: true,
		command: goTest(pkg, "^"+strings.Join(parts, "$/^")+"$"),
		noticed: regexp.MustCompile(`(?m)^ +\w+\.go:\d+: (` + says + `)`),
	}
}

// goTest runs tests of the mutated code.
func goTest(pkg, run string) func(context.Context, string, string) (*exec.Cmd, error) {
	return func(ctx context.Context, overlay, _ string) (*exec.Cmd, error) {
		return exec.CommandContext(ctx, "go", "test", "-count=1", "-overlay", overlay, "-run", run, pkg), nil
	}
}

// chaos is a scenario of elector-chaos, run against a binary of the mutated code.
func chaos(scenario string) catcher {
	return scripted("chaos, scenario `"+scenario+"`", scenario, func(ctx context.Context, overlay, program string) *exec.Cmd {
		return exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "./cmd/elector")
	})
}

// plainChaos is a scenario run against the daemon that has none of the defences.
func plainChaos(scenario string) catcher {
	return scripted("chaos, scenario `"+scenario+"`", scenario, func(ctx context.Context, _, program string) *exec.Cmd {
		return exec.CommandContext(ctx, "go", "build", "-C", "bench", "-o", program, "./plain")
	}, "--kind", "plain")
}

func scripted(by, scenario string, build func(ctx context.Context, overlay, program string) *exec.Cmd, args ...string) catcher {
	return catcher{
		by: by, slow: true,
		noticed: regexp.MustCompile(`(?m)^  VIOLATION +(I[1-4]|I10):`), // the rules of safety: not a slow election, nor a starved harness
		command: func(ctx context.Context, overlay, dir string) (*exec.Cmd, error) {
			program := filepath.Join(dir, "program")
			if out, err := build(ctx, overlay, program).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("build: %w: %s", err, out)
			}
			// Where a race decides, a second seed gets its turn; the first that fails ends it.
			all := []string{"run", "./cmd/elector-chaos", "--seed", "7", "--runs", "2", "--program", program, "--scenario", scenario, "--out", filepath.Join(dir, "out")}
			return exec.CommandContext(ctx, "go", append(all, args...)...), nil
		},
	}
}

// run runs the catcher and returns what it found broken, or, as an error, what it said instead.
func (c catcher) run(ctx context.Context, overlay, dir string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd, err := c.command(ctx, overlay, dir)
	if err != nil {
		return "", err
	}
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("no verdict within %v: %s", patience, tail(out))
	case err == nil:
		return "", errors.New("it passes without the defence")
	case !errors.As(err, &failed):
		return "", err
	}
	broken := c.noticed.FindSubmatch(out)
	if broken == nil {
		return "", fmt.Errorf("it fails for another reason: %s", tail(out))
	}
	return string(broken[1]), nil
}

// tail is the end of an output.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n\t")
}
