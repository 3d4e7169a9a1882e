package rig

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// Kind is a program that takes part in elections.
type Kind string

// The kinds.
const (
	Elector  Kind = "elector"
	Naive    Kind = "naive"
	Elect    Kind = "etcdctl elect"
	Lock     Kind = "etcdctl lock"
	Floor    Kind = "floor"
	ClientGo Kind = "client-go" // whose etcd is behind an API server
)

// Programs are the files to run.
type Programs struct {
	Elector, Naive, Etcdctl, Floor, ClientGo string

	Kubeconfig string // of client-go's API server; empty: there is none
	Dir        string // for logs
}

// Of is the file of a kind.
func (p Programs) Of(k Kind) string {
	switch k {
	case Elector:
		return p.Elector
	case Naive:
		return p.Naive
	case Floor:
		return p.Floor
	case ClientGo:
		return p.ClientGo
	}
	return p.Etcdctl
}

// Member is one candidate: a place for a process that can be started there again and again.
type Member struct {
	Kind      Kind
	ID, Addr  string // Addr is empty for what has no HTTP
	Election  string
	Endpoints []string      // of etcd, and without meaning for client-go
	TTL       time.Duration // the same
	Extra     []string      // further arguments, in front of the others
	Command   []string      // of elector run

	programs Programs
	process  *proc.Process
	Leads    chan time.Time // of what has no HTTP: gets when the process said that it leads
}

// NewMember gives a candidate an address of its own. It starts nothing.
func NewMember(p Programs, k Kind, id, election string, endpoints []string, ttl time.Duration, extra ...string) (*Member, error) {
	m := &Member{Kind: k, ID: id, Election: election, Endpoints: endpoints, TTL: ttl, Extra: extra, programs: p}
	var err error
	if k != Elect && k != Lock {
		m.Addr, err = devetcd.FreeAddress("127.0.0.1")
	}
	return m, err
}

// Prefix is that of the candidates' keys.
func (m *Member) Prefix() string {
	if m.Kind == Elector || m.Kind == Naive {
		return "/elector/default/" + m.Election + "/"
	}
	return m.Election + "/"
}

// args is the command line.
func (m *Member) args() []string {
	endpoints := strings.Join(m.Endpoints, ",")
	switch m.Kind {
	case Elect:
		return []string{"--endpoints", endpoints, "elect", m.Election, m.ID}
	case Lock:
		return []string{"--endpoints", endpoints, "lock", "--ttl", fmt.Sprint(int(m.TTL / time.Second)), m.Election}
	case Floor:
		return append([]string{"--etcd-endpoints", endpoints, "--ttl", m.TTL.String(), "--http", m.Addr}, m.Extra...)
	case ClientGo:
		return append([]string{"--kubeconfig", m.programs.Kubeconfig, "--election", "elector-bench-" + m.Election, "--id", m.ID, "--http", m.Addr}, m.Extra...)
	}
	args := slices.Concat(m.Extra, []string{
		"--election", m.Election, "--id", m.ID, "--ttl", m.TTL.String(), "--http", m.Addr, "--etcd-endpoints", endpoints, "--log-level", "error",
	})
	if m.Command != nil {
		args = slices.Concat([]string{"run"}, args, []string{"--"}, m.Command)
	}
	return args
}

// Start runs a process; the one before has ended.
func (m *Member) Start() error {
	log, err := os.OpenFile(filepath.Join(m.programs.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(m.programs.Of(m.Kind), m.args()...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "ELECTOR_") || strings.HasPrefix(v, "ETCDCTL_") || strings.HasPrefix(v, "POD_")
	}), "ETCDCTL_API=3")
	cmd.Stderr, cmd.Stdout = log, log
	var out *os.File
	if m.Addr == "" {
		var w *os.File
		if out, w, err = os.Pipe(); err != nil {
			return err
		}
		defer w.Close()
		cmd.Stdout = w
		m.Leads = make(chan time.Time, 1)
	}
	m.process, err = proc.Start(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", m.Kind, err)
	}
	if out != nil {
		go m.listen(out, m.Leads)
	}
	return nil
}

// listen tells when the first line of a process has come: etcdctl prints its key when it leads.
func (m *Member) listen(out *os.File, leads chan<- time.Time) {
	defer out.Close()
	r := bufio.NewReader(out)
	if _, err := r.ReadString('\n'); err == nil {
		leads <- time.Now()
	}
	_, _ = io.Copy(io.Discard, r)
}

// PID is that of the newest process.
func (m *Member) PID() int { return m.process.PID() }

// Kill ends the process without warning.
func (m *Member) Kill() {
	if m.process != nil {
		_ = m.process.Kill()
	}
}

// Freeze stops the process in its tracks, and Thaw lets it go on.
func (m *Member) Freeze() error { return m.process.Pause() }

// Thaw is the end of Freeze.
func (m *Member) Thaw() error { return m.process.Resume() }

// Terminate asks the process to end, and returns at once.
func (m *Member) Terminate() error { return m.process.Terminate() }

// Stop asks the process to end and waits for that.
func (m *Member) Stop(ctx context.Context) error { return m.process.Stop(ctx) }

// Forget removes what client-go leaves behind for ever: the Lease. It runs and blocks until that is done.
func (m *Member) Forget(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, m.programs.Of(m.Kind), append(m.args(), "--remove")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("remove the Lease of %s: %w\n%s", m.Election, err, out)
	}
	return nil
}

// Resign has an elector give the lead up with the word that whoever acted on its promises has stopped. It
// blocks until the key has gone.
func (m *Member) Resign(token int64) error {
	l := NewLine(m.Addr)
	defer l.Close()
	status, body, err := l.Do(fmt.Sprintf("POST /resign HTTP/1.1\r\nHost: localhost\r\nElector-Token: %d\r\nContent-Length: 0\r\n\r\n", token))
	if err == nil && status != 200 {
		err = fmt.Errorf("resign %s: status %d: %s", m.ID, status, bytes.TrimSpace(body))
	}
	return err
}

// Asked is what client-go has asked of its API server since it started.
type Asked struct{ Reads, Writes float64 }

// Asked is what an answer of this member says of that.
func (m *Member) Asked() (a Asked, err error) {
	l := NewLine(m.Addr)
	defer l.Close()
	_, body, err := l.Get("/leader")
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	return a, err
}

// Follows is the answer of a candidate that has seen who leads.
func Follows(_ int, body []byte) bool {
	var s struct{ State string }
	return json.Unmarshal(body, &s) == nil && s.State == "follower"
}

// Token is the fencing token in an answer.
func Token(body []byte) int64 {
	var s struct{ Token int64 }
	_ = json.Unmarshal(body, &s) // 0 when it cannot be read
	return s.Token
}
