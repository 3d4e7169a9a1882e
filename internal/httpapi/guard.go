package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Writes says who may change something.
type Writes struct {
	// Exposed: others than this host's own programs can reach the main listener. Then nobody may
	// without a token.
	Exposed bool
	// Hosts are the names, besides those of the loopback, under which the main listener may be asked.
	Hosts []string
	// TokenFile holds the bearer token that writes must bring, as it is at each of them. Empty: none.
	TokenFile string
}

// guard keeps everybody from changing anything who may not: a page elsewhere that a browser shows, whatever
// name it has made resolve to this host; and, on a listener that others can reach, whoever has no token.
type guard struct{ Writes }

func newGuard(w Writes) *guard { return &guard{w} }

// CheckTokenFile reports in one sentence why a token file cannot be used; nil when it can.
func CheckTokenFile(path string) error {
	_, err := readToken(path)
	return err
}

// maxToken is the longest bearer token.
const maxToken = 4096

func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read --http-token-file: %w", err)
	}
	token := strings.TrimRight(string(b), "\r\n")
	if token == "" || len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("--http-token-file %q holds no token: put one line of up to %d letters, digits and signs into it", path, maxToken)
	}
	return token, nil
}

// refusal is why a request may not change anything; its status is 0 when it may.
type refusal struct {
	status int
	failure
}

// refuse judges a request that is to change something.
func (g *guard) refuse(r *http.Request) refusal {
	h := r.Header
	switch {
	case h.Get("Elector-Request") != "1" && h.Get("Elector-Token") == "" && !isJSON(h.Get("Content-Type")):
		return refusal{http.StatusForbidden, failure{"this could be a form on a page elsewhere",
			"send the header Elector-Request: 1, or Content-Type: application/json"}}
	case r.URL.Host != "":
		return refusal{http.StatusForbidden, failure{"writes are not taken in absolute form, whose host need not be that of Host", "send the path alone in the request line"}}
	case !overUnixSocket(r) && !g.knows(r.Host):
		return refusal{http.StatusForbidden, failure{"writes are not taken under this Host", "ask by a loopback address, or list the name in --http-allowed-hosts"}}
	case !g.knowsOrigin(h):
		return refusal{http.StatusForbidden, failure{"writes are not taken from this Origin", "ask from a page of this server, or list its host in --http-allowed-hosts"}}
	case g.TokenFile != "":
		return g.refuseToken(h)
	case g.Exposed:
		return refusal{http.StatusForbidden, failure{"others can reach this listener, so it takes no writes", "set --http-token-file, or let --http listen on a loopback address"}}
	}
	return refusal{}
}

func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/json")
}

// overUnixSocket: who may open the socket is the file system's concern, and any Host will do.
func overUnixSocket(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && at.Network() == "unix"
}

// knows reports whether a Host is of this host's loopback or listed. A name that somebody has made resolve to
// the loopback is neither.
func (g *guard) knows(host string) bool {
	name := hostName(host)
	if addr, err := netip.ParseAddr(name); err == nil && addr.IsLoopback() {
		return true
	}
	return name == "localhost" || name != "" && slices.ContainsFunc(g.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// hostName is a Host without its port and brackets, in lower case; empty if it is not one.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(host)
}

// knowsOrigin: browsers say from which page a request comes, other programs do not.
func (g *guard) knowsOrigin(h http.Header) bool {
	for _, origin := range h.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !g.knows(u.Host) {
			return false
		}
	}
	return true
}

// refuseToken compares the bearer token in a time that does not depend on it.
func (g *guard) refuseToken(h http.Header) refusal {
	secret, err := readToken(g.TokenFile) // each time: writes are few, and a time stamp would not show every change
	if err != nil {
		return refusal{http.StatusForbidden, failure{"the token to compare with cannot be read", clean(err.Error())}}
	}
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(secret))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return refusal{http.StatusUnauthorized, failure{"no bearer token, or a wrong one", "send Authorization: Bearer and what --http-token-file holds"}}
	}
	return refusal{}
}

// mayWrite answers a request that may not change anything, and reports whether it may.
func (a *API) mayWrite(w http.ResponseWriter, r *http.Request) bool {
	why := a.guard.refuse(r)
	if why.status == 0 {
		return true
	}
	if why.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	reply(w, r, why.status, why.failure)
	return false
}
