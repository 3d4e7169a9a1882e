package cli

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
)

// systemd is a service manager that listens.
type systemd struct {
	t      *testing.T
	conn   *net.UnixConn
	socket string
}

func listenAsSystemd(t *testing.T) systemd {
	t.Helper()
	s := systemd{t: t, socket: filepath.Join(t.TempDir(), "notify")}
	var err error
	if s.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.socket, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	if err := s.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return s
}

// hears waits for a message that has all these lines.
func (s systemd) hears(wanted ...string) {
	s.t.Helper()
	b := make([]byte, 4096)
	for {
		n, err := s.conn.Read(b)
		if err != nil {
			s.t.Fatalf("never hears %q: %v", wanted, err)
		}
		lines := strings.Split(string(b[:n]), "\n")
		if !slices.ContainsFunc(wanted, func(want string) bool { return !slices.Contains(lines, want) }) {
			return
		}
	}
}

func TestSystemdIsToldThatTheDaemonIsReadyWithoutEtcd(t *testing.T) {
	manager := listenAsSystemd(t)
	log := newLogged(t)
	stop, stopped := start(t, log, []string{"NOTIFY_SOCKET=" + manager.socket}, "--election=orders", nowhere)
	manager.hears("READY=1", "STATUS=no contact with etcd")
	wantStatus(t, log.address()+"/livez", 200)
	stop()
	manager.hears("STOPPING=1")
	if status := <-stopped; status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestSystemdIsAskedForTimeWhilePromisesRunOut(t *testing.T) {
	etcd, err := devetcd.Start(t.Context(), devetcd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	client, err := etcd.NewClient(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	keys := func() int64 {
		found, err := client.Get(t.Context(), "/elector/default/orders/", clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		return found.Count
	}

	manager := listenAsSystemd(t)
	log := newLogged(t)
	stop, stopped := start(t, log, []string{"NOTIFY_SOCKET=" + manager.socket}, "--election=orders", "--ttl=30s", "--answer-max=5s",
		"--etcd-endpoints="+strings.Join(etcd.Endpoints(), ","))
	wantStatus(t, log.address()+"/leader?wait=30s", 200) // a promise
	stop()
	manager.hears("STOPPING=1", "EXTEND_TIMEOUT_USEC=10000000", "STATUS=stepping-down (shutdown)")
	if keys() != 1 {
		t.Error("the key has gone before the promise that was given has run out")
	}
	manager.hears("STATUS=has stopped")
	if keys() != 0 {
		t.Error("systemd is told of the end before the key has gone")
	}
	if status := <-stopped; status != 0 {
		t.Errorf("exit status %d", status)
	}
}
