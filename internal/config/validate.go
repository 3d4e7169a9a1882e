package config

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/elector-dev/elector/internal/election"
)

// maxName is the most bytes that a name may have: those of a DNS name, which pods and hosts have.
const maxName = 253

// mistake is one sentence, and the settings whose values it is about.
type mistake struct {
	about []string
	text  string
}

// Validate checks every setting and every rule between settings. The error is an *Error with one
// sentence for each mistake, which holds the values and the remedy. It reads no files.
func (c *Config) Validate() error {
	l := loading{mistakes: c.mistakes()}
	return l.failure()
}

// mistakes applies all rules.
func (c *Config) mistakes() []mistake {
	v := &validation{}
	v.name("election", c.Election, "name the election, as in --election=mail-worker")
	v.name("election-namespace", c.Namespace, "name it, as in --election-namespace=default")
	v.name("id", c.ID, "give each candidate a name of its own, as in --id=worker-1")
	v.prefix(c.Prefix)
	if v.ttl(c.TTL) {
		v.answerMax(c.AnswerMax, c.TTL)
	}
	v.listener("http", c.HTTP)
	v.listener("probe-http", c.ProbeHTTP)
	v.distinct(c.HTTP, c.ProbeHTTP)
	if c.ProbeWebConfig != "" && c.ProbeHTTP == "" {
		v.wrong("--probe-http-web-config %q is set and --probe-http is %q: set both or neither", []any{c.ProbeWebConfig, ""}, "probe-http-web-config", "probe-http")
	}
	if _, ok := Signal(c.StopSignal); !ok {
		v.wrong("--stop-signal %q is not a signal: write one as in SIGTERM, SIGINT or SIGQUIT", []any{c.StopSignal}, "stop-signal")
	}
	if c.StopGrace < 0 {
		v.wrong("--stop-grace %v is below 0s: set a time, as in 2s", []any{c.StopGrace}, "stop-grace")
	}
	for name, d := range map[string]time.Duration{"hold-timeout": c.HoldTimeout, "drain-timeout": c.DrainTimeout} {
		if d < 0 {
			v.wrong("--%s %v is below 0s: set a time, as in 10s", []any{name, d}, name)
		}
	}
	if c.RequireHold && c.HTTP == "" {
		v.wrong("--require-hold is set and --http is %q, where holds are taken: set an address, or do not require one", []any{""}, "require-hold", "http")
	}
	v.checks(c)
	v.hosts(c.AllowedHosts)
	if c.StatusFile != "" && c.StatusFile == c.LeaderFile {
		v.wrong("--status-file and --leader-file are both %q: name two files", []any{c.StatusFile}, "status-file", "leader-file")
	}
	if len(c.Value) > election.MaxValue {
		v.wrong("--value has %d bytes, more than %d: share where it is to be found instead", []any{len(c.Value), election.MaxValue}, "value")
	}
	v.endpoints(c.Etcd.Endpoints)
	if c.Etcd.DialTimeout <= 0 {
		v.wrong("--etcd-dial-timeout %v is not above 0s: set some seconds, as in 5s", []any{c.Etcd.DialTimeout}, "etcd-dial-timeout")
	}
	v.credentials(&c.Etcd)
	return v.mistakes
}

// checks applies the rules of checks and hooks. Their URLs, addresses and commands are read by what runs them.
func (v *validation) checks(c *Config) {
	for name, d := range map[string]time.Duration{"check-interval": c.CheckInterval, "check-timeout": c.CheckTimeout, "hook-timeout": c.HookTimeout} {
		if d <= 0 {
			v.wrong("--%s %v is not above 0s: set a time, as in 2s", []any{name, d}, name)
		}
	}
	if c.CheckTimeout > c.CheckInterval && c.CheckInterval > 0 {
		v.wrong("--check-timeout %v is more than --check-interval %v, at which the next look begins: lower it, or look less often",
			[]any{c.CheckTimeout, c.CheckInterval}, "check-timeout", "check-interval")
	}
	if c.CheckMaxAge < 0 {
		v.wrong("--check-max-age %v is below 0s: set a time, as in 30s, or 0s for none", []any{c.CheckMaxAge}, "check-max-age")
	}
	for name, n := range map[string]int{"check-rise": c.CheckRise, "check-fall": c.CheckFall} {
		if n < 1 {
			v.wrong("--%s %d is below 1: set how many looks in a row it takes, as in 3", []any{name, n}, name)
		}
	}
}

// validation collects mistakes.
type validation struct{ mistakes []mistake }

func (v *validation) wrong(format string, args []any, about ...string) {
	v.mistakes = append(v.mistakes, mistake{about, fmt.Sprintf(format, args...)})
}

// name checks a text that names something. The election and its namespace become parts of a key:
// names with "/" would block each other (one election's keys would lie within another's), and "#"
// separates the election from what is kept beside it.
func (v *validation) name(setting, name, remedy string) {
	part := setting != "id"
	switch {
	case name == "":
		v.wrong("--%s is not set: %s", []any{setting, remedy}, setting)
	case part && strings.ContainsAny(name, "/#"):
		v.wrong("--%s %q holds %q, which separates the parts of a key: use another character, as in %q",
			[]any{setting, name, name[strings.IndexAny(name, "/#")], strings.NewReplacer("/", "-", "#", "-").Replace(name)}, setting)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		v.wrong("--%s %q holds a control character or a broken one: use only characters that can be read", []any{setting, name}, setting)
	case len(name) > maxName:
		v.wrong("--%s %q has %d bytes, more than %d: choose a shorter one", []any{setting, name, len(name), maxName}, setting)
	}
}

func (v *validation) prefix(p string) {
	switch {
	case !strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/"):
		remedy := "/" + strings.Trim(p, "/")
		if remedy == "/" {
			remedy = "/elector"
		}
		v.wrong("--prefix %q does not both start with \"/\" and end without one: write %q", []any{p, remedy}, "prefix")
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		v.wrong("--prefix %q holds a control character or a broken one: use only characters that can be read", []any{p}, "prefix")
	}
}

// ttl reports whether the lease time is good.
func (v *validation) ttl(ttl time.Duration) bool {
	switch {
	case ttl < election.MinTTL:
		v.wrong("--ttl %v is below %v, the shortest lease that etcd grants: set %[2]v or more", []any{ttl, election.MinTTL}, "ttl")
	case ttl > election.MaxTTL:
		v.wrong("--ttl %v is above %v, beyond which etcd does not keep leases exactly: set %[2]v or less", []any{ttl, election.MaxTTL}, "ttl")
	case ttl%time.Second != 0:
		v.wrong("--ttl %v is not a whole number of seconds, in which etcd counts leases: set %v or %v",
			[]any{ttl, ttl.Truncate(time.Second), ttl.Truncate(time.Second) + time.Second}, "ttl")
	default:
		return true
	}
	return false
}

// answerMax wants a yes to be able to be certain for that long at all: certainty ends a margin before
// the lease can.
func (v *validation) answerMax(answer, ttl time.Duration) {
	margin := election.Margin(ttl)
	switch {
	case answer <= 0:
		v.wrong("--answer-max %v is not above 0s, so that no yes would be certain: set 2s, or any time less than %v (--ttl %v less its margin of %v)",
			[]any{answer, ttl - margin, ttl, margin}, "answer-max", "ttl")
	case answer >= ttl-margin:
		v.wrong("--answer-max %v is not less than %v, which is --ttl %v less its margin of %v: lower --answer-max or raise --ttl",
			[]any{answer, ttl - margin, ttl, margin}, "answer-max", "ttl")
	}
}
