package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
	"github.com/elector-dev/elector/internal/httpapi"
	"github.com/elector-dev/elector/internal/testenv"
)

// asElector makes this test binary behave as the elector command.
const asElector = "ELECTOR_TEST_AS_ELECTOR"

func TestMain(m *testing.M) {
	devetcd.MaybeRunMember()
	if address := os.Getenv(asWorker); address != "" {
		os.Exit(beWorker(address))
	}
	if os.Getenv(asElector) != "" {
		os.Exit(run(brittle(os.Getenv(asBrittle))))
	}
	if journal := os.Getenv(asActor); journal != "" {
		beActor(journal)
	}
	if journal := os.Getenv(asHook); journal != "" {
		os.Exit(beHook(journal))
	}
	goleak.VerifyTestMain(m)
}

// ttl is the lease time of the electors under test; patience bounds every wait.
const (
	ttl      = 4 * time.Second
	patience = 60 * time.Second
)

// etcd is member processes, mostly three, and a client for the operator's hands. Without members, the arguments of an elector name
// its endpoints.
type etcd struct {
	*devetcd.Cluster
	client *clientv3.Client
}

func startEtcd(t *testing.T, opts devetcd.Options) *etcd {
	t.Helper()
	return startMembers(t, 3, opts)
}

// startMembers runs member processes, of the program to test with unless the options name others.
func startMembers(t *testing.T, members int, opts devetcd.Options) *etcd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if opts.Program == nil {
		opts.Program = testenv.Etcd(t)
	}
	c, err := devetcd.StartProcesses(ctx, members, opts)
	must(t, err)
	t.Cleanup(c.Close)
	cfg, err := c.ClientConfig()
	must(t, err)
	cfg.Logger = zap.NewNop()
	client, err := clientv3.New(cfg)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return &etcd{c, client}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// process is one elector as a process of its own.
type process struct {
	*proc.Process
	t    *testing.T
	id   string
	log  string // path
	addr string
	http http.Client
}

// start runs an elector in the election named after the test and waits until it listens.
func (e *etcd) start(t *testing.T, id string, args ...string) *process {
	t.Helper()
	return e.startUnder(t, nil, id, args...)
}

// startUnder is start with words before the command line, such as those of unshare(1).
func (e *etcd) startUnder(t *testing.T, wrap []string, id string, args ...string) *process {
	t.Helper()
	return e.launch(t, wrap, "serve", id, args...)
}

// launch is startUnder with the word for what the elector is to do.
func (e *etcd) launch(t *testing.T, wrap []string, verb, id string, args ...string) *process {
	t.Helper()
	return e.launchProgram(t, append(slices.Clone(wrap), os.Args[0]), verb, id, args...)
}

// launchProgram is launch with a program that is the elector, and words before it.
func (e *etcd) launchProgram(t *testing.T, program []string, verb, id string, args ...string) *process {
	t.Helper()
	args = append([]string{verb, "--election", "e2e", "--id", id, "--ttl", ttl.String(), "--http", "127.0.0.1:0", "--log-format", "json"}, args...)
	if e.Cluster != nil {
		args = append(args[:1:1], append([]string{"--etcd-endpoints", strings.Join(e.Endpoints(), ",")}, args[1:]...)...)
	}
	argv := append(slices.Clone(program), args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	defer log.Close() // the child has its own
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), asElector+"=1", "GORACE=atexit_sleep_ms=0") // the race detector would sleep for a second
	cmd.Stderr = log
	child, err := proc.Start(cmd)
	must(t, err)
	t.Cleanup(func() { must(t, child.Kill()) })
	p := &process{Process: child, t: t, id: id, log: log.Name(), http: http.Client{Timeout: 5 * time.Second}}
	for limit := time.Now().Add(patience); p.addr == ""; pause(t) {
		if p.Ended() || time.Now().After(limit) {
			t.Fatalf("%s does not listen: %s\n%s", id, p.Exit(), p.logged())
		}
		p.addr = p.listensAt()
	}
	return p
}

// listensAt finds the address in the log; it is empty before it is there.
func (p *process) listensAt() string {
	for line := range strings.Lines(p.logged()) {
		var entry struct{ Msg, Address string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
			return entry.Address
		}
	}
	return ""
}

func (p *process) logged() string {
	p.t.Helper()
	text, err := os.ReadFile(p.log)
	must(p.t, err)
	return string(text)
}

// awaitLog waits until the log holds a text, and returns the log.
func (p *process) awaitLog(text string) string {
	p.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); pause(p.t) {
		if log := p.logged(); strings.Contains(log, text) {
			return log
		}
	}
	p.t.Fatalf("%s: the log never says %q:\n%s", p.id, text, p.logged())
	return ""
}

// awaitExit waits for the end of the process and returns its exit status.
func (p *process) awaitExit() int {
	p.t.Helper()
	select {
	case <-p.Done():
		return p.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s does not end:\n%s", p.id, p.logged())
		return -1
	}
}

// answer is one reply with the instants around it, on the boot clock.
type answer struct {
	httpapi.Status
	Name           string // of "/"
	Hint           string // of an error
	code           int
	header         http.Header
	sent, received time.Duration
}

// get asks once. The zero answer means that none came.
func (p *process) get(path string) answer {
	a := answer{sent: boottime.Now()}
	r, err := p.http.Get("http://" + p.addr + path)
	if err != nil {
		return answer{}
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	a.received = boottime.Now()
	if err != nil || json.Unmarshal(body, &a) != nil {
		return answer{}
	}
	a.code, a.header = r.StatusCode, r.Header
	return a
}

// await asks until the answer satisfies want.
func (p *process) await(what, path string, want func(answer) bool) answer {
	p.t.Helper()
	limit := time.Now().Add(patience)
	for {
		a := p.get(path)
		switch {
		case want(a):
			return a
		case time.Now().After(limit):
			p.t.Fatalf("%s: %s did not happen: %+v\n%s", p.id, what, a, p.logged())
		}
		pause(p.t)
	}
}

// pause is the little time between two polls of another process, which has no event to wait for.
func pause(t *testing.T) {
	select {
	case <-time.After(5 * time.Millisecond):
	case <-t.Context().Done():
	}
}

func leads(a answer) bool   { return a.code == http.StatusOK && a.Leading }
func follows(a answer) bool { return a.State == "follower" && a.Leader.Identity != "" }

// leader waits until one of the fleet leads.
func leader(t *testing.T, fleet ...*process) (*process, answer) {
	t.Helper()
	limit := time.Now().Add(patience)
	for time.Now().Before(limit) {
		for _, p := range fleet {
			if a := p.get("/leader"); leads(a) {
				return p, a
			}
		}
		pause(t)
	}
	t.Fatal("nobody leads")
	return nil, answer{}
}

// others is the fleet without one.
func others(fleet []*process, p *process) []*process {
	var rest []*process
	for _, o := range fleet {
		if o != p {
			rest = append(rest, o)
		}
	}
	return rest
}

// fleetOf starts electors and waits until one leads and the rest name it.
func (e *etcd) fleetOf(t *testing.T, n int, args ...string) []*process {
	t.Helper()
	var fleet []*process
	for i := range n {
		fleet = append(fleet, e.start(t, fmt.Sprintf("w%d", i+1), args...))
	}
	l, _ := leader(t, fleet...)
	for _, p := range others(fleet, l) {
		p.await("following", "/status", follows)
	}
	return fleet
}
