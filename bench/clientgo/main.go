// Command clientgo is the leader election of Kubernetes' own controllers, client-go's with a Lease, as a daemon: it is here
// to be compared with elector, whose answer at /leader it shares. Its defaults are those of the library's known users.
package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run takes part in an election until ctx ends, and returns the exit status.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	s, err := parse(args, stderr)
	if err != nil {
		return 2
	}
	log := s.logger(stderr)
	if s.remove {
		if err := s.removeLease(ctx); err != nil {
			log.Error("cannot remove the Lease", "err", err)
			return 1
		}
		return 0
	}
	c, err := newCandidate(s, log)
	if err != nil {
		log.Error("cannot take part", "err", err)
		return 1
	}
	socket, err := net.Listen("tcp", s.http)
	if err != nil {
		log.Error("cannot listen", "err", err)
		return 1
	}
	log.Info("listening", "setting", "http", "address", socket.Addr().String())
	server := &http.Server{Handler: c.routes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(socket) }()
	campaigning, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	campaigned := make(chan struct{})
	go func() { defer close(campaigned); c.keepCampaigning(campaigning) }()

	<-ctx.Done()
	c.endWork() // before the library gives the Lease up, as it asks for
	leave()
	<-campaigned // the library takes its renew deadline for that at most
	_ = server.Close()
	<-served
	return 0
}
