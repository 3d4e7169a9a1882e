package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/netlab"
	"github.com/elector-dev/elector/internal/testenv"
)

// A worker on another host holds, and that host loses its power: no FIN, no RST and no byte comes any more, and to the
// elector's kernel the connection is as good as ever. Only --hold-timeout tells. The elector's own lease is
// well all the while, so that nothing else would make another lead.
func TestWorkerWhoseHostVanishedIsNoticed(t *testing.T) {
	testenv.NetNS(t)
	const (
		holdTimeout = 2 * time.Second
		answerMax   = 5 * time.Second // what reached the worker at the last is still certain when its hold is cut
	)
	lab, err := netlab.New(1)
	must(t, err)
	t.Cleanup(func() { must(t, lab.Close()) })
	e := startEtcd(t, devetcd.Options{})
	args := []string{"--require-hold", "--hold-timeout", holdTimeout.String(), "--ttl", "15s", "--answer-max", answerMax.String()}
	first, far := e.holdFromAfar(t, lab, args...)
	second := e.start(t, "w2", args...)
	second.work()
	second.await("following", "/status", follows)

	for before := far.promised(); far.promised() < before+2*holdTimeout; pause(t) { // the signs of life arrive
		if far.Ended() || !first.glance().Leading {
			t.Fatalf("no hold that lasts: %s\n%s", far.said(), first.logged())
		}
	}
	yes := first.glance()
	vanished := boottime.Now()
	must(t, lab.Unplug(0))
	no := first.deafUntilNo(lab.Addr(0))
	if no.code != http.StatusOK || no.Cause != "unhealthy" {
		t.Errorf("the first elector says no: %+v", no)
	}
	if a := second.get("/status"); a.code != http.StatusOK || a.Leading {
		t.Errorf("with the no of the first, and before its promises have run out, the second says %+v", a)
	}
	expiry := e.expiry(t, no.Lease.ID)
	next := second.await("leading", "/status", leads)
	promised := far.promised()
	t.Logf("with --hold-timeout %v and --answer-max %v: no %v after the host had vanished, the next yes after %v; what had reached the worker was certain for %v after the no",
		holdTimeout, answerMax, no.received-vanished, next.received-vanished, promised-no.received)

	if next.Token <= yes.Token {
		t.Errorf("token %d follows %d", next.Token, yes.Token)
	}
	if next.received < promised {
		t.Errorf("the next yes comes at %v, the worker has been promised until %v", next.received, promised)
	}
	// At the no etcd said that the lease would live until then even if it was never renewed again.
	if next.received > expiry-time.Second {
		t.Errorf("the next yes comes at %v, when the lease of the first may have ended: at %v", next.received, expiry)
	}
	first.await("not being eligible", "/status", func(a answer) bool { return a.State == "ineligible" && a.Cause == "unhealthy" && a.Connected })
	if far.Ended() || far.has("told") {
		t.Errorf("the vanished host has been heard or has heard: %s", far.said())
	}
}

// holdFromAfar is an elector that others than its own host can reach, and leads for a worker on the lab's only host.
func (e *etcd) holdFromAfar(t *testing.T, lab *netlab.Lab, args ...string) (*process, *worker) {
	t.Helper()
	const secret = "of-the-worker"
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	p := e.start(t, "w1", append([]string{
		"--http", net.JoinHostPort(lab.Addr(-1), "0"), "--http-token-file", file, "--http-allowed-hosts", lab.Addr(-1),
	}, args...)...)
	w := p.workUnder(lab.Exec(0), withToken+"="+secret)
	w.await("acts")
	return p, w
}

// glance asks for the state and takes a promise of next to nothing, so that the key stays for the hold's alone.
func (p *process) glance() answer { return p.get("/status?max=1ms") }

// deafUntilNo asks until the elector says no, and until then sees that its kernel takes its connection to a host for
// open: nothing has told it otherwise.
func (p *process) deafUntilNo(host string) answer {
	p.t.Helper()
	for limit := time.Now().Add(patience); ; pause(p.t) {
		open := established(p.t, p.addr, host)
		a := p.glance()
		switch {
		case !a.Leading:
			return a
		case !open:
			p.t.Fatal("the connection is closed, not half open")
		case time.Now().After(limit):
			p.t.Fatalf("%s never says no: %+v\n%s", p.id, a, p.logged())
		}
	}
}

// established reports whether this host has a connection, of IPv4, between a local address and any port of a host.
func established(t *testing.T, local, host string) bool {
	t.Helper()
	at, err := net.ResolveTCPAddr("tcp4", local)
	must(t, err)
	hex := func(ip net.IP) string { return fmt.Sprintf("%08X:", binary.NativeEndian.Uint32(ip.To4())) }
	table, err := os.ReadFile("/proc/net/tcp")
	must(t, err)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if f[1] == fmt.Sprintf("%s%04X", hex(at.IP), at.Port) && strings.HasPrefix(f[2], hex(net.ParseIP(host))) && f[3] == "01" {
			return true
		}
	}
	return false
}

// expiry is when, on the boot clock and at the soonest, a lease ends by itself, as etcd says.
func (e *etcd) expiry(t *testing.T, lease string) time.Duration {
	t.Helper()
	id, err := strconv.ParseInt(lease, 16, 64)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	asked := boottime.Now()
	r, err := e.client.TimeToLive(ctx, clientv3.LeaseID(id))
	must(t, err)
	if r.TTL <= 0 {
		t.Fatalf("etcd has no lease %s: it has expired, or was given up before the promises had run out", lease)
	}
	return asked + time.Duration(r.TTL)*time.Second // rounded down
}
