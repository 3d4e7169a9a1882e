package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// settings are elector's as far as they mean something here, and the library's.
type settings struct {
	election, namespace, id             string // the Lease's name and namespace, and who is to hold it
	http                                string
	kubeconfig, server, tlsServerName   string
	leaseDuration, renewDeadline, retry time.Duration
	isLeader, remove                    bool
}

// parse reads the command line. What is wrong with it has been written to stderr when it returns.
func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	host, _ := os.Hostname()
	fs := flag.NewFlagSet("clientgo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&s.election, "election", "", "the Lease to hold (required)")
	fs.StringVar(&s.namespace, "namespace", "default", "namespace of the Lease")
	fs.StringVar(&s.id, "id", cmp.Or(os.Getenv("POD_NAME"), host), "identity of this candidate, which no other has")
	fs.StringVar(&s.http, "http", "127.0.0.1:4040", "listener for programs")
	fs.StringVar(&s.kubeconfig, "kubeconfig", "", "how to reach the API server; empty: as a pod does")
	fs.StringVar(&s.server, "server", "", "address of the API server, instead of the kubeconfig's")
	fs.StringVar(&s.tlsServerName, "tls-server-name", "", "whom the API server's certificate names, instead of its address")
	fs.DurationVar(&s.leaseDuration, "lease-duration", 15*time.Second, "how long others wait since they saw the last renewal, whole seconds")
	fs.DurationVar(&s.renewDeadline, "renew-deadline", 10*time.Second, "how long a leader tries to renew before it gives up")
	fs.DurationVar(&s.retry, "retry-period", 2*time.Second, "between two tries")
	fs.BoolVar(&s.isLeader, "is-leader", false, "answer with the library's IsLeader, and not by its callbacks")
	fs.BoolVar(&s.remove, "remove", false, "remove the Lease and exit")
	err := fs.Parse(args)
	if err == nil && s.election == "" {
		err = errors.New("no election: set --election")
		fmt.Fprintln(stderr, err)
	}
	return s, err
}

// access is how to reach the API server.
func (s settings) access() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags(s.server, s.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read --kubeconfig: %w", err)
	}
	if s.tlsServerName != "" {
		config.ServerName = s.tlsServerName
	}
	return config, nil
}

// removeLease deletes the Lease, if it is there.
func (s settings) removeLease(ctx context.Context) error {
	config, err := s.access()
	if err != nil {
		return err
	}
	config.Timeout = s.renewDeadline
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	err = client.CoordinationV1().Leases(s.namespace).Delete(ctx, s.election, meta.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (s settings) logger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, nil)).With("election", s.namespace+"/"+s.election, "identity", s.id)
}
