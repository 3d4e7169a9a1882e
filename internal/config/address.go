package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// hostPort splits an address whose port is a number, which is at least least.
func hostPort(address string, least uint64) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsAny(host, "/@?# \t") {
		return "", "", false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return host, port, err == nil && n >= least
}

// maxSocketPath is the longest path of a Unix socket (sun_path, unix(7), without its closing zero).
const maxSocketPath = 107

// UnixSocket is the path of a listener's Unix socket; false for an address of another kind.
func UnixSocket(address string) (path string, ok bool) { return strings.CutPrefix(address, "unix:") }

// Reached is where a program of this host reaches a listener with the address; empty for one that listens nowhere, or
// on a port that only the kernel knows.
func Reached(address string) string {
	if _, ok := UnixSocket(address); ok {
		return address
	}
	host, port, ok := hostPort(address, 1)
	switch ip := net.ParseIP(host); {
	case !ok:
		return ""
	case ip != nil && ip.IsUnspecified() && ip.To4() == nil:
		host = "::1"
	case everywhere(host):
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// listener checks an address to listen on. Port 0 lets the kernel choose one.
func (v *validation) listener(setting, address string) {
	if address == "" {
		return
	}
	if path, ok := UnixSocket(address); ok {
		if path == "" || len(path) > maxSocketPath || strings.HasSuffix(path, "/") {
			v.wrong("--%s %q names no socket: write unix:/path with a path of at most %d bytes", []any{setting, address, maxSocketPath}, setting)
		}
		return
	}
	if _, _, ok := hostPort(address, 0); !ok {
		v.wrong("--%s %q is not an address to listen on: write host:port, as in 127.0.0.1:4040, unix:/path, or \"\" for no server", []any{setting, address}, setting)
	}
}

// Exposed reports whether others than this host's own programs can reach the main listener.
func (c *Config) Exposed() bool {
	host, _, ok := hostPort(c.HTTP, 0)
	ip := net.ParseIP(host)
	return ok && host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// hosts checks names that a request's Host may have, which are without a port.
func (v *validation) hosts(names []string) {
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "/:@*? \t") && net.ParseIP(name) == nil {
			v.wrong("--http-allowed-hosts %q is not the name of a host: write names or addresses without a port, as in elector.example.org", []any{name}, "http-allowed-hosts")
			return
		}
	}
}

// distinct wants two listeners on two addresses; one that listens on all takes its port from the other.
func (v *validation) distinct(a, b string) {
	if pathA, ok := UnixSocket(a); ok && a == b {
		v.wrong("--http and --probe-http want the same socket %q: give one of them another", []any{pathA}, "http", "probe-http")
	}
	hostA, portA, okA := hostPort(a, 1)
	hostB, portB, okB := hostPort(b, 1)
	if !okA || !okB || portA != portB {
		return
	}
	if hostA == hostB || everywhere(hostA) || everywhere(hostB) {
		v.wrong("--http %q and --probe-http %q want the same port: give one of them another", []any{a, b}, "http", "probe-http")
	}
}

func everywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// endpoints checks their syntax, and that they are all of one kind: etcd's client talks TLS to all of
// them or to none, as the first one says (client/v3/client.go, dialWithBalancer).
func (v *validation) endpoints(endpoints []string) {
	const setting = "etcd-endpoints"
	var plain, secure string
	for _, e := range endpoints {
		if remedy := endpointMistake(e); remedy != "" {
			v.wrong("--%s %q is not an endpoint of etcd: %s", []any{setting, withoutUser(e), remedy}, setting)
			return
		}
		if isSecure(e) {
			secure = e
		} else {
			plain = e
		}
	}
	switch {
	case len(endpoints) == 0:
		v.wrong("--%s is not set: name etcd's members, as in http://127.0.0.1:2379", []any{setting}, setting)
	case plain != "" && secure != "":
		v.wrong("--%s mixes %q without TLS and %q with it, of which etcd's client would use one for all: write them all alike", []any{setting, plain, secure}, setting)
	}
}

// scheme is how an endpoint begins, of what etcd's client tells apart; empty for a plain host:port.
func scheme(endpoint string) string {
	for _, known := range []string{"http://", "https://", "unix:", "unixs:"} {
		if strings.HasPrefix(endpoint, known) {
			return known
		}
	}
	return ""
}

// isSecure reports whether an endpoint asks for TLS.
func isSecure(endpoint string) bool {
	s := scheme(endpoint)
	return s == "https://" || s == "unixs:"
}

// endpointMistake says how to write an endpoint that is wrong, or "".
func endpointMistake(endpoint string) string {
	const remedy = "write http://host:port, https://host:port, host:port or unix:///path"
	s := scheme(endpoint)
	rest := strings.TrimPrefix(endpoint, s)
	switch {
	case strings.Contains(rest, "@"):
		return "set --etcd-user and --etcd-password-file instead of a user within it"
	case s == "unix:" || s == "unixs:":
		if strings.Trim(rest, "/") != "" {
			return ""
		}
		return remedy
	case s != "":
		rest = strings.TrimSuffix(rest, "/")
	}
	if host, _, ok := hostPort(rest, 1); !ok || host == "" {
		return remedy
	}
	return ""
}

// withoutUser keeps what stands before an @, which may be a password, out of sentences.
func withoutUser(endpoint string) string {
	if i := strings.LastIndex(endpoint, "@"); i >= 0 {
		return scheme(endpoint) + "..." + endpoint[i:]
	}
	return endpoint
}

// credentials checks that they are complete and do not travel in the clear.
func (v *validation) credentials(e *Etcd) {
	if (e.Cert == "") != (e.Key == "") {
		given, missing, value := "etcd-cert", "etcd-key", e.Cert
		if e.Cert == "" {
			given, missing, value = missing, given, e.Key
		}
		v.wrong("--%s %q is set and --%s is %q: set both or neither", []any{given, value, missing, ""}, given, missing)
	}
	switch {
	case strings.Contains(e.User, ":"):
		v.wrong("--etcd-user holds \":\", as if a password followed: give the user alone, and the password in --etcd-password-file", nil, "etcd-user")
		return
	case e.User != "" && e.Password == "" && e.PasswordFile == "":
		v.wrong("--etcd-user %q has no password: set --etcd-password-file (or ETCDCTL_PASSWORD), or remove the user", []any{e.User}, "etcd-user", "etcd-password-file")
	case e.User == "" && e.PasswordFile != "":
		v.wrong("--etcd-password-file %q is set and --etcd-user is %q: set both or neither", []any{e.PasswordFile, ""}, "etcd-password-file", "etcd-user")
	case e.User == "" && e.Password != "":
		v.wrong("ETCDCTL_PASSWORD is set and --etcd-user is %q: set both or neither", []any{""}, "etcd-user")
	}
	v.inTheClear(e)
}

// inTheClear refuses credentials for an endpoint without TLS. An endpoint without a scheme is talked
// to with TLS only if certificates are given.
func (v *validation) inTheClear(e *Etcd) {
	var given, about []string
	add := func(name, value string) {
		if value != "" {
			given, about = append(given, fmt.Sprintf("--%s %q", name, value)), append(about, name)
		}
	}
	add("etcd-user", e.User)
	add("etcd-cacert", e.CACert)
	add("etcd-cert", e.Cert)
	add("etcd-key", e.Key)
	certificates := e.CACert != "" || e.Cert != "" || e.Key != ""
	for _, ep := range e.Endpoints {
		s := scheme(ep)
		clear := s == "http://" || s == "" && !certificates
		if len(given) > 0 && clear && endpointMistake(ep) == "" {
			v.wrong("--etcd-endpoints %q is not encrypted and must not be used with %s: write %q, or remove the credentials",
				[]any{ep, strings.Join(given, ", "), "https://" + strings.TrimPrefix(ep, s)}, append([]string{"etcd-endpoints"}, about...)...)
			return
		}
	}
}
