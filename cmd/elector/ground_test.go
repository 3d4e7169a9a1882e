package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/chaos/link"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

var update = flag.Bool("update", false, "write the tables of docs/etcd-access.md anew")

// ground is where mistakes are made.
type ground struct {
	t     *testing.T
	dir   string
	files *devetcd.TLSFiles
	etcd  single
	link  *link.Link        // before etcd, under the name tls
	names *strings.Replacer // from the document's words to this run's
	words [][2]string
}

// single is etcd with one member.
type single interface {
	Endpoints() []string
	TLS() *devetcd.TLSFiles
	ClientConfig(endpoints ...string) (clientv3.Config, error)
	NewClient(ctx context.Context, endpoints ...string) (*clientv3.Client, error)
}

// startOne runs one member: the embedded one in this process, else one of the program to test with.
func startOne(t *testing.T, opts devetcd.Options) single {
	t.Helper()
	if testenv.Etcd(t) != nil {
		return startMembers(t, 1, opts)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e, err := devetcd.Start(ctx, opts)
	must(t, err)
	t.Cleanup(e.Close)
	return e
}

func address(e single) string {
	_, address, _ := strings.Cut(e.Endpoints()[0], "://")
	return address
}

func linkTo(t *testing.T, host, target string) *link.Link {
	t.Helper()
	l, err := link.Listen(host, target)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

func newGround(t *testing.T) *ground {
	g := &ground{t: t, dir: t.TempDir()}
	auth := &devetcd.Auth{User: "worker", Password: "right"}
	g.etcd = startOne(t, devetcd.Options{TLS: true, Auth: auth})
	plain := startOne(t, devetcd.Options{Auth: auth})
	g.files = g.etcd.TLS()
	g.link = linkTo(t, "127.0.0.1", address(g.etcd))
	other := linkTo(t, "127.0.0.2", address(g.etcd))

	now := time.Now()
	foreign, err := devetcd.NewTLSFiles(t.TempDir(), "elector")
	must(t, err)
	g.issue(g.files, "ended", now.Add(-2*time.Hour), now.Add(-time.Hour))
	g.issue(g.files, "early", now.Add(time.Hour), now.Add(2*time.Hour))
	for name, from := range map[string]string{
		"ca.crt": g.files.CACert, "tls.crt": g.files.ClientCert, "tls.key": g.files.ClientKey,
		"foreign-ca.crt": foreign.CACert, "foreign.crt": foreign.ClientCert, "foreign.key": foreign.ClientKey,
	} {
		g.put(name, contents(t, from))
	}
	g.put("empty", "")
	g.put("password", "right\n")
	g.put("wrong", "wrong\n")
	must(t, os.Mkdir(g.path("directory"), 0o700))

	g.words = [][2]string{
		{"/run/secrets", g.dir}, {"//tls", "//" + g.link.Addr()}, {"//plain", "//" + address(plain)}, {"//other", "//" + other.Addr()}, {"//old", "//" + g.old()},
	}
	var pairs []string
	for _, w := range g.words {
		pairs = append(pairs, w[0], w[1])
	}
	g.names = strings.NewReplacer(pairs...)
	return g
}

// old is the address of a server whose certificate has ended.
func (g *ground) old() string {
	pair, err := tls.LoadX509KeyPair(g.path("ended.crt"), g.path("ended.key"))
	must(g.t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	must(g.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_ = c.(*tls.Conn).Handshake()
				_ = c.Close()
			}
		}
	}()
	g.t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func (g *ground) issue(by *devetcd.TLSFiles, name string, from, to time.Time) {
	g.t.Helper()
	_, _, err := by.Issue(g.dir, name, "elector", from, to, "127.0.0.1")
	must(g.t, err)
}

// issueFor makes a certificate that is good for another address.
func (g *ground) issueFor(name, ip string) {
	g.t.Helper()
	_, _, err := g.files.Issue(g.dir, name, "etcd", time.Now().Add(-time.Hour), time.Now().Add(time.Hour), ip)
	must(g.t, err)
}

func (g *ground) put(name, text string) {
	g.t.Helper()
	replace(g.t, g.path(name), text)
}

func (g *ground) path(name string) string { return filepath.Join(g.dir, name) }

// What differs from run to run.
var (
	moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	names  = regexp.MustCompile(`is valid for .*, not `)
)

// real is what the document's words stand for.
func (g *ground) real(args []string) (real []string) {
	for _, a := range args {
		real = append(real, g.names.Replace(a))
	}
	return real
}

// inWords is what was said, in the document's words.
func (g *ground) inWords(text string) string {
	for _, w := range g.words {
		text = strings.ReplaceAll(text, strings.TrimPrefix(w[1], "//"), strings.TrimPrefix(w[0], "//"))
	}
	return names.ReplaceAllString(moment.ReplaceAllString(strings.TrimSpace(text), "TIME"), "is valid for NAMES, not ")
}

// sentence is a refusal in the document's words, without what was tried.
func (g *ground) sentence(refusal string) string {
	if _, says, ok := strings.Cut(refusal, "refused by etcd: "); ok {
		refusal = says
	}
	return g.inWords(refusal)
}

// unquoted is a log of JSON with its texts as they are.
func unquoted(log string) string {
	var all strings.Builder
	for line := range strings.Lines(log) {
		var entry struct{ Msg, Err string }
		if json.Unmarshal([]byte(line), &entry) == nil {
			fmt.Fprintf(&all, "%s: %s\n", entry.Msg, entry.Err)
		}
	}
	return all.String()
}

// inDocument demands that a table stands in docs/etcd-access.md as it was tested; with -update it writes it there.
func inDocument(t *testing.T, name string, rows [][]string) {
	t.Helper()
	var table strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&table, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			table.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	const file = "../../docs/etcd-access.md"
	before, rest, ok := strings.Cut(contents(t, file), "<!-- "+name+" -->\n")
	was, after, ended := strings.Cut(rest, "<!-- end -->\n")
	switch {
	case !ok || !ended:
		t.Errorf("%s has no place for the %s", file, name)
	case was == table.String():
	case *update:
		must(t, os.WriteFile(file, []byte(before+"<!-- "+name+" -->\n"+table.String()+"<!-- end -->\n"+after), 0o644))
	default:
		t.Errorf("%s has other %s than were tested: run go test ./cmd/elector -run Misconf -update", file, name)
	}
}
