package chaos

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/chaos/link"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/netlab"
)

// wires is how electors reach members and members each other, and how they are cut off. Faults overlap, so
// a cut is counted: it ends when everybody who made it has healed it. Methods may be called concurrently.
type wires struct {
	lab     *netlab.Lab    // nil: everything is on loopback
	members int            // hosts of the lab before the electors'
	links   [][]*link.Link // by elector, then member; a nil row reaches members directly

	mu   sync.Mutex // guards cuts; held while a route is changed
	cuts map[[2]int]int
}

// newWires makes the links of the electors that want them. Close it, also after an error.
func newWires(lab *netlab.Lab, etcd *devetcd.Cluster, byLink []bool) (*wires, error) {
	w := &wires{lab: lab, members: etcd.Size(), links: make([][]*link.Link, len(byLink)), cuts: map[[2]int]int{}}
	host := "127.0.0.1"
	if lab != nil {
		host = lab.Addr(-1)
	}
	for e, wanted := range byLink {
		for m := 0; wanted && m < etcd.Size(); m++ {
			l, err := link.Listen(host, hostPort(etcd.Member(m).Endpoint()))
			if err != nil {
				return w, err
			}
			w.links[e] = append(w.links[e], l)
		}
	}
	return w, nil
}

func (w *wires) close() error {
	var errs []error
	for _, row := range w.links {
		for _, l := range row {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// endpoints are where an elector finds the members.
func (w *wires) endpoints(elector int, etcd *devetcd.Cluster) []string {
	if w.links[elector] == nil {
		return etcd.Endpoints()
	}
	scheme, _, _ := strings.Cut(etcd.Endpoints()[0], "://")
	var at []string
	for _, l := range w.links[elector] {
		at = append(at, scheme+"://"+l.Addr())
	}
	return at
}

// canIsolate reports whether members can be cut off from each other.
func (w *wires) canIsolate() bool { return w.lab != nil }

// byLink reports whether an elector's bytes pass through links.
func (w *wires) byLink(elector int) bool { return w.links[elector] != nil }

// part stops what an elector sends to some members (up), or what they send to it (down), or both. The
// returned function undoes it and reports whether anything was lost.
func (w *wires) part(elector int, members []int, up, down bool) (undo func() (lost bool, err error), err error) {
	if w.byLink(elector) {
		return w.sever(elector, members, up, down), nil
	}
	var pairs [][2]int
	for _, m := range members {
		if up {
			pairs = append(pairs, [2]int{w.members + elector, m})
		}
		if down {
			pairs = append(pairs, [2]int{m, w.members + elector})
		}
	}
	err = w.cut(pairs)
	return func() (bool, error) { return true, w.heal(pairs) }, err
}

func (w *wires) sever(elector int, members []int, up, down bool) func() (bool, error) {
	before := w.stats(elector, members)
	for _, m := range members {
		w.links[elector][m].Sever(up, down)
	}
	return func() (bool, error) {
		after := w.stats(elector, members)
		for _, m := range members {
			w.links[elector][m].Heal()
		}
		return after.Lost > before.Lost || after.Held > before.Held, nil
	}
}

// hold keeps back what passes between an elector and some members, in both directions; undoing it lets all
// of it through at once. The elector must be one of those with links.
func (w *wires) hold(elector int, members []int) (undo func() (held bool)) {
	before := w.stats(elector, members)
	for _, m := range members {
		w.links[elector][m].Hold(true, true)
	}
	return func() bool {
		after := w.stats(elector, members)
		for _, m := range members {
			w.links[elector][m].Release()
		}
		return after.Held > before.Held
	}
}

// delay makes everything between an elector and the members late. Undoing it keeps the order of bytes.
func (w *wires) delay(elector int, up, down time.Duration) (undo func() (delayed bool, err error)) {
	every := indexes(w.members)
	before := w.stats(elector, every)
	for _, l := range w.links[elector] {
		l.Delay(up, down)
	}
	return func() (bool, error) {
		after := w.stats(elector, every)
		for _, l := range w.links[elector] {
			l.Delay(0, 0)
		}
		return after.Delayed > before.Delayed, nil
	}
}

func (w *wires) stats(elector int, members []int) link.Stats {
	var sum link.Stats
	for _, m := range members {
		s := w.links[elector][m].Stats()
		sum.Conns += s.Conns
		sum.Passed += s.Passed
		sum.Held += s.Held
		sum.Lost += s.Lost
		sum.Delayed += s.Delayed
	}
	return sum
}

// isolate cuts a member off from its peers, not from electors.
func (w *wires) isolate(member int) (undo func() error, err error) {
	if !w.canIsolate() {
		return nil, errors.New("members can be cut off from each other only in namespaces")
	}
	var pairs [][2]int
	for m := range w.members {
		if m != member {
			pairs = append(pairs, [2]int{member, m}, [2]int{m, member})
		}
	}
	err = w.cut(pairs)
	return func() error { return w.heal(pairs) }, err
}

func (w *wires) cut(pairs [][2]int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, p := range pairs {
		if w.cuts[p]++; w.cuts[p] == 1 {
			errs = append(errs, w.lab.Cut(p[0], p[1]))
		}
	}
	return errors.Join(errs...)
}

func (w *wires) heal(pairs [][2]int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, p := range pairs {
		if w.cuts[p]--; w.cuts[p] == 0 {
			errs = append(errs, w.lab.Heal(p[0], p[1]))
		}
	}
	return errors.Join(errs...)
}

// connected reports whether a process has an established connection to a member's client port. It sees
// what the process itself sees, in its namespace; where the system does not tell, it says yes.
func connected(pid int, endpoint string) bool {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return true
	}
	remote, ok := hexAddress(hostPort(endpoint))
	if !ok {
		return true
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 3 && f[2] == remote && f[3] == "01" {
			return true
		}
	}
	return false
}

// hostPort is the address in a URL.
func hostPort(url string) string {
	_, at, _ := strings.Cut(url, "://")
	return at
}

// hexAddress is an IPv4 address and port as /proc/net/tcp shows it: the address backwards.
func hexAddress(hostPort string) (string, bool) {
	var a, b, c, d, port int
	if n, err := fmt.Sscanf(hostPort, "%d.%d.%d.%d:%d", &a, &b, &c, &d, &port); n != 5 || err != nil {
		return "", false
	}
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", d, c, b, a, port), true
}
