package devetcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// Member is one member process of a Cluster. Its methods are safe for concurrent use.
type Member struct {
	config  memberConfig
	wrap    []string
	removed bool // from the cluster
	learner bool

	mu      sync.Mutex    // guards the fields below; held while a process is started
	program string        // of etcd's own; empty: this executable
	proc    *proc.Process // the newest; never nil once StartProcesses has returned
}

// Endpoint returns the member's client URL.
func (m *Member) Endpoint() string { return m.config.ClientURL }

// PeerURL returns the URL on which the other members reach it, for rules that cut members off.
func (m *Member) PeerURL() string { return m.config.PeerURL }

// LogFile returns the path of the member's log.
func (m *Member) LogFile() string { return m.config.logFile() }

// PID returns the process id of the newest process of this member.
func (m *Member) PID() int { return m.process().PID() }

// Running reports whether the member's process lives, frozen or not.
func (m *Member) Running() bool { return !m.process().Ended() }

// Paused reports whether the member is frozen.
func (m *Member) Paused() bool { return m.process().Paused() }

// Pause freezes the member; on Linux it returns when all its threads have halted.
func (m *Member) Pause() error { return m.process().Pause() }

// Resume lets a frozen member go on.
func (m *Member) Resume() error { return m.process().Resume() }

// Kill ends the member with SIGKILL and waits for its end.
func (m *Member) Kill() error { return m.process().Kill() }

// Stop ends the member with SIGTERM, frozen or not, and waits for its end; it kills it when the context
// ends first, and the error has what it wrote then. A leading member hands leadership over before it ends.
func (m *Member) Stop(ctx context.Context) error {
	if err := m.process().Stop(ctx); err != nil {
		return errors.Join(err, m.post())
	}
	return nil
}

// Restart starts a member that has ended, with its data and on its ports. It does not wait for it to
// serve, since that takes a quorum: see Cluster.WaitHealthy.
func (m *Member) Restart() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc != nil && !m.proc.Ended() {
		return fmt.Errorf("restart %s: process %d still runs", m.config.Name, m.proc.PID())
	}
	return m.start()
}

// RestartAs is Restart with another program, on the same data: what each member goes through when etcd is upgraded. It
// stays the member's program; empty means the embedded one. etcd goes up by one minor release at a time.
func (m *Member) RestartAs(program string) error {
	m.mu.Lock()
	m.program = program
	m.mu.Unlock()
	return m.Restart()
}

func (m *Member) process() *proc.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc
}

func (m *Member) start() error {
	if err := os.MkdirAll(m.config.Dir, 0o700); err != nil {
		return err
	}
	cmd, err := m.command()
	if err != nil {
		return err
	}
	if len(m.wrap) > 0 {
		env := cmd.Env
		cmd = exec.Command(m.wrap[0], append(slices.Clone(m.wrap[1:]), cmd.Args...)...)
		cmd.Env = env
	}
	out, err := os.Create(m.outputFile())
	if err != nil {
		return err
	}
	defer out.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = out, out
	m.proc, err = proc.Start(cmd)
	return err
}

func (m *Member) command() (*exec.Cmd, error) {
	if m.program != "" {
		return m.config.command(context.Background(), m.program)
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(m.config)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), memberEnv+"="+string(config))
	return cmd, nil
}

func (m *Member) outputFile() string { return filepath.Join(m.config.Dir, "output") }

// ownProgram reports whether the member is a process of etcd's own program.
func (m *Member) ownProgram() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.program != ""
}

// lastWords are the last lines of a log, among which is why its writer ended.
func lastWords(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "\n")
}

// post tells why a member's process has ended, from what it wrote.
func (m *Member) post() error {
	out, err := os.ReadFile(m.outputFile())
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(out))
	if log, err := os.ReadFile(m.LogFile()); text == "" && m.ownProgram() && err == nil {
		text = lastWords(string(log))
	}
	if text == "" {
		text = "no output; is MaybeRunMember called first in main or TestMain?"
	}
	return errors.New(m.config.Name + ": " + m.process().Exit() + ": " + text)
}
