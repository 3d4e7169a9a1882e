// Package netlab makes hosts out of network namespaces for tests: each with an address of its own, all on
// one switch, and the means to cut any two of them off from each other, or one from all. It wants root and
// iproute2.
//
// The switch is in a namespace too, so that the packet filter of the real host, which container engines
// like to set, does not see the traffic.
package netlab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
)

// labs numbers the labs of this process.
var labs atomic.Int64

// Lab is a set of hosts. Host numbers count from 0; the test's own process is on the switch as well, and
// is number -1. Methods are not for concurrent use.
type Lab struct {
	name  string
	net   string // first three octets
	hosts int
}

// New makes a lab with a number of hosts, after it has removed what labs of processes that died have left.
// Close it.
func New(hosts int) (*Lab, error) {
	if err := sweep(); err != nil {
		return nil, err
	}
	for range 5 {
		l := draw(hosts)
		if err := l.build(); err != nil {
			_ = l.Close() // which complains of what had not been made
			return nil, err
		}
		n, err := holders(l.Addr(-1))
		if err == nil && n == 1 {
			return l, nil
		}
		if err := errors.Join(err, l.Close()); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("make a network: every address is in use by another one")
}

// draw names a lab and draws its network from the process id and the lab's number.
func draw(hosts int) *Lab {
	n := labs.Add(1)
	return &Lab{
		name: fmt.Sprintf("el%d-%d", os.Getpid(), n), net: fmt.Sprintf("10.213.%d", (int64(os.Getpid())+n*37)%250), hosts: hosts,
	}
}

// build makes the hosts and the switch, and connects them and this process.
func (l *Lab) build() error {
	err := l.all(
		"netns add "+l.name+"-sw",
		"-n "+l.name+"-sw link add br0 type bridge",
		"-n "+l.name+"-sw link set br0 up",
	)
	for i := 0; i < l.hosts && err == nil; i++ {
		ns := l.Namespace(i)
		err = l.all(
			"netns add "+ns,
			fmt.Sprintf("-n %s link add eth0 type veth peer name p%d netns %s-sw", ns, i, l.name),
			"-n "+ns+" addr add "+l.Addr(i)+"/24 dev eth0",
			"-n "+ns+" link set lo up",
			"-n "+ns+" link set eth0 up",
			fmt.Sprintf("-n %s-sw link set p%d master br0 up", l.name, i),
		)
	}
	if err != nil {
		return err
	}
	return l.all(
		fmt.Sprintf("link add %s type veth peer name root netns %s-sw", l.uplink(), l.name),
		"addr add "+l.Addr(-1)+"/24 dev "+l.uplink(),
		"link set "+l.uplink()+" up",
		"-n "+l.name+"-sw link set root master br0 up",
	)
}

// holders counts the interfaces of this host with an address: another lab may have drawn the same network.
func holders(ip string) (n int, err error) {
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if in, ok := a.(*net.IPNet); ok && in.IP.String() == ip {
			n++
		}
	}
	return n, err
}

// uplink is the test's own interface; its name is short, as the kernel wants it.
func (l *Lab) uplink() string { return strings.ReplaceAll(l.name, "-", "u") }

// Namespace is the name of a host's network namespace.
func (l *Lab) Namespace(i int) string { return fmt.Sprintf("%s-h%d", l.name, i) }

// Addr is a host's address.
func (l *Lab) Addr(i int) string { return fmt.Sprintf("%s.%d", l.net, i+10) }

// Exec is what to put before a command so that it runs on a host.
func (l *Lab) Exec(i int) []string { return []string{"ip", "netns", "exec", l.Namespace(i)} }

// Cut drops everything that host i sends to host j, which must not be -1; connections stay open and
// silent. One direction is enough to stop any TCP traffic but a one-way flow that needs no more
// acknowledgements: cut both to be sure.
func (l *Lab) Cut(i, j int) error { return l.route("add", i, j) }

// Heal undoes Cut.
func (l *Lab) Heal(i, j int) error { return l.route("del", i, j) }

// Unplug pulls host i's cable out of the switch: nothing passes either way any more, and no peer is told, as
// when a host loses its power. Its connections stay open on both ends. It is for good.
func (l *Lab) Unplug(i int) error { return ip(fmt.Sprintf("-n %s-sw link set p%d down", l.name, i)) }

func (l *Lab) route(verb string, from, to int) error {
	return ip(fmt.Sprintf("-n %s route %s blackhole %s/32", l.Namespace(from), verb, l.Addr(to)))
}

// Close removes everything. Processes on the hosts must have ended.
func (l *Lab) Close() error {
	var errs []error
	for i := range l.hosts {
		errs = append(errs, ip("netns del "+l.Namespace(i)))
	}
	errs = append(errs, ip("netns del "+l.name+"-sw")) // takes the uplink's other end, and so the uplink
	return errors.Join(errs...)
}

func (l *Lab) all(commands ...string) error {
	for _, c := range commands {
		if err := ip(c); err != nil {
			return err
		}
	}
	return nil
}

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, strings.TrimSpace(string(out)))
	}
	return nil
}
