package etcdstore

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the kernel is told of a connection's silence: probes when it is idle, and an end of waiting for acknowledgements.
func TestTheKernelWatchesOverConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for silence, want := range map[time.Duration][]int{
		time.Second:             {1, 1, 2, 1000},
		7500 * time.Millisecond: {8, 4, 2, 7500},
		30 * time.Second:        {30, 15, 2, 30000},
		1250 * time.Millisecond: {2, 1, 2, 1250},
	} {
		conn, err := (&conns{}).dialer(time.Minute, silence)(t.Context(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := conn.(*trackedConn).Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) {
			for i, option := range []int{unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT, unix.TCP_USER_TIMEOUT} {
				if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != want[i] {
					t.Errorf("silence of %v: option %d is %d, want %d; %v", silence, option, got, want[i], err)
				}
			}
		})
		if err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
}
