//go:build e2e

package deb

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/dockertest"
)

// patience bounds every wait.
const patience = time.Minute

// host is a container in which systemd runs. It has no more rights than systemd needs for the units' own walls.
type host struct {
	t    *testing.T
	name string
}

// newHost starts one, with etcd as a unit of it, and packages in /mnt by names of their own. Docker keeps the layers of its
// image.
func newHost(t *testing.T, packages map[string]string) host {
	base := dockertest.Base(t)
	image := dockertest.Name()
	dockertest.Docker(t, "build", "--quiet", "--network=host", "--build-arg=GO_IMAGE="+base, "--tag="+image, ".")
	t.Cleanup(func() { dockertest.Docker(t, "rmi", image) })
	h := host{t, dockertest.Name()}
	// The state directory wants a local disk, and under /var/lib is Docker's layered one unless there is a volume.
	args := []string{"--volume=" + dockertest.Compiled(t, dockertest.Etcd) + ":/mnt/etcd:ro"}
	for name, file := range packages {
		args = append(args, "--volume="+file+":/mnt/"+name+":ro")
	}
	dockertest.Start(t, h.name, append(args, "--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE", "--security-opt=seccomp=unconfined",
		"--env=container=docker", "--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup",
		"--volume=/var/lib", "--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp", image)...)
	h.until("systemd has started", func() bool { return h.try("systemctl is-system-running --wait") == "running" })
	h.sh("systemd-run --quiet --unit=etcd --property=Type=notify /mnt/etcd --data-dir=/tmp/etcd-data --log-level=error " +
		"--listen-client-urls=http://0.0.0.0:2379 --advertise-client-urls=http://127.0.0.1:2379")
	return h
}

// sh runs a script on the host, which must end with success, and returns what it printed.
func (h host) sh(script string) string {
	h.t.Helper()
	out, err := exec.Command("docker", "exec", h.name, "sh", "-euc", script).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v\n%s\n%s", script, err, out, h.try("journalctl --no-pager --lines=15"))
	}
	return strings.TrimSpace(string(out))
}

// try is sh for a script that may fail.
func (h host) try(script string) string {
	out, err := exec.Command("docker", "exec", h.name, "sh", "-euc", script).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%v", out, err)
	}
	return strings.TrimSpace(string(out))
}

// until waits for what only systemd can tell, which has no way to be waited for.
func (h host) until(what string, is func() bool) {
	h.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-deadline.C:
			h.t.Fatalf("%s: not within %v\n%s", what, patience, h.try("systemctl status --no-pager 'elector@*' 'worker@*'; journalctl --no-pager --lines=15"))
		}
	}
}

// property is what systemd says of a unit.
func (h host) property(unit, name string) string {
	h.t.Helper()
	return h.sh("systemctl show --value --property=" + name + " " + unit)
}

// leads waits until the elector of an instance leads, has told systemd so, and has a token greater than one before. It
// returns the token.
func (h host) leads(unit string, after int) (token int) {
	h.t.Helper()
	_, election, _ := strings.Cut(unit, "@")
	h.until(unit+" leads", func() bool {
		h.sh("elector wait --leader --timeout=1m --addr=unix:/run/elector/" + election + "/elector.sock")
		_, err := fmt.Sscanf(h.property(unit, "StatusText"), "leads with token %d", &token)
		return err == nil && token > after
	})
	return token
}

// logged waits for a line of a unit's journal.
func (h host) logged(unit, text string) {
	h.t.Helper()
	h.until(unit+" logs "+text, func() bool {
		return strings.Contains(h.sh("journalctl --no-pager --output=cat --unit="+unit), text)
	})
}

// files lists all there is on the host but for what changes by itself.
func (h host) files() map[string]bool {
	h.t.Helper()
	found := make(map[string]bool)
	for line := range strings.Lines(h.sh(`find / /run /var/lib -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp ` +
		`-o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /run/systemd -o -path /var/lib/systemd -o -path /run/log ` +
		`-o -path /run/lock -o -path /run/adduser \) -prune -o -print`)) {
		found[strings.TrimSpace(line)] = true
	}
	return found
}
