package httpapi

import (
	"crypto/tls"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheKernelKeepsLittleForAPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, secure := range []bool{false, true} {
		connect(t, l.Addr().String())
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		admitted := conn
		if secure {
			admitted = tls.Server(conn, &tls.Config{})
		}
		newConns(1).admit(t.Context(), admitted)
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for name, option := range map[string]int{"to be sent": unix.SO_SNDBUF, "to be read": unix.SO_RCVBUF} {
			var kept int
			var wrong error
			if err := raw.Control(func(fd uintptr) { kept, wrong = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, option) }); err != nil || wrong != nil {
				t.Fatal(err, wrong)
			}
			if kept > 2*maxBuffer {
				t.Errorf("TLS %v: %d bytes are kept that are %s", secure, kept, name)
			}
		}
	}
}
