package etcdstore_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// relay passes what comes to a listener on to a member.
type relay struct {
	listener net.Listener
	workers  sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	conns  map[net.Conn]bool
	taken  int // connections so far
	closed bool
}

func relayTo(t *testing.T, l net.Listener, target string) *relay {
	r := &relay{listener: l, conns: map[net.Conn]bool{}}
	r.workers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.workers.Go(func() { r.pass(c, target) })
		}
	})
	t.Cleanup(r.close)
	return r
}

func (r *relay) pass(c net.Conn, target string) {
	defer c.Close()
	if !r.take(c) {
		return
	}
	if target == "" { // it takes connections and says nothing
		_, _ = io.Copy(io.Discard, c)
		return
	}
	m, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer m.Close()
	r.workers.Go(func() { _, _ = io.Copy(m, c); _ = m.Close() })
	_, _ = io.Copy(c, m)
}

func (r *relay) take(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c] = true
	r.taken++
	return !r.closed
}

func (r *relay) takenSoFar() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}

// close ends the listener and every connection.
func (r *relay) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	r.closed = true
	for c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.workers.Wait()
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	must(t, err)
	return l
}

func hostPort(endpoint string) string {
	_, address, _ := strings.Cut(endpoint, "://")
	return address
}

func TestMembersAreReachedByUnixSockets(t *testing.T) {
	plain := startEtcd(t, devetcd.Options{})
	socket := filepath.Join(t.TempDir(), "etcd.sock")
	relayTo(t, listen(t, "unix", socket), hostPort(plain.Endpoints()[0]))
	b := newBed(t, plain.Endpoints())
	b.join("a", 3*time.Second, []string{"unix://" + socket}).awaitPhase(election.Leader)

	// With TLS the member's name is that of the socket's file.
	secure := startEtcd(t, devetcd.Options{TLS: true})
	files, dir := secure.TLS(), t.TempDir()
	root, err := secure.ClientConfig()
	must(t, err)
	s := newBedWith(t, root)
	s.change = func(c *etcdstore.Config) { c.CACert, c.Cert, c.Key = files.CACert, files.ClientCert, files.ClientKey }
	for _, name := range []string{"localhost", "elsewhere"} {
		relayTo(t, listen(t, "unix", filepath.Join(dir, name)), hostPort(secure.Endpoints()[0]))
	}
	s.join("a", 3*time.Second, []string{"unixs://" + filepath.Join(dir, "localhost")}).awaitPhase(election.Leader)
	wrong := s.join("b", 3*time.Second, []string{"unixs://" + filepath.Join(dir, "elsewhere")})
	refused := wrong.await("a refusal", func(s election.State) bool { return s.Refusal != "" })
	if !strings.Contains(refused.Refusal, "not elsewhere") {
		t.Errorf("refused with %q", refused.Refusal)
	}
}

func TestSilentUnixSocketIsLeftForAnother(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	dir := t.TempDir()
	var endpoints []string
	var good []*relay
	for _, name := range []string{"a", "b"} {
		good = append(good, relayTo(t, listen(t, "unix", filepath.Join(dir, name)), hostPort(etcd.Endpoints()[0])))
		endpoints = append(endpoints, "unix://"+filepath.Join(dir, name))
	}
	b := newBed(t, etcd.Endpoints())
	a := b.join("a", 4*time.Second, endpoints)
	term := a.awaitPhase(election.Leader)
	for i := range good { // one after the other goes, and comes back as another listener
		good[i].close()
		renewedAfter(t, a)
		must(t, removeIfThere(filepath.Join(dir, []string{"a", "b"}[i])))
		good[i] = relayTo(t, listen(t, "unix", filepath.Join(dir, []string{"a", "b"}[i])), hostPort(etcd.Endpoints()[0]))
		renewedAfter(t, a)
	}
	silent := filepath.Join(dir, "silent")
	relayTo(t, listen(t, "unix", silent), "")
	c := b.join("c", 4*time.Second, []string{"unix://" + silent, endpoints[0]})
	c.awaitPhase(election.Follower)
	if now := a.Look(); now.Token != term.Token {
		t.Errorf("the term with token %d has ended: %+v", term.Token, now)
	}
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !os.IsNotExist(err) {
		return err
	}
	return nil
}

