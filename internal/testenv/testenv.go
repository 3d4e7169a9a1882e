// Package testenv tells a test whether the machine offers what it needs.
//
// On a developer's machine a missing tool skips the test and says what is
// missing. Where the variable CI is "true" the same lack fails the test: a
// suite that quietly ran without its hardest tests must not look green.
//
// What a machine offers hardly changes while tests run, so each costly probe is
// done once per process. The functions end a test as its own Skip and Fatal do,
// so they are for the test's own goroutine.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// EtcdctlVar names the environment variable that holds the absolute path of
// the etcdctl to test with. Where it is empty, PATH is searched.
const EtcdctlVar = "ELECTOR_TEST_ETCDCTL"

// EtcdVar names the environment variable that holds the absolute path of the
// etcd server to test with. Where it is empty, tests run the embedded one.
const EtcdVar = "ELECTOR_TEST_ETCD"

// EtcdsVar names the environment variable that holds the absolute paths of
// servers of consecutive minor releases, the oldest first, with colons between.
const EtcdsVar = "ELECTOR_TEST_ETCDS"

// probeTimeout bounds each command that a probe runs: a wedged daemon is as
// good as none.
const probeTimeout = 20 * time.Second

// T is the part of testing.TB that this package needs; it is an interface so
// that the verdict itself can be tested, and so that this package does not
// import testing.
type T interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Root demands an effective user id of 0, without which no test can make
// network namespaces or act as another user.
func Root(t T) {
	t.Helper()
	demand(t, "root", probeRoot())
}

// NetNS demands that network namespaces can be made, joined and removed with
// ip(8) from iproute2. It implies Root.
func NetNS(t T) {
	t.Helper()
	demand(t, "network namespaces", LackOfNetNS())
}

// LackOfNetNS says why network namespaces cannot be made, or nil, for programs
// that have another way.
func LackOfNetNS() error { return probeNetNS() }

// Disk demands that a file can be mounted as an ext4 file system, with
// mkfs.ext4(8) from e2fsprogs, mount(8) and a loop device, and that fsfreeze(8)
// from util-linux is there. It implies Root.
func Disk(t T) {
	t.Helper()
	demand(t, "a disk of its own", probeDisk())
}

// Iptables demands that packets can be dropped inside a network namespace
// with iptables(8). It implies NetNS.
func Iptables(t T) {
	t.Helper()
	demand(t, "iptables", probeIptables())
}

// TimeNS demands that a command can be run in a time namespace, where the boot
// clock is off from the host's, with unshare(1) from util-linux. It implies Root.
func TimeNS(t T) {
	t.Helper()
	demand(t, "time namespaces", probeTimeNS())
}

// Docker demands a Docker daemon that answers, on Linux and on this host: one
// that the client reaches over a network could not see the test's loopback
// addresses.
func Docker(t T) {
	t.Helper()
	demand(t, "Docker", probeDocker())
}

// Image demands that Docker holds an image of that name already. It implies
// Docker.
func Image(t T, name string) {
	t.Helper()
	Docker(t)
	demand(t, "the image "+name, run("docker", "image", "inspect", "--format={{.Id}}", name))
}

// Etcdctl demands an etcdctl and returns its absolute path: the file that
// ELECTOR_TEST_ETCDCTL names, else the first one in PATH.
func Etcdctl(t T) string {
	t.Helper()
	path, err := findEtcdctl()
	demand(t, "etcdctl", err)
	return path
}

// Etcd returns the path of the server to test with, as devetcd's options want
// it: nil stands for the embedded one. A file that is named and not there fails
// the test.
func Etcd(t T) func(member int) string {
	t.Helper()
	path := os.Getenv(EtcdVar)
	if path == "" {
		return nil
	}
	if err := isProgram(path); err != nil {
		t.Fatalf("%s: %v", EtcdVar, err)
	}
	return func(int) string { return path }
}

// Etcds demands servers of several releases and returns their paths, the oldest
// first. Without them the test is skipped everywhere: make compat brings them.
func Etcds(t T) []string {
	t.Helper()
	paths := filepath.SplitList(os.Getenv(EtcdsVar))
	if len(paths) < 2 {
		t.Skipf("this test needs servers of several releases of etcd in %s: make compat builds and names them", EtcdsVar)
	}
	for _, path := range paths {
		if err := isProgram(path); err != nil {
			t.Fatalf("%s: %v", EtcdsVar, err)
		}
	}
	return paths
}

