package examples

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/cli"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// asElector makes this test binary behave as the elector command.
const asElector = "ELECTOR_TEST_AS_ELECTOR"

func TestMain(m *testing.M) {
	if os.Getenv(asElector) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		os.Exit(cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// The times of the electors under test, and the longest that a test waits for anything.
const (
	ttl       = 3 * time.Second
	answerMax = time.Second
	patience  = time.Minute
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for what somebody else does.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(patience); !is(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never: %s", what)
		}
	}
}

// post is a place for an elector, which may be started there more than once.
type post struct {
	t           *testing.T
	id          string
	http, probe string // addresses
	leaderFile  string
	endpoints   string
	process     *proc.Process
}

func startEtcd(t *testing.T) (endpoints string) {
	t.Helper()
	etcd, err := devetcd.Start(t.Context(), devetcd.Options{})
	must(t, err)
	t.Cleanup(etcd.Close)
	return strings.Join(etcd.Endpoints(), ",")
}

// newPost has addresses that nobody uses, and starts an elector there.
func newPost(t *testing.T, id, endpoints string) *post {
	t.Helper()
	p := &post{
		t: t, id: id, http: free(t), probe: free(t), endpoints: endpoints,
		leaderFile: filepath.Join(t.TempDir(), "leader"),
	}
	p.start()
	t.Cleanup(func() { p.kill() })
	return p
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}

func (p *post) start() {
	p.t.Helper()
	cmd := exec.Command(os.Args[0], "--election=examples", "--id="+p.id, "--ttl="+ttl.String(), "--answer-max="+answerMax.String(),
		"--http="+p.http, "--probe-http="+p.probe, "--leader-file="+p.leaderFile, "--etcd-endpoints="+p.endpoints)
	cmd.Env = append(os.Environ(), asElector+"=1")
	log, err := os.OpenFile(filepath.Join(p.t.TempDir(), "log"), os.O_CREATE|os.O_WRONLY, 0o600)
	must(p.t, err)
	defer log.Close() // the child has its own
	cmd.Stderr = log
	p.process, err = proc.Start(cmd)
	must(p.t, err)
}

func (p *post) kill() {
	p.t.Helper()
	must(p.t, p.process.Kill())
}

// stop ends the elector gracefully.
func (p *post) stop() {
	p.t.Helper()
	must(p.t, p.process.Terminate())
	select {
	case <-p.process.Done():
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.id)
	}
}

// leads asks without a promise.
func (p *post) leads() bool { return p.is("/leader") }

func (p *post) is(path string) bool {
	resp, err := quick.Head("http://" + p.http + path)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

var quick = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask is a worker's question, whose yes holds until the instant that comes with it.
func (p *post) ask() (token int64, until time.Time) {
	asked := time.Now()
	resp, err := quick.Get("http://" + p.http + "/leader")
	if err != nil {
		return 0, asked
	}
	defer resp.Body.Close()
	var yes struct {
		Token   int64 `json:"token"`
		Expires int64 `json:"expires_in_ms"`
	}
	if body, err := io.ReadAll(resp.Body); err != nil || json.Unmarshal(body, &yes) != nil || resp.StatusCode != http.StatusOK {
		return 0, asked
	}
	return yes.Token, asked.Add(time.Duration(yes.Expires) * time.Millisecond)
}
