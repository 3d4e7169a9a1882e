package config

import (
	"log/slog"
	"strings"
	"time"
)

// setting is one row of the table: all that is known of a setting.
type setting struct {
	name    string // of the flag and of the key in the file; the environment variable follows from it
	group   string // heading in the help
	arg     string // stands for the value in the help
	help    string
	preset  string // the default, as text
	shown   string // what the help says of a default that depends on the environment, or of a missing one
	etcdctl string // etcdctl's variable for the same; empty: none
	kind
	notInFile bool // may not stand in the file
	live      bool // may change while the elector runs
}

// env is the setting's environment variable.
func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// separator is what stands between the values of a setting that may have many.
func (s setting) separator() string {
	if s.lines {
		return "\n"
	}
	return ","
}

// envPrefix starts the names of the program's own variables.
const envPrefix = "ELECTOR_"

// The groups, in the order of the help.
const (
	groupElection = "Election"
	groupPromise  = "Lease and promises"
	groupWork     = "Workers"
	groupEligible = "Who may lead"
	groupHooks    = "Hooks"
	groupHTTP     = "HTTP"
	groupFiles    = "Files"
	groupKube     = "Kubernetes"
	groupEtcd     = "Access to etcd"
	groupProcess  = "Process"
)

var groups = []string{groupElection, groupPromise, groupWork, groupEligible, groupHooks, groupHTTP, groupFiles, groupKube, groupEtcd, groupProcess}

