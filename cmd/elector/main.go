// Command elector takes part in an election over etcd and answers whether it leads. See elector -h.
package main

import (
	"context"
	"os"

	"github.com/elector-dev/elector/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := cli.WithSignals(context.Background())
	defer stop()
	return cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
}
