package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/elector-dev/elector/internal/cli"
)

// childEnv marks a process as an elector of the demo. Its name must not begin with ELECTOR_, which
// are the settings of the elector.
const childEnv = "DEMO_RUNS_ELECTOR"

// maybeServe returns at once in the demo. In a process that the demo started it is the ordinary elector
// command with the process's arguments, and exits the process. Call it first thing in main or TestMain.
func maybeServe() {
	maybeWork() // an elector's command inherits the mark
	if os.Getenv(childEnv) == "" {
		return
	}
	ctx, stop := cli.WithSignals(context.Background())
	status := cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// childCommand is the command line of an elector.
func childCommand(exe string, args []string) *exec.Cmd {
	cmd := exec.Command(exe, args...)
	cmd.Env = append(childEnviron(os.Environ()), childEnv+"=yes")
	return cmd
}

// childEnviron leaves out what would change an elector's settings: the demo's electors are all alike.
func childEnviron(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "ELECTOR_") || strings.HasPrefix(v, "ETCDCTL_") || strings.HasPrefix(v, "POD_")
	})
}
