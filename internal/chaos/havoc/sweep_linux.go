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
	number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(image), prefix), "-")
	pid, err := strconv.Atoi(number)
	return err == nil && strings.HasPrefix(filepath.Base(image), prefix) && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}
