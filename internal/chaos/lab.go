package chaos

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/elector-dev/elector/internal/netlab"
)

// newLab makes a lab. Its network is drawn from the process id: another lab of this host may have it, so
// one that is not alone is given back.
func newLab(hosts int) (*netlab.Lab, error) {
	if err := sweepLabs(); err != nil {
		return nil, err
	}
	for range 5 {
		lab, err := netlab.New(hosts)
		if err != nil {
			return lab, err
		}
		n, err := holders(lab.Addr(-1))
		if err != nil || n == 1 {
			return lab, err
		}
		if err := lab.Close(); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("make a network: every address is in use by another one")
}

// holders counts the interfaces of this host with an address.
func holders(ip string) (n int, err error) {
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if in, ok := a.(*net.IPNet); ok && in.IP.String() == ip {
			n++
		}
	}
	return n, err
}

// sweepLabs removes the hosts of labs whose process is gone: namespaces, unlike processes, do not die with
// who made them.
func sweepLabs() error {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return fmt.Errorf("list network namespaces: %w", err)
	}
	var errs []error
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid := labOwner(name); pid != "" {
			if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
				// Another run may be sweeping as well, and then it is gone already.
				if err := exec.Command("ip", "netns", "del", name).Run(); err != nil {
					if _, still := os.Stat("/run/netns/" + name); still == nil {
						errs = append(errs, fmt.Errorf("remove the network namespace %s: %w", name, err))
					}
				}
			}
		}
	}
	return errors.Join(errs...)
}

// labOwner is the process that made a namespace, if its name is that of a lab's host or switch.
func labOwner(namespace string) string {
	m := regexp.MustCompile(`^el(\d+)-\d+-(h\d+|sw)$`).FindStringSubmatch(namespace)
	if m == nil {
		return ""
	}
	return m[1]
}
