package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// sweep removes the hosts of labs whose process is gone: namespaces, unlike processes, do not die with who
// made them.
func sweep() error {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return fmt.Errorf("list network namespaces: %w", err)
	}
	var errs []error
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid := owner(name)
		if pid == "" {
			continue
		}
		if _, err := os.Stat("/proc/" + pid); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := ip("netns del " + name); err != nil {
			// Another process may be sweeping as well, and then it is gone already.
			if _, still := os.Stat("/run/netns/" + name); still == nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// owner is the process that made a namespace, if its name is that of a lab's host or switch.
func owner(namespace string) string {
	m := regexp.MustCompile(`^el(\d+)-\d+-(h\d+|sw)$`).FindStringSubmatch(namespace)
	if m == nil {
		return ""
	}
	return m[1]
}
