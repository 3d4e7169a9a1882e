package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
)

func TestTCPPassesWhenItConnects(t *testing.T) {
	l := listen(t)
	c, err := TCP(l.Addr().String())
	if err != nil || c.Name != "tcp "+l.Addr().String() {
		t.Fatalf("%q, %v", c.Name, err)
	}
	expect(t, c, "")
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the connection is not closed: %d, %v", n, err)
	}
}

func TestTCPTellsWhyItDoesNotConnect(t *testing.T) {
	address := refused(t)
	c, err := TCP(address)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, c, "dial tcp "+address+": connect: connection refused")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, _ = TCP(listen(t).Addr().String()); c.Probe(ctx) == nil {
		t.Error("passes after its end")
	}
	for _, wrong := range []string{"", "host", ":5432", "host:", "host:0", "host:65536", "host:http", "::1:80", "http://host:80"} {
		if c, err := TCP(wrong); err == nil {
			t.Errorf("%q is %q", wrong, c.Name)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// refused is an address that nothing listens on, and that nobody else can be given: it is bound.
func refused(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
}
