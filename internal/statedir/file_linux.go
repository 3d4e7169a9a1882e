package statedir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// The files of a directory.
const (
	lockName  = "lock"
	stateName = "state.json"
	tempName  = "state.json.new"
)

// makeFolder makes the directory if it is not there.
func makeFolder(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("--state-dir %q cannot be made: %w: make the directory above it, or name another", path, err)
	}
	return nil
}

// openFolder opens a directory that nobody else can write to, on a file system of this host. What is done in it is
// done through the open directory, wherever its path leads later.
func openFolder(path string, h host) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("--state-dir %q cannot be opened as a directory: %w", path, err)
	}
	folder := os.NewFile(uintptr(fd), path)
	if err := private(folder, h); err != nil {
		folder.Close()
		return nil, err
	}
	return folder, nil
}

func private(folder *os.File, h host) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(folder.Fd()), &st); err != nil {
		return fmt.Errorf("--state-dir %q: %w", folder.Name(), err)
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("--state-dir %q can be written to by others (mode %04o): take that right from them with chmod go-w, or name a directory below it, which elector makes", folder.Name(), st.Mode&0o7777)
	}
	if uid := os.Geteuid(); st.Uid != 0 && int(st.Uid) != uid {
		return fmt.Errorf("--state-dir %q belongs to user %d, and this is user %d: run elector as its owner, or name another directory", folder.Name(), st.Uid, uid)
	}
	kind, err := h.fileSystem(int(folder.Fd()))
	if err != nil {
		return fmt.Errorf("--state-dir %q: %w", folder.Name(), err)
	}
	if !local[kind] {
		return fmt.Errorf("--state-dir %q is on %s, where a lock may say nothing of processes on other hosts: name a directory on a local disk or in a tmpfs", folder.Name(), describe(kind))
	}
	return nil
}

// takeLock opens the lock file and takes its lock, which the kernel lets go when this process has ended.
func takeLock(folder *os.File) (*os.File, error) {
	f, err := openFile(folder, lockName, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("--state-dir %q %w: give each elector a directory of its own, or wait until that one has ended", folder.Name(), ErrInUse)
	}
	return nil, fmt.Errorf("--state-dir %q: lock %s: %w", folder.Name(), lockName, err)
}

func identify(f *os.File) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fileID{}, fmt.Errorf("look at %q: %w", f.Name(), err)
	}
	return fileID{Device: st.Dev, Inode: st.Ino}, nil
}

// openFile opens a plain file of the directory that nobody else can write to: the directory may have been open to
// others once, who left it there. It follows no link and waits for no pipe.
func openFile(folder *os.File, name string, flags int) (*os.File, error) {
	full := folder.Name() + "/" + name
	fd, err := unix.Openat(int(folder.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%q is a symbolic link: remove it", full)
	case err != nil:
		return nil, fmt.Errorf("open %q: %w", full, err)
	}
	f := os.NewFile(uintptr(fd), full)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
		err = fmt.Errorf("look at %q: %w", full, err)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = fmt.Errorf("%q is not a plain file: remove it", full)
	case st.Mode&0o022 != 0:
		err = fmt.Errorf("%q can be written to by others (mode %04o): look at what it says, then take that right from them with chmod go-w", full, st.Mode&0o7777)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		err = fmt.Errorf("%q belongs to user %d, and this is user %d: look at what it says, then take it over with chown, or remove it when no process uses it", full, st.Uid, os.Geteuid())
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

func readFile(folder *os.File, name string) ([]byte, error) {
	f, err := openFile(folder, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", f.Name(), err)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%q has more than %d bytes, and is not a state as elector writes it: remove it when no process uses it", f.Name(), maxSize)
	}
	return b, nil
}

// replaceFile puts a file in the place of another, so that a crash at any instant leaves the one or the other. When it
// returns nil, the new one outlasts a crash of the host.
func replaceFile(folder *os.File, name string, content []byte) error {
	dir := int(folder.Fd())
	if err := unix.Unlinkat(dir, tempName, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", tempName, err)
	}
	f, err := openFile(folder, tempName, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", tempName, err)
	}
	if err := unix.Renameat(dir, tempName, dir, name); err != nil {
		return fmt.Errorf("rename %s to %s: %w", tempName, name, err)
	}
	if err := unix.Fsync(dir); err != nil {
		return fmt.Errorf("sync the directory: %w", err)
	}
	return nil
}
