package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// variables turns os.Environ's form into a map; of a repeated name the last counts.
func variables(env []string) map[string]string {
	vars := make(map[string]string, len(env))
	for _, kv := range env {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// etcdctl is what etcdctl's variables say.
type etcdctl struct {
	given      map[string]given
	password   string
	passwordOf string // the user that the password came together with; empty: it came by itself
}

// fromEtcdctl reads etcdctl's variables. ETCDCTL_USER may be user:password, and is never shown whole.
func fromEtcdctl(vars map[string]string) etcdctl {
	e := etcdctl{given: make(map[string]given)}
	for _, s := range settings {
		if text := vars[s.etcdctl]; s.etcdctl != "" && text != "" {
			e.given[s.name] = given{text, s.etcdctl}
		}
	}
	if g, ok := e.given["etcd-user"]; ok {
		if user, password, ok := strings.Cut(g.text, ":"); ok {
			g.text = user
			e.given["etcd-user"] = g
			e.password, e.passwordOf = password, user
		}
	}
	if p := vars["ETCDCTL_PASSWORD"]; p != "" {
		e.password, e.passwordOf = p, ""
	}
	return e
}

// foreign matches variables that are no mistakes though they begin like ours: what Kubernetes injects
// for Services named elector or elector-something, the address that nais' clients look for, and what
// elector itself tells its children and clients, which may be electors' parents in turn.
var foreign = regexp.MustCompile(`^ELECTOR_((.+_)?PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?|(.+_)?SERVICE_(HOST|PORT(_.+)?)|ADDR|PATH|TERM_.+)$`)

// oneLine is a name as it may stand in a sentence: whoever starts the process can put anything into its environment.
func oneLine(name string) string { return strings.Trim(strconv.Quote(name), `"`) }

// typingErrors warns of each variable that looks like a misspelt one of ours, and of no other.
func typingErrors(vars map[string]string) []string {
	ours := make([]string, len(settings))
	for i, s := range settings {
		ours[i] = s.env()
	}
	var warnings []string
	for name := range vars {
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(ours, name) || foreign.MatchString(name) {
			continue
		}
		for _, our := range ours {
			if distance(name, our) <= tolerance(our) {
				warnings = append(warnings, fmt.Sprintf("%s is not a setting and is ignored: did you mean %s?", oneLine(name), our))
				break
			}
		}
	}
	slices.Sort(warnings)
	return warnings
}

// tolerance is how many letters of a variable may differ for it to count as misspelt. In a short one
// more than one would make another word of it.
func tolerance(variable string) int {
	if len(variable)-len(envPrefix) <= 4 {
		return 1
	}
	return 2
}
