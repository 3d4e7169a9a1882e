package etcdstore

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// conns are the connections of one client, by local address.
type conns struct {
	mu    sync.Mutex // guards the fields below, for a map access
	open  map[string]net.Conn
	named int // so many connections had no local address of their own
}

// dialer opens connections that notice a peer which has gone without a word: probes when idle, and
// TCP_USER_TIMEOUT for data that nobody acknowledges, so that an endpoint cut off by the network is
// left in a fraction of a TTL and not after the kernel's quarter of an hour.
func (c *conns) dialer(timeout, silence time.Duration) func(context.Context, string) (net.Conn, error) {
	d := net.Dialer{
		Timeout: timeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: silence, Interval: max(silence/2, time.Second), Count: 2,
		},
		ControlContext: userTimeout(silence),
	}
	return func(ctx context.Context, addr string) (net.Conn, error) {
		network := "tcp"
		if path, ok := strings.CutPrefix(addr, "unix:"); ok {
			network, addr = "unix", strings.TrimPrefix(path, "//")
		}
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return c.add(conn), nil
	}
}

func (c *conns) add(conn net.Conn) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[string]net.Conn)
	}
	t := &trackedConn{Conn: conn, conns: c, local: conn.LocalAddr()}
	if t.local.Network() == "unix" { // all from nowhere
		c.named++
		t.local = &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("@%d", c.named)}
	}
	c.open[t.local.String()] = t
	return t
}

// close closes the connection with a local address, if it is open.
func (c *conns) close(local string) {
	c.mu.Lock()
	conn := c.open[local]
	c.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
}

// trackedConn forgets itself when it is closed.
type trackedConn struct {
	net.Conn
	conns *conns
	local net.Addr // no other of conns has it
}

// LocalAddr implements net.Conn.
func (t *trackedConn) LocalAddr() net.Addr { return t.local }

// Close implements net.Conn.
func (t *trackedConn) Close() error {
	t.conns.mu.Lock()
	if local := t.local.String(); t.conns.open[local] == t {
		delete(t.conns.open, local)
	}
	t.conns.mu.Unlock()
	return t.Conn.Close()
}
