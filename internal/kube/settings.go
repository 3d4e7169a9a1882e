package kube

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// settled is what the settings and the pod's environment come to.
type settled struct {
	api       api
	namespace string // the pod's
	pod       string // its name
	addresses []netip.Addr
	label     label
}

// label is a label of the pod and its values.
type label struct {
	key, leader string
	follower    string // empty: followers have no such label
}

// settle reads the settings. The error has a sentence for each that cannot be.
func settle(cfg Config) (settled, error) {
	env := make(map[string]string)
	for _, e := range cfg.Env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	s := settled{pod: env["POD_NAME"], namespace: env["POD_NAMESPACE"], api: api{credentials: cfg.Credentials}}
	var wrong []error
	note := func(err error) { wrong = append(wrong, err) }
	var err error
	if s.api.server, err = server(cfg.API, env); err != nil {
		note(err)
	}
	if s.namespace == "" {
		b, _ := os.ReadFile(filepath.Join(cfg.Credentials, "namespace"))
		s.namespace = strings.TrimSpace(string(b))
	}
	if !isName(s.namespace) {
		note(fmt.Errorf("the pod's namespace is %q: set POD_NAMESPACE to the pod's metadata.namespace", s.namespace))
	}
	if !isName(s.pod) {
		note(fmt.Errorf("the pod's name is %q: set POD_NAME to the pod's metadata.name", s.pod))
	}
	if cfg.Service != "" {
		if !isName(cfg.Service) {
			note(fmt.Errorf("--kube-service %q is no name of an EndpointSlice: write one as in mail-leader", cfg.Service))
		}
		if s.addresses, err = addresses(cmp.Or(env["POD_IPS"], env["POD_IP"])); err != nil {
			note(err)
		}
	}
	if cfg.PodLabel != "" {
		if s.label, err = parseLabel(cfg.PodLabel); err != nil {
			note(err)
		}
	}
	return s, errors.Join(wrong...)
}

// server is the URL of the API server.
func server(given string, env map[string]string) (string, error) {
	if given == "" {
		host, port := env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"]
		if host == "" || port == "" {
			return "", errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, as in a pod: set --kube-api")
		}
		return "https://" + net.JoinHostPort(host, port), nil
	}
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("--kube-api %q is no https URL: write one as in https://10.0.0.1:443", given)
	}
	return strings.TrimSuffix(given, "/"), nil
}

// addresses are the pod's, one for each family.
func addresses(list string) ([]netip.Addr, error) {
	var all []netip.Addr
	for text := range strings.SplitSeq(list, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("--kube-service needs the pod's addresses, and POD_IPS is %q: set it to the pod's status.podIPs", list)
		}
		all = append(all, a.Unmap())
	}
	return all, nil
}

// The letters and digits of names, and of the keys and values of labels.
const (
	lower = "abcdefghijklmnopqrstuvwxyz0123456789"
	upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// isName reports whether a text can be the name of an object or a namespace.
func isName(text string) bool { return consists(text, 253, lower, "-.") }

// isLabel reports whether a text can be the value of a label, or the key without its domain.
func isLabel(text string) bool { return consists(text, 63, lower+upper, "-_.") }

// consists reports whether a text has at least one byte and at most so many, of two kinds, and begins and ends with the first.
func consists(text string, most int, ends, within string) bool {
	if text == "" || len(text) > most || strings.Trim(text, ends+within) != "" {
		return false
	}
	return strings.Contains(ends, text[:1]) && strings.Contains(ends, text[len(text)-1:])
}

// parseLabel reads key=leader-value,follower-value. Without a follower's value followers lose the label.
func parseLabel(text string) (label, error) {
	wrong := func(why string) (label, error) {
		return label{}, fmt.Errorf("--kube-pod-label %q %s: write one as in example.com/role=leader,follower", text, why)
	}
	key, values, ok := strings.Cut(text, "=")
	if !ok {
		return wrong("has no \"=\" between key and values")
	}
	l := label{key: key}
	l.leader, l.follower, _ = strings.Cut(values, ",")
	domain, last, qualified := strings.Cut(key, "/")
	if !qualified {
		last = key
	}
	switch {
	case qualified && !isName(domain) || !isLabel(last):
		return wrong("has a key that no label may have")
	case !isLabel(l.leader) || l.follower != "" && !isLabel(l.follower):
		return wrong("has a value that no label may have")
	case l.leader == l.follower:
		return wrong("has the same value twice")
	}
	return l, nil
}
