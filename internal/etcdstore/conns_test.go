package etcdstore

import (
	"errors"
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
	c.close("@3") // which is not there, or not any more
	c.close(all[0].LocalAddr().String())
	if _, err := all[0].Write([]byte("x")); err == nil {
		t.Error("the first has not been closed")
	}
	if _, err := all[1].Write([]byte("x")); err != nil {
		t.Errorf("the second has: %v", err)
	}
	if err := all[0].Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed once more: %v", err)
	}
	if len(c.open) != 1 {
		t.Errorf("%d connections are known", len(c.open))
	}
}

// The kernel may give a connection's address to the next one before the first is closed for good.
func TestAConnectionThatIsClosedTwiceForgetsNoOther(t *testing.T) {
	c := &conns{}
	pipe := func() net.Conn {
		a, b := net.Pipe()
		t.Cleanup(func() { _ = b.Close() })
		return c.add(a)
	}
	first := pipe()
	second := pipe() // of the same address
	if err := first.Close(); err != nil || len(c.open) != 1 {
		t.Errorf("%d connections are known after the end of one of two; %v", len(c.open), err)
	}
	if err := second.Close(); err != nil || len(c.open) != 0 {
		t.Errorf("%d connections are known after the end of both; %v", len(c.open), err)
	}
}
