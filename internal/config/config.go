package config

import (
	"log/slog"
	"os"
	"strings"
	"time"
)

// Config is what an elector is told at its start. Durations are as given, not yet checked: Validate
// does that.
type Config struct {
	File string // that the rest was read from; empty: none

	Election  string // name of the election
	Namespace string // that the name is unique in
	ID        string // identity of this candidate
	Prefix    string // keys live under <Prefix>/<Namespace>/<Election>/

	TTL             time.Duration // asked for
	AnswerMax       time.Duration // longest promise in one answer
	ShutdownRelease Release

	Value string // that the leader shares at the start of each term; empty: none

	StopSignal string        // that asks the command of elector run to end
	StopGrace  time.Duration // that it then has; 0: a quarter of the TTL
	Restart    Restart       // of that command, when it ends by itself

	ChildNoNewPrivs bool // commands gain no rights by executing files

	RequireHold  bool          // eligible only while a worker holds
	HoldTimeout  time.Duration // a hold that has sent nothing for so long is cut; 0: never
	DrainTimeout time.Duration // how long after a term's end holds may stay open

	CheckHTTP     []string // URLs
	CheckTCP      []string // addresses
	CheckExec     []string // commands; see process.Split
	CheckFile     []string
	CheckMaxAge   time.Duration // of those files; 0: any
	CheckInterval time.Duration
	CheckTimeout  time.Duration
	CheckRise     int
	CheckFall     int
	NoLead        bool // never campaign

	// Hooks: each a URL, a command as process.Split takes it, or empty for none.
	OnLead, OnFollow, OnChange, BeforeLead, BeforeRelease string
	HookTimeout                                           time.Duration

	HTTP           string   // address of the listener for programs; empty: no server
	ProbeHTTP      string   // address of the read-only listener; empty: no server
	ProbeWebConfig string   // file with TLS and basic auth of the read-only listener; empty: neither
	HTTPTokenFile  string   // holds the bearer token that writes must bring; empty: none
	AllowedHosts   []string // names under which the main listener takes writes, besides those of the loopback

	StatusFile string // kept with the body of /status; empty: none
	LeaderFile string // there while this elector leads; empty: none

	Kube Kube
	Etcd Etcd

	StateDir  string // what later processes are to know is kept there; empty: nothing is
	LogLevel  slog.Level
	LogFormat LogFormat

	UseClusterCredentials bool // accepted and ignored; the old sidecar's
}

// Kube is what a Kubernetes API server is told. Its texts are read by what tells it.
type Kube struct {
	Service     string // an EndpointSlice that the leader writes itself into; empty: none
	PodLabel    string // key=leader-value,follower-value; empty: none
	API         string // URL; empty: as in a pod
	Credentials string // folder with token, ca.crt and namespace
}

// Used reports whether there is anything to tell.
func (k Kube) Used() bool { return k.Service != "" || k.PodLabel != "" }

// Etcd is how etcd is reached.
type Etcd struct {
	Endpoints    []string
	DialTimeout  time.Duration
	CACert       string // file
	Cert         string // file
	Key          string // file
	User         string
	PasswordFile string // file; Load sets at most one of this and Password
	Password     string // from etcdctl's variables; never shown
}

// Release says when the key is given up on shutdown.
type Release string

// The ways to release on shutdown.
const (
	ReleasePromised Release = "promised" // when every promise given has run out
	ReleaseNow      Release = "now"      // at once: whoever got promises is known to have stopped
)

// Restart says what follows when the command of elector run ends by itself.
type Restart string

// The ways to go on.
const (
	RestartNever     Restart = "never"
	RestartOnFailure Restart = "on-failure"
	RestartAlways    Restart = "always"
)

// Grace is how long the command of elector run has to stop.
func (c *Config) Grace() time.Duration {
	if c.StopGrace == 0 {
		return c.TTL / 4
	}
	return c.StopGrace
}

// HookIsURL tells whether a hook is told by HTTP, and not by running a command.
func HookIsURL(hook string) bool {
	return strings.HasPrefix(hook, "http://") || strings.HasPrefix(hook, "https://")
}

// RunsCommands reports whether a hook or a check is a command.
func (c *Config) RunsCommands() bool {
	for _, hook := range []string{c.OnLead, c.OnFollow, c.OnChange, c.BeforeLead, c.BeforeRelease} {
		if hook != "" && !HookIsURL(hook) {
			return true
		}
	}
	return len(c.CheckExec) > 0
}

// LogFormat is how log lines are written.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Path is the election as logs, metrics and answers name it: <namespace>/<name>.
func (c *Config) Path() string { return c.Namespace + "/" + c.Election }

// Default returns the configuration with nothing set: the table's defaults, the identity from POD_NAME
// or else the hostname, and the namespace from POD_NAMESPACE. env is as os.Environ returns it. The
// election is empty, so the result is not valid yet; the identity is empty too if the host has no name.
func Default(env []string) Config {
	var c Config
	for _, s := range settings {
		if err := s.parse(&c, s.preset); err != nil {
			panic("config: default of --" + s.name + " " + err.Error())
		}
	}
	vars := variables(env)
	c.ID = vars["POD_NAME"]
	if c.ID == "" {
		c.ID, _ = os.Hostname() // an empty identity is reported by Validate, with the remedy
	}
	if ns := vars["POD_NAMESPACE"]; ns != "" {
		c.Namespace = ns
	}
	return c
}
