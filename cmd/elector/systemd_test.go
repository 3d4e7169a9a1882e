package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
)

// A command's own word to the service manager would be taken for the elector's.
func TestSystemdHearsTheElectorAndNotItsCommand(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	dir := t.TempDir()
	socket, told := filepath.Join(dir, "notify"), filepath.Join(dir, "environment")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	defer conn.Close()
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))

	p := e.launch(t, []string{"env", "NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=30000000"}, "run", "w1",
		"--", "sh", "-c", "env >"+told)
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	must(t, err)
	if first := string(b[:n]); !strings.HasPrefix(first, "READY=1\n") || !strings.Contains(first, "\nWATCHDOG=1") {
		t.Errorf("systemd is told first: %q", first)
	}
	if status := p.awaitExit(); status != 0 {
		t.Errorf("exit status %d\n%s", status, p.logged())
	}
	env, err := os.ReadFile(told)
	must(t, err)
	for _, name := range []string{"NOTIFY_SOCKET=", "WATCHDOG_USEC="} {
		if strings.Contains(string(env), name) {
			t.Errorf("the command knows %s\n%s", name, env)
		}
	}
	if !strings.Contains(string(env), "ELECTOR_TERM_TOKEN=") {
		t.Errorf("the command lacks its token:\n%s", env)
	}
}
