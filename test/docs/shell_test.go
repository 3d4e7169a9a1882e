package docs

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The longest that one step may take, and what is waited for after the context of a shell has ended.
const (
	stepLimit = 90 * time.Second
	waitDelay = 10 * time.Second
)

// driver reads numbers of steps, runs each in this one shell, so that variables and background processes last, and tells
// its status. The namespaces are its own: addresses that documents name are free, and nothing outlives it.
const driver = `
set -u
hostname w1
ip link set lo up
for i in 1 2 3; do ip address add 10.0.0.$i/32 dev lo; done
mount -t tmpfs tmpfs /run
mount --bind . "$ROOT" && cd "$ROOT"
set +u
while read -r n; do
	. "$STEPS/$n" >"$STEPS/$n.out" 2>&1 </dev/null 3>&-
	echo "$n $?" >&3
done
`

// shell is a bash in namespaces of its own, at the top of a copy of the repository. The copy is where the repository is,
// so that the go command uses what it has compiled before.
type shell struct {
	t     *testing.T
	steps string // directory
	n     int
	stdin io.WriteCloser
	told  chan string // closed when the shell has ended
}

// openShell starts one that ends with the test.
func openShell(t *testing.T, bin, work string) *shell {
	t.Helper()
	s := &shell{t: t, steps: t.TempDir(), told: make(chan string)}
	home := t.TempDir()
	must(t, os.WriteFile(filepath.Join(home, ".curlrc"), []byte("no-progress-meter\n"), 0o600)) // as on a terminal
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child",
		"bash", "--norc", "-c", driver)
	cmd.Dir = work
	top, err := filepath.Abs(root)
	must(t, err)
	cmd.Env = append(goEnv(t), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+home, "STEPS="+s.steps, "ROOT="+top, "LANG=C.UTF-8", "TMPDIR="+t.TempDir())
	cmd.WaitDelay = waitDelay
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.stdin, err = cmd.StdinPipe()
	must(t, err)
	status, w, err := os.Pipe()
	must(t, err)
	cmd.ExtraFiles = []*os.File{w}
	must(t, cmd.Start())
	must(t, w.Close())
	go func() {
		defer close(s.told)
		for lines := bufio.NewScanner(status); lines.Scan(); {
			s.told <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		status.Close()
		for range s.told { // until the reader has ended
		}
	})
	return s
}

// run runs a step, and returns what it wrote.
func (s *shell) run(st step) ([]string, error) {
	s.n++
	file := filepath.Join(s.steps, fmt.Sprint(s.n))
	command := st.command
	if !st.compare {
		command = "set -e\n" + command + "\nset +e\n" // a script ends at its first mistake, and the shell with it
	}
	must(s.t, os.WriteFile(file, []byte(command+"\n"), 0o600))
	if _, err := fmt.Fprintln(s.stdin, s.n); err != nil {
		return nil, fmt.Errorf("start it: %w", err)
	}
	var err error
	select {
	case status, alive := <-s.told:
		if !alive {
			err = fmt.Errorf("the shell ended")
		} else if status != fmt.Sprint(s.n, " 0") {
			err = fmt.Errorf("it ended with status %s", strings.Fields(status)[1])
		}
	case <-time.After(stepLimit):
		err = fmt.Errorf("it did not end within %v", stepLimit)
	}
	out, readErr := os.ReadFile(file + ".out")
	must(s.t, readErr)
	return linesOf(string(out)), err
}

// goEnv is what the go command needs to find what was built before, and to fetch nothing.
func goEnv(t *testing.T) []string {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	must(t, err)
	env := []string{"GOPROXY=off", "CGO_ENABLED=0", "GOFLAGS=-trimpath"}
	for i, value := range linesOf(string(out)) {
		env = append(env, names[i]+"="+value)
	}
	return env
}
