package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// socketMode lets the owner and the group in, and nobody else.
const socketMode = 0o660

// unixListener is a listener on a Unix socket that was made under another name.
type unixListener struct {
	net.Listener
	path   string
	made   os.FileInfo
	remove sync.Once
}

// listenUnix makes a socket that is never open to others, not even between its making and a change of its
// mode: it is made in a directory of its own, and then put where it belongs. A socket that nobody listens on
// any more is replaced.
func listenUnix(ctx context.Context, lc *net.ListenConfig, path string) (net.Listener, error) {
	if err := clear(ctx, path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".elector-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	first := filepath.Join(dir, "s")
	socket, err := lc.Listen(ctx, "unix", first)
	if err != nil {
		return nil, err
	}
	socket.(*net.UnixListener).SetUnlinkOnClose(false)
	l := &unixListener{Listener: socket, path: path}
	if err = os.Chmod(first, socketMode); err == nil {
		if l.made, err = os.Lstat(first); err == nil {
			err = os.Link(first, path) // fails if somebody else was faster
		}
	}
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	return l, nil
}

// clear removes a socket that nobody listens on. Anything else at its place is an error.
func clear(ctx context.Context, path string) error {
	found, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case found.Mode().Type() != fs.ModeSocket:
		return errors.New("something else than a socket is there")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return errors.New("another process listens there")
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("another process may listen there: %w", err) // its queue may be full, or it is not ours to ask
	}
	return os.Remove(path)
}

// Addr implements net.Listener.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close implements net.Listener. It removes the socket, unless another one is there by now.
func (l *unixListener) Close() error {
	l.remove.Do(func() {
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.made) {
			_ = os.Remove(l.path)
		}
	})
	return l.Listener.Close()
}
