package cli

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSystemdIsToldThatTheDaemonIsReadyWithoutEtcd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	hears := func(want string) {
		t.Helper()
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				t.Fatalf("never hears %q: %v", want, err)
			}
			if slices.Contains(strings.Split(string(b[:n]), "\n"), want) {
				return
			}
		}
	}
	log := newLogged(t)
	stop, stopped := start(t, log, []string{"NOTIFY_SOCKET=" + socket}, "--election=orders", nowhere)
	hears("READY=1")
	wantStatus(t, log.address()+"/livez", 200)
	stop()
	hears("STOPPING=1")
	if status := <-stopped; status != 0 {
		t.Errorf("exit status %d", status)
	}
}
