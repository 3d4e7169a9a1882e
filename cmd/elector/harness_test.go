package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/httpapi"
)

// asElector makes this test binary behave as the elector command.
const asElector = "ELECTOR_TEST_AS_ELECTOR"

func TestMain(m *testing.M) {
	devetcd.MaybeRunMember()
	if os.Getenv(asElector) != "" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// ttl is the lease time of the electors under test; patience bounds every wait.
const (
	ttl      = 4 * time.Second
	patience = 60 * time.Second
)

// etcd is three member processes and a client for the operator's hands.
type etcd struct {
	*devetcd.Cluster
	client *clientv3.Client
}

func startEtcd(t *testing.T, opts devetcd.Options) *etcd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := devetcd.StartProcesses(ctx, 3, opts)
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
	t    *testing.T
	id   string
	cmd  *exec.Cmd
	addr string
	done chan struct{} // closed when it has ended
	http http.Client

	mu  sync.Mutex // guards log
	log strings.Builder
}

// start runs an elector in the election named after the test and waits until it listens.
func (e *etcd) start(t *testing.T, id string, args ...string) *process {
	t.Helper()
	return e.startUnder(t, nil, id, args...)
}

// startUnder is start with words before the command line, such as those of unshare(1).
func (e *etcd) startUnder(t *testing.T, wrap []string, id string, args ...string) *process {
	t.Helper()
	p := &process{t: t, id: id, done: make(chan struct{})}
	p.http.Timeout = 5 * time.Second
	args = append([]string{
		"--election", "e2e", "--id", id, "--ttl", ttl.String(), "--http", "127.0.0.1:0",
		"--log-format", "json", "--etcd-endpoints", strings.Join(e.Endpoints(), ","),
	}, args...)
	argv := append(append(slices.Clone(wrap), os.Args[0]), args...)
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Env = append(os.Environ(), asElector+"=1")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := p.cmd.StderrPipe()
	must(t, err)
	must(t, p.cmd.Start())
	addr := make(chan string, 1)
	go p.read(stderr, addr)
	t.Cleanup(p.kill)
	select {
	case p.addr = <-addr:
	case <-time.After(patience):
	}
	if p.addr == "" {
		t.Fatalf("%s does not listen:\n%s", id, p.logged())
	}
	return p
}

// read keeps the log and finds the address in it.
func (p *process) read(stderr io.Reader, addr chan<- string) {
	defer close(p.done)
	defer p.cmd.Wait() //nolint:errcheck // tests look at the state
	defer close(addr)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		p.mu.Lock()
		p.log.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
		var entry struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "listening" {
			select {
			case addr <- entry.Address:
			default:
			}
		}
	}
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
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

func (p *process) signal(s syscall.Signal) { must(p.t, p.cmd.Process.Signal(s)) }

// freeze stops the process and returns when all its threads stand still: kill(2) returns before that.
func (p *process) freeze() {
	p.signal(syscall.SIGSTOP)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			must(p.t, err)
			return
		}
	}
}

// kill ends the process at once, frozen or not.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// ended waits for the end of the process and returns its exit status.
func (p *process) ended() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s does not end:\n%s", p.id, p.logged())
		return -1
	}
}

// answer is one reply with the instants around it, on the boot clock.
type answer struct {
	httpapi.Status
	Name           string // of "/"
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
