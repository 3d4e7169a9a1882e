package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/cli"
	"github.com/elector-dev/elector/internal/client"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// childEnv marks a process as an elector. Its name must not begin with ELECTOR_, which are an elector's settings.
const childEnv = "LAB_RUNS_ELECTOR"

// MaybeRunElector returns at once in an ordinary process. One that a lab started is the elector command, and exits. Call
// it first thing in main or TestMain.
func MaybeRunElector() {
	if os.Getenv(childEnv) == "" {
		return
	}
	ctx, stop := cli.WithSignals(context.Background())
	status := cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// Elector is a place for an elector's process, which can be started there again and again. Its worker is a file: while
// that is there, the worker is well.
type Elector struct {
	*client.Client
	Name    string
	addr    string
	args    []string
	worker  string
	log     string
	process *proc.Process
}

func newElector(name, dir string, ttl time.Duration, etcd *devetcd.Cluster) (*Elector, error) {
	addr, err := devetcd.FreeAddress("127.0.0.1")
	if err != nil {
		return nil, err
	}
	c, err := client.New(addr)
	if err != nil {
		return nil, err
	}
	e := &Elector{Client: c, Name: name, addr: addr, worker: filepath.Join(dir, name+".worker"), log: filepath.Join(dir, name+".log")}
	e.args = []string{
		"--election", "mail", "--election-namespace", "shop", "--id", name, "--ttl", ttl.String(), "--answer-max", (ttl / 5).String(),
		"--http", addr, "--check-file", filepath.Base(e.worker), "--check-interval", "500ms", "--check-timeout", "400ms", "--on-change", "true",
		"--etcd-endpoints", strings.Join(etcd.Endpoints(), ","),
		"--etcd-cacert", etcd.TLS().CACert, "--etcd-cert", etcd.TLS().ClientCert, "--etcd-key", etcd.TLS().ClientKey,
	}
	return e, e.Cure()
}

// Start runs a process; the one before has ended.
func (e *Elector) Start() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(e.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(exe, e.args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "ELECTOR_") || strings.HasPrefix(v, "ETCDCTL_") || strings.HasPrefix(v, "POD_")
	}), childEnv+"=yes")
	cmd.Stderr, cmd.Dir = log, filepath.Dir(e.worker)
	if e.process, err = proc.Start(cmd); err != nil {
		return fmt.Errorf("start elector %s: %w", e.Name, err)
	}
	return nil
}

// Stop asks the process to end, as an operator would, and waits for that.
func (e *Elector) Stop(ctx context.Context) error { return e.process.Stop(ctx) }

// Kill ends the process without warning.
func (e *Elector) Kill() error { return e.process.Kill() }

// Freeze stops the process in its tracks, and Thaw lets it go on.
func (e *Elector) Freeze() error { return e.process.Pause() }

// Thaw is the end of Freeze.
func (e *Elector) Thaw() error { return e.process.Resume() }

// Sicken has the worker's check fail until Cure.
func (e *Elector) Sicken() error { return os.Remove(e.worker) }

// Cure has the worker's check pass again.
func (e *Elector) Cure() error { return os.WriteFile(e.worker, nil, 0o600) }

// Scrape asks for the metrics as Prometheus does.
func (e *Elector) Scrape(ctx context.Context) ([]byte, error) {
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	rq.Close = true
	resp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// leads asks the elector for a moment; no answer is a no.
func (e *Elector) leads(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, ScrapeInterval)
	defer cancel()
	yes, err := e.Probe(ctx, "/leader")
	return yes && err == nil
}

// Log is what the processes wrote, for a test that has failed.
func (e *Elector) Log() string {
	text, err := os.ReadFile(e.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	return string(text)
}

func (e *Elector) close() {
	if e.process != nil {
		_ = e.process.Kill()
	}
	e.Client.Close()
}
