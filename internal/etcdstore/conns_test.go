package etcdstore

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Connections to Unix sockets come from nowhere, all of them.
func TestConnectionsToSocketsAreToldApart(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &conns{}
	dial := c.dialer(time.Second, time.Second)
	var all []net.Conn
	for range 2 {
		conn, err := dial(t.Context(), "unix:"+socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		all = append(all, conn)
	}
	c.close(all[0].LocalAddr().String())
	if _, err := all[0].Write([]byte("x")); err == nil {
		t.Error("the first has not been closed")
	}
	if _, err := all[1].Write([]byte("x")); err != nil {
		t.Errorf("the second has: %v", err)
	}
	if len(c.open) != 1 {
		t.Errorf("%d connections are known", len(c.open))
	}
}
