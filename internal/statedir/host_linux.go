package statedir

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/election"
)

// host is what a directory's owner asks of the host that it runs on.
type host struct {
	boot       string // names the boot, and the time namespace whose boot clock is read
	pids       string // names the PID namespace
	now        func() election.Instant
	fileSystem func(fd int) (int64, error) // the kind that an open file is on
	exists     func(group int) bool        // whether a process group has a process left
}

func thisHost() (host, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return host{}, fmt.Errorf("which boot this is cannot be read: %w", err)
	}
	return host{
		boot: strings.TrimSpace(string(boot)) + " " + namespace("time"),
		pids: namespace("pid"),
		now:  func() election.Instant { return election.Instant(boottime.Now()) },
		fileSystem: func(fd int) (int64, error) {
			var st unix.Statfs_t
			if err := unix.Fstatfs(fd, &st); err != nil {
				return 0, fmt.Errorf("look at its file system: %w", err)
			}
			return int64(st.Type) & 0xffffffff, nil // signed on some machines
		},
		exists: func(group int) bool { return !errors.Is(unix.Kill(-group, 0), unix.ESRCH) },
	}, nil
}

// namespace names the namespace of a kind that this process is in; empty on a kernel without that kind.
func namespace(kind string) string {
	name, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		return ""
	}
	return name
}

// stopped reports whether the work of a dead process has ended. The number of its group may be another's by now,
// which is the safe mistake.
func (h host) stopped(group int, pids string) (bool, error) {
	switch {
	case group == NoWork:
		return true, nil
	case group == Starting:
		return false, errors.New("its work was just being started, and may run unseen")
	case pids != h.pids || pids == "":
		return false, errors.New("its work ran in another PID namespace, which cannot be looked into")
	}
	return !h.exists(group), nil
}

// local are the kinds of file system that are of one host alone, so that a lock is held by a process of this kernel.
var local = map[int64]bool{
	unix.EXT4_SUPER_MAGIC:      true, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:       true,
	unix.BTRFS_SUPER_MAGIC:     true,
	unix.F2FS_SUPER_MAGIC:      true,
	unix.TMPFS_MAGIC:           true,
	unix.RAMFS_MAGIC:           true,
	unix.OVERLAYFS_SUPER_MAGIC: true, // what is written goes to its upper layer, which the kernel wants local
	0x2fc12fc1:                 true, // ZFS
	0xca451a4e:                 true, // bcachefs
	0x3153464a:                 true, // JFS
	unix.REISERFS_SUPER_MAGIC:  true,
	unix.NILFS_SUPER_MAGIC:     true,
}

// foreign names some of the others.
var foreign = map[int64]string{
	unix.NFS_SUPER_MAGIC:   "NFS",
	unix.SMB_SUPER_MAGIC:   "SMB",
	unix.CIFS_SUPER_MAGIC:  "CIFS",
	unix.SMB2_SUPER_MAGIC:  "SMB",
	unix.V9FS_MAGIC:        "9p",
	unix.FUSE_SUPER_MAGIC:  "FUSE (GlusterFS, sshfs and others)",
	unix.AFS_SUPER_MAGIC:   "AFS",
	unix.AFS_FS_MAGIC:      "AFS",
	unix.CEPH_SUPER_MAGIC:  "Ceph",
	unix.CODA_SUPER_MAGIC:  "Coda",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
	0x01161970:             "GFS2",
	0x0bd00bd3:             "Lustre",
	0x47504653:             "GPFS",
	0x19830326:             "BeeGFS",
	0x786f4256:             "a folder shared with the virtual machine's host",
}

func describe(kind int64) string {
	if name := foreign[kind]; name != "" {
		return name
	}
	return fmt.Sprintf("a file system of an unknown kind (%#x)", kind)
}
