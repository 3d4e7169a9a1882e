// Command plain is the leader election that everybody writes first: a session, a campaign, a flag. It is
// here to be compared with elector, whose flags, keys and routes it shares.
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

// stopTimeout bounds what is done after the signal to stop: resigning, which etcd may leave unanswered.
const stopTimeout = 3 * time.Second

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
	socket, err := net.Listen("tcp", s.http)
	if err != nil {
		log.Error("cannot listen", "err", err)
		return 1
	}
	log.Info("listening", "setting", "http", "address", socket.Addr().String())
	d := newDaemon(s, log)
	server := &http.Server{Handler: d.routes(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(socket) }()
	campaigned := make(chan struct{})
	go func() { defer close(campaigned); d.keepCampaigning(ctx) }()

	<-ctx.Done()
	select {
	case <-campaigned:
	case <-time.After(stopTimeout):
		log.Warn("etcd does not answer; the key goes with its lease")
	}
	_ = server.Close()
	<-served
	return 0
}