// Compat demands that the run is one of make compat, which has the time for what
// takes long and is much the same each time.
func Compat(t T) {
	t.Helper()
	if os.Getenv(EtcdVar) == "" {
		t.Skipf("this test is part of make compat: give the absolute path of an etcd server in %s", EtcdVar)
	}
}

func isProgram(path string) error {
	switch info, err := os.Stat(path); {
	case err != nil:
		return err
	case !filepath.IsAbs(path):
		return fmt.Errorf("%s is not an absolute path, which tests of any package could find", path)
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not a program", path)
	}
	return nil
}

// Command demands that a program of that name is in PATH and returns its
// absolute path.
func Command(t T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	demand(t, name, err)
	return path
}

// CI tells whether this is a run in which nothing may be missing.
func CI() bool { return os.Getenv("CI") == "true" }

// demand passes the verdict on what a probe found.
func demand(t T, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case CI():
		t.Fatalf("this test needs %s, and CI must have it: %v", what, err)
	default:
		t.Skipf("this test needs %s: %v", what, err)
	}
}

func probeRoot() error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("running as user %d, not as root", uid)
	}
	return nil
}

// probeNetNS makes a namespace, runs a command in it and removes it: that ip
// is installed does not show that the kernel or a sandbox permits any of it.
var probeNetNS = sync.OnceValue(func() error {
	return inNetNS("ip", "link", "set", "lo", "up")
})

var probeIptables = sync.OnceValue(func() error {
	if err := probeNetNS(); err != nil {
		return err
	}
	return inNetNS("iptables", "-w", "-A", "INPUT", "-i", "lo", "-p", "tcp", "--dport", "1", "-j", "DROP")
})

// inNetNS runs one command in a network namespace that it makes for it.
func inNetNS(name string, args ...string) (err error) {
	if err := probeRoot(); err != nil {
		return err
	}
	ns := fmt.Sprintf("elector-probe-%d", os.Getpid())
	if err := run("ip", "netns", "add", ns); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run("ip", "netns", "del", ns)) }()
	return run("ip", append([]string{"netns", "exec", ns, name}, args...)...)
}

// probeDisk mounts such a disk and removes it. It does not freeze it: where
// that went wrong, the machine's own disk would stand still.
var probeDisk = sync.OnceValue(func() (err error) {
	if err := probeRoot(); err != nil {
		return err
	}
	if _, err := exec.LookPath("fsfreeze"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "elector-probe-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 8<<20), os.Mkdir(mount, 0o700)); err != nil {
		return err
	}
	if err := run("mkfs.ext4", "-q", "-F", image); err != nil {
		return err
	}
	if err := run("mount", "-t", "ext4", "-o", "loop", image, mount); err != nil {
		return err
	}
	return run("umount", mount)
})

// probeTimeNS runs a command an hour ahead: the kernel refuses the offset where
// it has no time namespaces.
var probeTimeNS = sync.OnceValue(func() error {
	if err := probeRoot(); err != nil {
		return err
	}
	return run("unshare", "--time", "--boottime", "3600", "--fork", "--kill-child", "true")
})

var probeDocker = sync.OnceValue(func() error {
	if host := os.Getenv("DOCKER_HOST"); host != "" && !strings.HasPrefix(host, "unix://") {
		return fmt.Errorf("DOCKER_HOST is %s, which is not this host", host)
	}
	return run("docker", "version", "--format", "{{.Server.Os}}")
})

func findEtcdctl() (string, error) {
	path := os.Getenv(EtcdctlVar)
	if path == "" {
		found, err := exec.LookPath("etcdctl")
		if err != nil {
			return "", fmt.Errorf("none in PATH and %s is not set; `make bin/etcdctl` builds one", EtcdctlVar)
		}
		return filepath.Abs(found)
	}
	// A relative path would mean another file in every package's tests.
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s=%s is not an absolute path", EtcdctlVar, path)
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", fmt.Errorf("%s: %w", EtcdctlVar, err)
	}
	return path, nil
}

// run runs a command to its end, within probeTimeout; its error holds what the
// command said.
func run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: no answer within %s", name, probeTimeout)
	case err != nil && len(out) > 0:
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
