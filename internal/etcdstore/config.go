package etcdstore

import (
	"log/slog"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// Config is what a Store needs to know. Paths and credentials are optional; everything else is required.
type Config struct {
	Endpoints   []string // URLs with http, https, unix or unixs, or plain host:port
	DialTimeout time.Duration

	CACert       string // file: PEM bundle that signs the members' certificates
	Cert         string // file: client certificate
	Key          string // file: its key
	User         string
	Password     string // or
	PasswordFile string // file that holds it; one trailing newline is ignored

	Prefix, Namespace, Election string // keys live under <Prefix>/<Namespace>/<Election>/

	Identity    string
	Incarnation string
	Version     string

	Predecessors []election.Predecessor // dead processes, whose keys are released as soon as they may be

	TTL    time.Duration // asked for; scales the time-outs
	Clock  election.Clock
	Logger *slog.Logger

	// Requests is told of every finished request: its op (grant, revoke, keepalive, range, put, txn,
	// watch, authenticate, ...) and its gRPC code as text ("OK", "PermissionDenied", ...). It is
	// called concurrently and must not block. Nil: nothing is told.
	Requests func(op, code string)
}
