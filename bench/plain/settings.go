package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// settings are elector's, as far as this program has a use for them.
type settings struct {
	election, namespace, id string
	ttl                     time.Duration
	http, logFormat         string
	endpoints               []string
	user, passwordFile      string
}

// path names the election as elector does.
func (s settings) path() string { return s.namespace + "/" + s.election }

// prefix is that of the candidates' keys: elector's, so that both stand in one queue.
func (s settings) prefix() string { return "/elector/" + s.path() }

// parse reads the command line. What is wrong with it has been written to stderr when it returns.
func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	host, _ := os.Hostname()
	fs := flag.NewFlagSet("plain", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&s.election, "election", "", "the election to take part in (required)")
	fs.StringVar(&s.namespace, "election-namespace", "default", "where the election's name is unique")
	fs.StringVar(&s.id, "id", cmp.Or(os.Getenv("POD_NAME"), host), "identity of this candidate, which no other has")
	fs.DurationVar(&s.ttl, "ttl", 10*time.Second, "lease time, whole seconds")
	fs.StringVar(&s.http, "http", "127.0.0.1:4040", "listener for programs")
	fs.StringVar(&s.logFormat, "log-format", "text", "text or json")
	endpoints := fs.String("etcd-endpoints", "http://127.0.0.1:2379", "etcd's members, separated by commas")
	fs.StringVar(&s.user, "etcd-user", "", "user of etcd")
	fs.StringVar(&s.passwordFile, "etcd-password-file", "", "file that holds the user's password")
	for _, name := range []string{"shutdown-release", "answer-max", "log-level"} {
		fs.String(name, "", "accepted, since elector has it, and without effect")
	}
	err := fs.Parse(args)
	s.endpoints = strings.Split(*endpoints, ",")
	if err == nil && s.election == "" {
		err = errors.New("no election: set --election")
		fmt.Fprintln(stderr, err)
	}
	return s, err
}

// password reads the user's password, if there is a user.
func (s settings) password() (string, error) {
	if s.passwordFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(s.passwordFile)
	if err != nil {
		return "", fmt.Errorf("read --etcd-password-file: %w", err)
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}

// logger makes the log, in elector's form.
func (s settings) logger(w io.Writer) *slog.Logger {
	var h slog.Handler = slog.NewTextHandler(w, nil)
	if s.logFormat == "json" {
		h = slog.NewJSONHandler(w, nil)
	}
	return slog.New(h).With("election", s.path(), "identity", s.id)
}
