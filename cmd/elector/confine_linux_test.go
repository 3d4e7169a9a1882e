package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

// product builds the command as it is shipped: without cgo, which the race detector needs. Any user may execute it.
func product(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	file := filepath.Join(dir, "elector")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "grpcnotrace", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}

// ofThreads counts the values that the threads of a process have in a line of /proc/PID/task/*/status.
func (p *process) ofThreads(line string) map[string]int {
	p.t.Helper()
	files, err := filepath.Glob("/proc/" + strconv.Itoa(p.PID()) + "/task/*/status")
	must(p.t, err)
	found := map[string]int{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil { // that thread has ended
			continue
		}
		_, rest, _ := strings.Cut(string(b), "\n"+line+":\t")
		value, _, _ := strings.Cut(rest, "\n")
		found[value]++
	}
	return found
}

// coreLimit is the soft limit of a process.
func (p *process) coreLimit() string {
	p.t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/limits")
	must(p.t, err)
	_, rest, _ := strings.Cut(string(b), "Max core file size")
	return strings.Fields(rest)[0]
}

// unlimited has a program run without a limit for core dumps.
var unlimited = []string{"sh", "-c", `ulimit -c unlimited && exec "$@"`, "sh"}

func TestElectorGivesUpRightsUnlessACommandMayNeedThem(t *testing.T) {
	testenv.Root(t) // to lift the limit
	file, e := product(t), startEtcd(t, devetcd.Options{})
	for _, c := range []struct {
		name, verb  string
		args        []string
		given, core string // what becomes of no_new_privs and the limit
	}{
		{"no command", "serve", nil, "1", "0"},
		{"a hook by HTTP", "serve", []string{"--on-change", "http://127.0.0.1:1/"}, "1", "0"},
		{"a hook", "serve", []string{"--on-change", "true"}, "0", "unlimited"},
		{"a check", "serve", []string{"--check-exec", "true"}, "0", "unlimited"},
		{"a hook that needs none", "serve", []string{"--on-change", "true", "--child-no-new-privs"}, "1", "0"},
		{"a command", "run", []string{"--", "COMMAND"}, "0", "unlimited"},
		{"a command that needs none", "run", []string{"--child-no-new-privs", "--", "COMMAND"}, "1", "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			args := c.args
			if args != nil && args[len(args)-1] == "COMMAND" {
				args = append(args[:len(args)-1:len(args)-1], "sh", "-c",
					`{ grep NoNewPrivs /proc/self/status; ulimit -S -c; } >`+out+`.new && mv `+out+`.new `+out+` && exec sleep 1000`)
			}
			p := e.launchProgram(t, append(unlimited[:len(unlimited):len(unlimited)], file), c.verb, "w1", args...)
			p.await("leading", "/leader", leads)
			if got := p.ofThreads("NoNewPrivs"); len(got) != 1 || got[c.given] == 0 {
				t.Errorf("no_new_privs of its threads: %v, want %s", got, c.given)
			}
			if got := p.coreLimit(); got != c.core {
				t.Errorf("core limit %s, want %s", got, c.core)
			}
			if c.verb == "run" {
				for limit := time.Now().Add(patience); ; pause(t) {
					if said, err := os.ReadFile(out); err == nil {
						if want := "NoNewPrivs:\t" + c.given + "\n" + c.core + "\n"; string(said) != want {
							t.Errorf("the command has %q, want %q", said, want)
						}
						break
					} else if time.Now().After(limit) {
						t.Fatalf("the command does not run:\n%s", p.logged())
					}
				}
			}
			must(t, p.Terminate())
			p.awaitExit()
			p.gone(e)
		})
	}
}

func TestMemoryOfTheElectorIsNotForOthers(t *testing.T) {
	testenv.Root(t)
	file, e := product(t), startEtcd(t, devetcd.Options{})
	const nobody = 65534
	as := []string{testenv.Command(t, "setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"}
	// The words of a `run` keep the limit: what is told of below is not due to it.
	program := append(append(unlimited[:len(unlimited):len(unlimited)], as...), file)
	p := e.launchProgram(t, program, "run", "w1", "--", "sleep", "1000")
	p.await("leading", "/leader", leads)

	sleeper := exec.Command("sleep", "1000")
	sleeper.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	must(t, sleeper.Start())
	defer func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	}()
	reads := func(pid int, name string) error {
		return exec.Command(as[0], append(as[1:len(as):len(as)], "head", "-c", "1", "/proc/"+strconv.Itoa(pid)+"/"+name)...).Run()
	}
	for _, name := range []string{"environ", "auxv"} {
		if err := reads(sleeper.Process.Pid, name); err != nil {
			t.Fatalf("a user cannot read %s of its own process: %v", name, err)
		}
		if err := reads(p.PID(), name); err == nil {
			t.Errorf("another process of the same user reads its %s", name)
		}
	}

	dumped := func(how string) bool { return strings.Contains(how, "core dumped") }
	control := exec.Command(unlimited[0], append(unlimited[1:len(unlimited):len(unlimited)], "sh", "-c", "kill -ABRT $$")...)
	control.Dir = t.TempDir()
	if err := control.Run(); err == nil || !dumped(err.Error()) {
		t.Logf("this machine dumps no core of anything: %v", err)
	}
	must(t, syscall.Kill(p.PID(), syscall.SIGABRT))
	p.awaitExit()
	if how := p.Exit(); !strings.Contains(how, "aborted") || dumped(how) {
		t.Errorf("it ended by %s", how)
	}
}
