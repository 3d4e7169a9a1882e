package havoc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// prefix begins the name of every disk's mount point and image; the number of the process that made it
// follows, and a "-".
const prefix = "elector-disk-"

// sweep takes down the disks whose process has died and whose guard has not done it.
func sweep() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(mounts)) {
		// The third field is major:minor, the fifth the mount point: see proc_pid_mountinfo(5).
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(fields[2], "%d:%d", &major, &minor); err != nil {
			continue
		}
		image, err := backing(major, minor)
		if err == nil && image == fields[4]+".img" && orphaned(image) {
			errs = append(errs, command("sh", "-c", takeDown, "sh", fields[4], image))
		}
	}
	return errors.Join(errs...)
}

// orphaned reports whether an image is that of a disk whose process is gone.
func orphaned(image string) bool {
	name, ours := strings.CutPrefix(filepath.Base(image), prefix)
	pid, _, _ := strings.Cut(name, "-")
	if _, err := strconv.Atoi(pid); err != nil || !ours {
		return false
	}
	return doomed("/proc/" + pid + "/status")
}

// doomed reports whether a process has ended, or has been killed and only a thread of it waits for a disk. It is
// told by the kernel's status file of the process, as in proc_pid_status(5).
func doomed(status string) bool {
	b, err := os.ReadFile(status)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	for line := range strings.Lines(string(b)) {
		field, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch field {
		case "State":
			if strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X") {
				return true
			}
		case "SigPnd", "ShdPnd":
			pending, err := strconv.ParseUint(value, 16, 64)
			if err == nil && pending&(1<<(unix.SIGKILL-1)) != 0 {
				return true
			}
		}
	}
	return false
}
