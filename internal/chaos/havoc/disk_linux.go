package havoc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The requests by which a file system stands still and goes on, from the kernel's linux/fs.h.
const (
	fiFreeze = 0xC0045877
	fiThaw   = 0xC0045878
)

// commandTime bounds each of the commands that make and unmake a disk.
const commandTime = 20 * time.Second

// takeDown removes the disk of which $1 is the mount point and $2 the image, in whatever state it is.
const takeDown = `fsfreeze -u "$1" 2>/dev/null
umount "$1" 2>/dev/null || umount -l "$1"
rm -f "$2"
rmdir "$1" 2>/dev/null || [ ! -e "$1" ]`

// guard outlives this process: its standard input ends when this process does, in any way.
const guard = "trap '' HUP INT TERM\ncat >/dev/null\n" + takeDown

// thawLater thaws the disk of which $1 is the mount point after $2 seconds.
const thawLater = `sleep "$2"; fsfreeze -u "$1"`

// Disk is a file system of its own, in an image file, that can stand still. Its methods are safe for
// concurrent use.
type Disk struct {
	image, mount string
	guard        *watchdog
	close        func() error

	mu  sync.Mutex // guards dog, and orders Freeze and Thaw; held during their system calls
	dog *watchdog  // of the last freeze; nil before it and after Thaw
}

// NewDisk makes a disk of that many MiB, with its image below dir and mounted beside it. It needs root, Linux,
// and the commands mkfs.ext4, mount, umount and fsfreeze; the error says which of them there is not. Members of
// etcd want 256 MiB, since they set aside 64 MiB at a time. Close the disk once nothing uses it; when this
// process dies first, a child of its thaws the disk and takes it down, and if that one was killed as well, the
// next NewDisk does.
func NewDisk(dir string, sizeMiB int) (*Disk, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("make a disk: only root may mount one")
	}
	for _, c := range []string{"mkfs.ext4", "mount", "umount", "fsfreeze"} {
		if _, err := exec.LookPath(c); err != nil {
			return nil, fmt.Errorf("make a disk: %w", err)
		}
	}
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove disks of processes that died: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir) // as the kernel will name it
	}
	if err != nil {
		return nil, fmt.Errorf("make a disk: %w", err)
	}
	mount, err := os.MkdirTemp(dir, fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("make a disk: %w", err)
	}
	d := &Disk{mount: mount, image: mount + ".img"}
	d.close = sync.OnceValue(d.takeDown)
	if d.guard, err = watch(guard, d.mount, d.image); err != nil { // before there is anything to take down
		return nil, errors.Join(fmt.Errorf("make a disk: %w", err), os.Remove(mount))
	}
	if err := d.make(sizeMiB); err != nil {
		return nil, errors.Join(fmt.Errorf("make a disk in %s: %w", d.image, err), d.Close())
	}
	return d, nil
}

func (d *Disk) make(sizeMiB int) error {
	f, err := os.OpenFile(d.image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(int64(sizeMiB)<<20), f.Close()); err != nil {
		return err
	}
	if err := command("mkfs.ext4", "-q", "-F", d.image); err != nil {
		return err
	}
	if err := command("mount", "-t", "ext4", "-o", "loop,noatime", d.image, d.mount); err != nil {
		return err
	}
	root, err := d.open()
	if err != nil {
		return err
	}
	return root.Close()
}

// Dir returns the mount point.
func (d *Disk) Dir() string { return d.mount }

// Freeze makes the disk stand still until Thaw, or until that time has passed, whatever has become of this process
// by then: every write and fsync on it waits, and cannot be interrupted by a signal, not even SIGKILL. So who waits
// for the end of a killed process that uses the disk waits for the thaw as well. It is EBUSY if the disk
// stands still already.
func (d *Disk) Freeze(atMost time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dog, err := watch(thawLater, d.mount, fmt.Sprintf("%.3f", atMost.Seconds()))
	if err == nil {
		if err = d.control(fiFreeze); err != nil {
			dog.kill()
		}
	}
	if err != nil {
		return fmt.Errorf("freeze %s: %w", d.mount, err)
	}
	if d.dog != nil { // it has thawed the disk, else this freeze would have been refused, but may not have ended
		d.dog.kill()
	}
	d.dog = dog
	return nil
}

// Thaw lets a frozen disk go on. It does nothing if the disk is not frozen.
func (d *Disk) Thaw() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dog == nil {
		return nil
	}
	if err := d.control(fiThaw); err != nil && !errors.Is(err, unix.EINVAL) { // which is what a thawed one says
		return fmt.Errorf("thaw %s: %w", d.mount, err)
	}
	d.dog.kill()
	d.dog = nil
	return nil
}

// Close thaws the disk, unmounts it and removes it. While something still uses it, it vanishes from its mount
// point at once, and for good when that ends. Later calls return what the first did.
func (d *Disk) Close() error { return d.close() }

// takeDown lets the guard do it, so that its work is done, and seen to be, every time.
func (d *Disk) takeDown() error {
	err := d.Thaw()
	if waited := d.guard.release(); waited != nil {
		err = errors.Join(err, fmt.Errorf("take down the disk at %s: %w", d.mount, waited))
	}
	return err
}

// control freezes or thaws the file system of this disk, and never another: what is mounted at the mount point
// by now is looked at through the same descriptor.
func (d *Disk) control(request uint) error {
	root, err := d.open()
	if err != nil {
		return err
	}
	defer root.Close()
	return unix.IoctlSetInt(int(root.Fd()), request, 0)
}

// open returns the root of the disk's file system after it has made sure that it is one on a loop device whose
// content is the disk's image.
func (d *Disk) open() (*os.File, error) {
	root, err := os.Open(d.mount)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(root.Fd()), &st); err == nil {
		var image string
		image, err = backing(unix.Major(st.Dev), unix.Minor(st.Dev))
		if err == nil && image != d.image {
			err = fmt.Errorf("%s is on %s and not on %s", d.mount, image, d.image)
		}
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// backing returns the image file of a loop device, or an error if the device is not one.
func backing(major, minor uint32) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/loop/backing_file", major, minor))
	if err != nil {
		return "", fmt.Errorf("device %d:%d is not a loop device in use: %w", major, minor, err)
	}
	return strings.TrimSuffix(strings.TrimSpace(string(b)), " (deleted)"), nil
}

func command(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