// settings is the table. The order is that of the help.
var settings = []setting{
	{name: "election", group: groupElection, arg: "NAME", shown: "required",
		help: "the election to take part in",
		kind: text(func(c *Config) *string { return &c.Election })},
	{name: "election-namespace", group: groupElection, arg: "NAME", preset: "default", shown: "default: POD_NAMESPACE, else \"default\"",
		help: "where the election's name is unique",
		kind: text(func(c *Config) *string { return &c.Namespace })},
	{name: "id", group: groupElection, arg: "NAME", shown: "default: POD_NAME, else the hostname",
		help: "identity of this candidate, which no other has",
		kind: text(func(c *Config) *string { return &c.ID })},
	{name: "prefix", group: groupElection, arg: "PATH", preset: "/elector",
		help: "keys live under PATH/<namespace>/<election>/",
		kind: text(func(c *Config) *string { return &c.Prefix })},

	{name: "value", group: groupElection, arg: "TEXT", shown: "default: none",
		help: "that the leader shares with the fleet at the start of each term",
		kind: text(func(c *Config) *string { return &c.Value })},

	{name: "ttl", group: groupPromise, arg: "DURATION", preset: "10s",
		help: "lease time: whole seconds, 2s to 300s",
		kind: duration(func(c *Config) *time.Duration { return &c.TTL })},
	{name: "answer-max", group: groupPromise, arg: "DURATION", preset: "2s",
		help: "longest time for which one yes is certain",
		kind: duration(func(c *Config) *time.Duration { return &c.AnswerMax })},
	{name: "shutdown-release", group: groupPromise, arg: "promised|now", preset: string(ReleasePromised),
		help: "on shutdown, give the key up when all promises have run out, or now",
		kind: choice(func(c *Config) *Release { return &c.ShutdownRelease }, ReleasePromised, ReleaseNow)},

	{name: "stop-signal", group: groupWork, arg: "SIGNAL", preset: "SIGTERM",
		help: "of elector run: asks the command to end",
		kind: text(func(c *Config) *string { return &c.StopSignal })},
	{name: "stop-grace", group: groupWork, arg: "DURATION", preset: "0s", shown: "default: 0s, for TTL/4",
		help: "of elector run: the time from that to SIGKILL, which comes before the lease can expire",
		kind: duration(func(c *Config) *time.Duration { return &c.StopGrace })},
	{name: "restart", group: groupWork, arg: "never|on-failure|always", preset: string(RestartNever),
		help: "of elector run: start the command again when it has ended by itself",
		kind: choice(func(c *Config) *Restart { return &c.Restart }, RestartNever, RestartOnFailure, RestartAlways)},
	{name: "child-no-new-privs", group: groupWork, preset: "false",
		help: "elector run's command, hooks and checks gain no rights by executing set-user-ID files",
		kind: boolean(func(c *Config) *bool { return &c.ChildNoNewPrivs })},
	{name: "require-hold", group: groupWork, preset: "false",
		help: "be eligible only while a worker keeps POST /hold open",
		kind: boolean(func(c *Config) *bool { return &c.RequireHold })},
	{name: "hold-timeout", group: groupWork, arg: "DURATION", preset: "0s",
		help: "cut a hold whose worker has sent nothing for so long; 0s: never",
		kind: duration(func(c *Config) *time.Duration { return &c.HoldTimeout })},
	{name: "drain-timeout", group: groupWork, arg: "DURATION", preset: "10s",
		help: "how long holds that were told a yes may stay open after a term, before they are cut",
		kind: duration(func(c *Config) *time.Duration { return &c.DrainTimeout })},

	{name: "check-http", live: true, group: groupEligible, arg: "URL", shown: "default: none; may be given several times",
		help: "campaign only while a GET of it is answered with 2xx",
		kind: several(func(c *Config) *[]string { return &c.CheckHTTP })},
	{name: "check-tcp", live: true, group: groupEligible, arg: "ADDRESS", shown: "default: none; may be given several times",
		help: "only while it can be connected to",
		kind: several(func(c *Config) *[]string { return &c.CheckTCP })},
	{name: "check-exec", live: true, group: groupEligible, arg: "COMMAND", shown: "default: none; may be given several times",
		help: "only while it ends with status 0; split into words without a shell",
		kind: several(func(c *Config) *[]string { return &c.CheckExec })},
	{name: "check-file", live: true, group: groupEligible, arg: "FILE", shown: "default: none; may be given several times",
		help: "only while it exists and is younger than --check-max-age",
		kind: several(func(c *Config) *[]string { return &c.CheckFile })},
	{name: "check-max-age", live: true, group: groupEligible, arg: "DURATION", preset: "0s",
		help: "age from which a file of --check-file fails; 0s: none",
		kind: duration(func(c *Config) *time.Duration { return &c.CheckMaxAge })},
	{name: "check-interval", live: true, group: groupEligible, arg: "DURATION", preset: "2s",
		help: "time from one look of a check to the next",
		kind: duration(func(c *Config) *time.Duration { return &c.CheckInterval })},
	{name: "check-timeout", live: true, group: groupEligible, arg: "DURATION", preset: "1s",
		help: "longest time for one look",
		kind: duration(func(c *Config) *time.Duration { return &c.CheckTimeout })},
	{name: "check-rise", live: true, group: groupEligible, arg: "N", preset: "2",
		help: "successes in a row until a check that had failed passes again",
		kind: number(func(c *Config) *int { return &c.CheckRise })},
	{name: "check-fall", live: true, group: groupEligible, arg: "N", preset: "3",
		help: "failures in a row until a check fails",
		kind: number(func(c *Config) *int { return &c.CheckFall })},
	{name: "no-lead", group: groupEligible, preset: "false",
		help: "never campaign: an observer, which tells who leads",
		kind: boolean(func(c *Config) *bool { return &c.NoLead })},

	{name: "on-lead", live: true, group: groupHooks, arg: "HOOK", shown: "default: none",
		help: "run when a term begins: a command, split into words without a shell, or a URL to POST the state to",
		kind: text(func(c *Config) *string { return &c.OnLead })},
	{name: "on-follow", live: true, group: groupHooks, arg: "HOOK", shown: "default: none",
		help: "run when this elector leads no longer, and when it first follows",
		kind: text(func(c *Config) *string { return &c.OnFollow })},
	{name: "on-change", live: true, group: groupHooks, arg: "HOOK", shown: "default: none",
		help: "run at each change of the state; of several meanwhile only at the latest",
		kind: text(func(c *Config) *string { return &c.OnChange })},
	{name: "before-lead", live: true, group: groupHooks, arg: "HOOK", shown: "default: none",
		help: "run before a term begins, which it refuses by failing: the lead is passed on",
		kind: text(func(c *Config) *string { return &c.BeforeLead })},
	{name: "before-release", live: true, group: groupHooks, arg: "HOOK", shown: "default: none",
		help: "run when the work of a term has ended, before the key goes",
		kind: text(func(c *Config) *string { return &c.BeforeRelease })},
	{name: "hook-timeout", live: true, group: groupHooks, arg: "DURATION", preset: "10s",
		help: "a hook that takes longer is killed",
		kind: duration(func(c *Config) *time.Duration { return &c.HookTimeout })},

	{name: "http", group: groupHTTP, arg: "ADDRESS", preset: "127.0.0.1:4040",
		help: "listener for programs, or unix:/path; empty: no server",
		kind: text(func(c *Config) *string { return &c.HTTP })},
	{name: "probe-http", group: groupHTTP, arg: "ADDRESS", shown: "default: none",
		help: "second, read-only listener for kubelet probes and scrapes, as in :4041",
		kind: text(func(c *Config) *string { return &c.ProbeHTTP })},
	{name: "probe-http-web-config", group: groupHTTP, arg: "FILE", shown: "default: none",
		help: "TLS and basic auth for --probe-http, in the form of Prometheus' exporters",
		kind: text(func(c *Config) *string { return &c.ProbeWebConfig })},
	{name: "http-token-file", group: groupHTTP, arg: "FILE", shown: "default: none",
		help: "holds the bearer token that requests which change something must bring",
		kind: text(func(c *Config) *string { return &c.HTTPTokenFile })},
	{name: "http-allowed-hosts", group: groupHTTP, arg: "NAME,...", shown: "default: none",
		help: "names under which --http takes such requests, besides those of the loopback",
		kind: optional(list(allowedHosts), allowedHosts)},

	{name: "status-file", group: groupFiles, arg: "FILE", shown: "default: none",
		help: "kept with the state as /status has it, for scripts",
		kind: text(func(c *Config) *string { return &c.StatusFile })},
	{name: "leader-file", group: groupFiles, arg: "FILE", shown: "default: none",
		help: "there while this elector leads, with token and expiry; read it with elector check --file",
		kind: text(func(c *Config) *string { return &c.LeaderFile })},

	{name: "kube-service", group: groupKube, arg: "NAME", shown: "default: none",
		help: "EndpointSlice of a Service without selector, which the leader makes point to its pod: a hint for traffic",
		kind: text(func(c *Config) *string { return &c.Kube.Service })},
	{name: "kube-pod-label", group: groupKube, arg: "KEY=LEADER,FOLLOWER", shown: "default: none",
		help: "label of the own pod and its values; without the second one followers have no such label",
		kind: text(func(c *Config) *string { return &c.Kube.PodLabel })},
	{name: "kube-api", group: groupKube, arg: "URL", shown: "default: by KUBERNETES_SERVICE_HOST and _PORT",
		help: "API server",
		kind: text(func(c *Config) *string { return &c.Kube.API })},
	{name: "kube-credentials", group: groupKube, arg: "DIR", preset: "/var/run/secrets/kubernetes.io/serviceaccount",
		help: "where the pod's token and ca.crt are, read for each request",
		kind: text(func(c *Config) *string { return &c.Kube.Credentials })},

	{name: "etcd-endpoints", group: groupEtcd, arg: "URL,...", preset: "http://127.0.0.1:2379", etcdctl: "ETCDCTL_ENDPOINTS",
		help: "etcd's members, separated by commas",
		kind: list(func(c *Config) *[]string { return &c.Etcd.Endpoints })},
	{name: "etcd-dial-timeout", group: groupEtcd, arg: "DURATION", preset: "5s", etcdctl: "ETCDCTL_DIAL_TIMEOUT",
		help: "longest time for one connection to be made",
		kind: duration(func(c *Config) *time.Duration { return &c.Etcd.DialTimeout })},
	{name: "etcd-cacert", group: groupEtcd, arg: "FILE", etcdctl: "ETCDCTL_CACERT", shown: "default: the system's",
		help: "authorities that sign the members' certificates",
		kind: text(func(c *Config) *string { return &c.Etcd.CACert })},
	{name: "etcd-cert", group: groupEtcd, arg: "FILE", etcdctl: "ETCDCTL_CERT", shown: "default: none",
		help: "client certificate",
		kind: text(func(c *Config) *string { return &c.Etcd.Cert })},
	{name: "etcd-key", group: groupEtcd, arg: "FILE", etcdctl: "ETCDCTL_KEY", shown: "default: none",
		help: "key of the client certificate",
		kind: text(func(c *Config) *string { return &c.Etcd.Key })},
	{name: "etcd-user", group: groupEtcd, arg: "NAME", etcdctl: "ETCDCTL_USER", shown: "default: none",
		help: "user of etcd",
		kind: text(func(c *Config) *string { return &c.Etcd.User })},
	{name: "etcd-password-file", group: groupEtcd, arg: "FILE", shown: "default: none",
		help: "file that holds the user's password; else ETCDCTL_PASSWORD",
		kind: text(func(c *Config) *string { return &c.Etcd.PasswordFile })},

	{name: "config", group: groupProcess, arg: "FILE", shown: "default: none", notInFile: true,
		help: "YAML file with any of the settings",
		kind: text(func(c *Config) *string { return &c.File })},
	{name: "state-dir", group: groupProcess, arg: "DIR", shown: "default: none",
		help: "own directory that outlasts the process: a restart then waits for promises, not for the lease",
		kind: text(func(c *Config) *string { return &c.StateDir })},
	{name: "log-level", live: true, group: groupProcess, arg: "debug|info|warn|error", preset: "info",
		help: "least level that is logged",
		kind: level(func(c *Config) *slog.Level { return &c.LogLevel })},
	{name: "log-format", group: groupProcess, arg: "text|json", preset: string(LogText),
		help: "form of the log on standard error",
		kind: choice(func(c *Config) *LogFormat { return &c.LogFormat }, LogText, LogJSON)},
	{name: "use-cluster-credentials", group: groupProcess, preset: "false",
		help: "accepted for the old sidecar's sake, does nothing",
		kind: boolean(func(c *Config) *bool { return &c.UseClusterCredentials })},
}

func allowedHosts(c *Config) *[]string { return &c.AllowedHosts }

// settingNamed finds a row by its name.
func settingNamed(name string) (setting, bool) {
	for _, s := range settings {
		if s.name == name {
			return s, true
		}
	}
	return setting{}, false
}

// names lists the settings' names; those that may stand in the file only, if inFile.
func names(inFile bool) []string {
	var n []string
	for _, s := range settings {
		if !inFile || !s.notInFile {
			n = append(n, s.name)
		}
	}
	return n
}
