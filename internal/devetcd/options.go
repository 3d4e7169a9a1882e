package devetcd

import (
	"time"
)

// Options say how members run. The zero value is one that most tests want.
type Options struct {
	Dir             string        // parent of the temporary directory; empty means os.TempDir
	Heartbeat       time.Duration // default 100ms
	ElectionTimeout time.Duration // default 1s; the smallest lease TTL follows from it
	Fsync           bool          // survive the death of the host, which no test needs
	SnapshotCount   uint64        // applied entries between snapshots; 0 means etcd's default
	Quota           int64         // bytes of the database from which etcd refuses to write; 0 means etcd's default
	LogLevel        string        // of the log file in the members' directories; default "warn"

	TLS      bool   // serve clients by TLS only, and demand a certificate from them
	ClientCN string // common name of the client certificate; default "elector"
	// ServerIPs are further addresses that the server certificate is good for, such as those of proxies.
	ServerIPs []string

	Auth         *Auth         // enable password access; nil leaves etcd open
	AuthToken    string        // token provider as in etcd's --auth-token; default "simple"
	AuthTokenTTL time.Duration // of simple tokens, whole seconds; 0 means etcd's default, 5 minutes

	// Host gives the IP address on which member i listens; default 127.0.0.1. If this process cannot
	// listen on it, because it belongs to another network namespace, the member uses etcd's usual
	// ports 2379 and 2380, else free ones.
	Host func(i int) string

	// DiskDir gives the directory, on a file system of its own, below which member i keeps its data but not
	// its log, so that the disk can be hurt; empty means no such. A member with one calls fsync.
	DiskDir func(i int) string

	// Program gives the path of etcd's own program that member process i runs, for other releases than the one that is
	// embedded here; empty means that. On systems other than Linux such a member outlives a parent that is killed.
	Program func(i int) string

	// Wrap gives words to put before the command line of member process i, such as "ip", "netns",
	// "exec", "red". The wrapper must exec the member and not fork it: signals go to its PID.
	Wrap func(i int) []string
}

func (o Options) host(i int) string {
	if o.Host == nil {
		return "127.0.0.1"
	}
	return o.Host(i)
}

func (o Options) disk(i int) string {
	if o.DiskDir == nil {
		return ""
	}
	return o.DiskDir(i)
}

func (o Options) program(i int) string {
	if o.Program == nil {
		return ""
	}
	return o.Program(i)
}

func (o Options) wrap(i int) []string {
	if o.Wrap == nil {
		return nil
	}
	return o.Wrap(i)
}
