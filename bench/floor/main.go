// Command floor is the least that a sidecar over etcd can be: a client that keeps one lease alive and a handler
// that writes a constant. What others weigh and cost is compared with it.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	endpoints := flag.String("etcd-endpoints", "http://127.0.0.1:2379", "etcd's members, separated by commas")
	ttl := flag.Duration("ttl", 10*time.Second, "of the lease, whole seconds")
	addr := flag.String("http", "", "where to serve the constant; empty: nowhere, and no server is started")
	size := flag.Int("body", 464, "bytes of the constant, a newline at the end included")
	flag.Parse()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: strings.Split(*endpoints, ","), DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
	})
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer client.Close()
	lease, err := client.Grant(ctx, int64(*ttl/time.Second))
	if err != nil {
		return fmt.Errorf("grant a lease: %w", err)
	}
	alive, err := client.KeepAlive(ctx, lease.ID)
	if err != nil {
		return fmt.Errorf("keep the lease alive: %w", err)
	}
	if *addr != "" {
		go serve(*addr, []byte(strings.Repeat("x", *size-1)+"\n"))
	}
	for range alive { // to the end of ctx or of the lease
	}
	return ctx.Err()
}

// serve answers /leader with the constant and /metrics with how many objects this process has allocated.
func serve(addr string, body []byte) {
	mux := http.NewServeMux()
	mux.HandleFunc("/leader", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // an error means that the reader is gone
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintf(w, "go_memstats_mallocs_total %d\n", m.Mallocs)
	})
	fmt.Fprintln(os.Stderr, "floor:", http.ListenAndServe(addr, mux))
	os.Exit(1)
}
