// Command elector takes part in an election over etcd and answers whether it leads. See elector -h.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/elector-dev/elector/internal/cli"
	"github.com/elector-dev/elector/internal/confine"
)

func main() { os.Exit(run(os.Stderr)) }

func run(stderr io.Writer) int {
	// A crash ends by SIGABRT and tells of every goroutine. Go's own status would be 2, as for a wrong setting, after which
	// a supervisor may rightly not try again.
	debug.SetTraceback("crash")
	if err := confine.Memory(); err != nil {
		fmt.Fprintf(stderr, "elector: warning: %v\n", err)
	}
	ctx, stop := cli.WithSignals(context.Background())
	defer stop()
	return cli.RunConfined(ctx, confine.Rights, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, stderr)
}