// Each endpoint has a certificate of its own, for its own name alone.
func TestEachEndpointIsKnownByItsOwnName(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	dir := t.TempDir()
	files, err := devetcd.NewTLSFiles(dir, "elector")
	must(t, err)
	b := newBed(t, etcd.Endpoints())
	b.change = func(c *etcdstore.Config) { c.CACert = files.CACert }
	var endpoints []string
	var members []*relay
	for _, ip := range []string{"127.0.0.2", "127.0.0.3"} {
		cert, key, err := files.Issue(dir, ip, "etcd", time.Now().Add(-time.Hour), time.Now().Add(time.Hour), ip)
		must(t, err)
		pair, err := tls.LoadX509KeyPair(cert, key)
		must(t, err)
		l := tls.NewListener(listen(t, "tcp", ip+":0"), &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
		members = append(members, relayTo(t, l, hostPort(etcd.Endpoints()[0])))
		endpoints = append(endpoints, "https://"+l.Addr().String())
	}
	for _, endpoint := range endpoints {
		b.join("by "+endpoint, 3*time.Second, []string{endpoint}).await("standing", func(s election.State) bool { return s.Registered })
	}
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		b.join("both", 3*time.Second, []string{endpoints[order[0]], endpoints[order[1]]}).await("standing", func(s election.State) bool { return s.Registered })
	}
	c := newBed(t, etcd.Endpoints())
	c.change = b.change
	a := c.join("a", 5*time.Second, endpoints)
	term := a.awaitPhase(election.Leader)
	members[0].close()
	renewedAfter(t, a)
	if now := a.Look(); now.Token != term.Token {
		t.Errorf("the term with token %d has ended: %+v", term.Token, now)
	}
}

// nameserver answers for one name, over UDP, with the addresses of now.
type nameserver struct{ now atomic.Pointer[[]netip.Addr] }

func (n *nameserver) set(ips ...string) {
	var all []netip.Addr
	for _, ip := range ips {
		all = append(all, netip.MustParseAddr(ip))
	}
	n.now.Store(&all)
}

// startNameserver has this process resolve names by a server of its own until the test ends.
func startNameserver(t *testing.T) *nameserver {
	n := &nameserver{}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(n.answer(buf[:size]), from)
		}
	}()
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = was; _ = conn.Close(); <-done })
	return n
}

// answer makes the reply to a question (RFC 1035, section 4), whatever the name: addresses to one for those of version 4,
// and none to any other.
func (n *nameserver) answer(question []byte) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the name's end, its type and its class
	reply := append([]byte{question[0], question[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, question[12:end]...)
	if binary.BigEndian.Uint16(question[end-4:]) != 1 {
		return reply
	}
	for _, ip := range *n.now.Load() {
		reply[7]++
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, ip.AsSlice()...)
	}
	return reply
}

func TestNameIsLookedUpForEachConnection(t *testing.T) {
	etcd := startEtcd(t, devetcd.Options{})
	target := hostPort(etcd.Endpoints()[0])
	names := startNameserver(t)
	first := listen(t, "tcp", "127.0.0.2:0")
	_, port, err := net.SplitHostPort(first.Addr().String())
	must(t, err)
	old, next := relayTo(t, first, target), relayTo(t, listen(t, "tcp", "127.0.0.3:"+port), target)
	names.set("127.0.0.2")
	b := newBed(t, etcd.Endpoints())
	a := b.join("a", 5*time.Second, []string{"http://etcd.example.org:" + port})
	term := a.awaitPhase(election.Leader)
	if n := next.takenSoFar(); n != 0 {
		t.Errorf("%d connections to where the name did not lead", n)
	}

	names.set("127.0.0.3") // the name moves, and then the old address goes
	renewedAfter(t, a)
	old.close()
	renewedAfter(t, a)
	if now := a.Look(); now.Token != term.Token || next.takenSoFar() == 0 {
		t.Errorf("after the name has moved: %+v", now)
	}

	// A name with several addresses, of which some are dead, is good as long as one is not.
	names.set("127.0.0.2", "127.0.0.4", "127.0.0.3")
	c := b.join("c", 5*time.Second, []string{"http://etcd.example.org:" + port})
	c.awaitPhase(election.Follower)
}

// Whoever names more endpoints than there are members, or a member that has gone, is served by the rest.
func TestMembersAreRemovedAndAddedUnderALeader(t *testing.T) {
	c := startCluster(t, 3, devetcd.Options{})
	root, err := c.ClientConfig()
	must(t, err)
	gates := []*relay{}
	var endpoints []string
	gate := func(target string) {
		l := listen(t, "tcp", "127.0.0.1:0")
		gates = append(gates, relayTo(t, l, target))
		endpoints = append(endpoints, "http://"+l.Addr().String())
	}
	for _, e := range c.Endpoints() {
		gate(hostPort(e))
	}
	place := listen(t, "tcp", "127.0.0.1:0") // where the new member is to be found; until then a connection waits there
	endpoints = append(endpoints, "http://"+place.Addr().String())
	b := newBedWith(t, root)
	a := b.join("a", 10*time.Second, endpoints)
	term := a.awaitPhase(election.Leader)

	within(t, func(ctx context.Context) (any, error) { return nil, c.Remove(ctx, 0) })
	renewedAfter(t, a)
	added := within(t, c.Add)
	gates = append(gates, relayTo(t, place, hostPort(c.Member(added).Endpoint())))
	for _, old := range gates[:3] { // the new one alone is left
		old.close()
		renewedAfter(t, a)
	}
	if now := a.Look(); now.Token != term.Token || gates[3].takenSoFar() == 0 {
		t.Errorf("after the members have changed: %+v", now)
	}
	other := b.join("b", 10*time.Second, endpoints)
	other.awaitPhase(election.Follower)
	a.leave()
	other.awaitPhase(election.Leader)
}
