package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

// The bounds that docs/hostile-input.md states, for an elector whose two listeners are attacked at once.
const (
	hostile  = 5000
	rounds   = 10
	maxGrown = 128 << 20         // bytes resident, more than before the attack
	maxAlone = 44 << 20          // the same, while only the probe listener is attacked
	maxFiles = 1280 + 512 + 3*64 // descriptors: of both listeners, those that are being closed, and of all else
)

// attacks are what a hostile peer says on its connection, and then again and again until it is closed. None reads.
var attacks = []struct{ name, say, more string }{
	{"idle", "", ""},
	{"half a request line", "GET /lea", ""},
	{"slow headers", "GET /leader HTTP/1.1\r\nHost: x\r\nX: ", "x"},
	{"slow body", "PUT /value HTTP/1.1\r\nHost: localhost\r\nElector-Request: 1\r\nElector-Token: 1\r\nContent-Length: 60000\r\n\r\n", "x"},
	{"endless body", "POST /drain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n", "800\r\n" + strings.Repeat(" ", 2048) + "\r\n"},
	{"stream without a reader", "GET /events?renewals=1&max=1s HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	{"wait without a reader", "GET /status?wait=10m HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	{"wait for the lead", "GET /leader?wait=10m HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	{"answers without a reader", strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 20), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"},
	{"the queue, over and over", strings.Repeat("GET /candidates HTTP/1.1\r\nHost: x\r\n\r\n", 20), ""},
	{"two lengths", "POST /resign HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n", ""},
	{"a length and chunks", "GET /leader HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST /resign HTTP/1.1\r\nHost: localhost\r\nElector-Request: 1\r\n\r\n", ""},
	{"headers without end", "GET / HTTP/1.1\r\nHost: x\r\nX: ", strings.Repeat("x", 2048)},
	{"TLS", string([]byte{22, 3, 1, 0, 165, 1, 0, 0, 161, 3, 3}), ""},
}

// mob is hostile connections to some addresses, from a host. A connection that is closed on it is opened anew.
type mob struct {
	conns []net.Conn
	from  *net.Dialer
	at    []string
	again int // connections that were opened anew
}

func (m *mob) open(i int) error {
	conn, err := m.from.Dial("tcp", m.at[i%len(m.at)])
	if err != nil {
		return err
	}
	m.conns[i] = conn
	m.press(i, attacks[i/len(m.at)%len(attacks)].say)
	return nil
}

// press says something for as long as the peer takes it in; false: the connection is closed.
func (m *mob) press(i int, text string) bool {
	_ = m.conns[i].SetWriteDeadline(time.Now().Add(time.Millisecond))
	_, err := io.WriteString(m.conns[i], text)
	return err == nil || os.IsTimeout(err)
}

// push goes on with connection i.
func (m *mob) push(i int) {
	a := attacks[i/len(m.at)%len(attacks)]
	if a.more == "" { // it says nothing, so that it looks whether it is closed
		_ = m.conns[i].SetReadDeadline(time.Now().Add(time.Microsecond))
		if _, err := m.conns[i].Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			return
		}
	} else if m.press(i, a.more) {
		return
	}
	m.conns[i].Close()
	if m.open(i) == nil { // else it is tried again in the next round
		m.again++
	}
}

// besiege keeps n hostile connections to some listeners for as long as during takes. They come from one address, and those
// who ask from another.
func besiege(t *testing.T, at []string, n int, during func()) (again int) {
	t.Helper()
	m := &mob{conns: make([]net.Conn, n), at: at,
		from: &net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}}
	defer func() {
		for _, c := range m.conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	for i := range m.conns {
		must(t, m.open(i))
	}
	var pushing sync.WaitGroup
	stop := make(chan struct{})
	pushing.Go(func() {
		for i := 0; ; i = (i + 1) % n {
			select {
			case <-stop:
				return
			default:
				m.push(i)
			}
		}
	})
	during()
	close(stop)
	pushing.Wait()
	return m.again
}

// probeAddr is where the probe listener listens.
func (p *process) probeAddr() string {
	for line := range strings.Lines(p.logged()) {
		var entry struct{ Msg, Setting, Address string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" && entry.Setting == "probe-http" {
			return entry.Address
		}
	}
	p.t.Fatalf("no probe listener:\n%s", p.logged())
	return ""
}

// resident is the process's memory in bytes.
func (p *process) resident() int {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID()), "status"))
	must(p.t, err)
	for line := range strings.Lines(string(text)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(kib)[0])
			must(p.t, err)
			return n << 10
		}
	}
	p.t.Fatalf("no VmRSS in %s", text)
	return 0
}

// descriptors counts the process's open files.
func (p *process) descriptors() int {
	p.t.Helper()
	all, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(p.PID()), "fd"))
	must(p.t, err)
	return len(all)
}

// asShipped builds the product as it is shipped, whose memory says something: this test binary has etcd's server in it,
// and perhaps the race detector. It returns the words before a command line that have the product take the test's place.
func asShipped(t *testing.T) []string {
	t.Helper()
	product := filepath.Join(t.TempDir(), "elector")
	cmd := exec.CommandContext(t.Context(), testenv.Command(t, "go"), "build", "-trimpath", "-o", product, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the product: %v\n%s", err, out)
	}
	return []string{"/bin/sh", "-c", `product=$1; shift 2; exec "$product" "$@"`, "sh", product}
}

// allowFiles raises what this process may open.
func allowFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Max < n && !testenv.CI() {
		t.Skipf("a process may open %d files here, and this needs %d: ulimit -Hn", limit.Max, n)
	}
	if limit.Cur < n {
		limit.Cur = n
		must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	}
}

func TestFiveThousandHostileConnectionsChangeNoAnswer(t *testing.T) {
	allowFiles(t, hostile+1000)
	e := startEtcd(t, devetcd.Options{})
	product := asShipped(t)
	var fleet []*process
	for i := range 2 {
		fleet = append(fleet, e.startUnder(t, product, fmt.Sprint("w", i+1), "--probe-http", "127.0.0.1:0", "--ttl", "15s"))
	}
	first, yes := leader(t, fleet...)
	others(fleet, first)[0].await("following", "/status", follows)
	follower := others(fleet, first)[0]
	before := map[*process]int{first: first.resident(), follower: follower.resident()}
	for _, siege := range []struct {
		who    string
		victim *process
		at     []string
		grown  int // at most
	}{
		{"the probe listener of the leader", first, []string{first.probeAddr()}, maxAlone},
		{"the leader", first, []string{first.addr, first.probeAddr()}, maxGrown},
		{"the probe listener of the follower", follower, []string{follower.probeAddr()}, maxAlone},
		{"the follower", follower, []string{follower.addr, follower.probeAddr()}, maxGrown},
	} {
		grown, files, slowest := 0, 0, time.Duration(0)
		again := besiege(t, siege.at, hostile, func() {
			for range rounds {
				for _, p := range fleet {
					slowest = max(slowest, p.saysTheSame(p == first, yes.Token))
				}
				grown, files = max(grown, siege.victim.resident()-before[siege.victim]), max(files, siege.victim.descriptors())
			}
		})
		t.Logf("%d hostile connections to %s, %d opened anew: 4 listeners asked %d times each, at most %v for an answer; %d MiB before, %d MiB more at most, %d descriptors",
			hostile, siege.who, again, rounds, slowest.Round(time.Millisecond), before[siege.victim]>>20, grown>>20, files)
		if grown > siege.grown {
			t.Errorf("%s: grown by %d MiB", siege.who, grown>>20)
		}
		if files > maxFiles {
			t.Errorf("%s: %d files are open", siege.who, files)
		}
		if log := siege.victim.logged(); strings.Contains(log, "panic") {
			t.Errorf("%s: %s", siege.who, log)
		}
	}
}

// saysTheSame asks both listeners who leads, and returns how long the slower answer took.
func (p *process) saysTheSame(leading bool, token int64) (slowest time.Duration) {
	p.t.Helper()
	for _, address := range []string{p.addr, p.probeAddr()} {
		began := time.Now()
		code, body := askAnew(address)
		slowest = max(slowest, time.Since(began))
		want := http.StatusServiceUnavailable
		if leading {
			want = http.StatusOK
		}
		var a answer
		if err := json.Unmarshal(body, &a); err != nil || code != want || a.Leading != leading || leading && a.Token != token {
			p.t.Errorf("%s (%s) says %d %.300q", p.id, address, code, body)
		}
	}
	return slowest
}

// askAnew asks for the lead over a connection of its own, and returns a status of 0 when there is no answer.
func askAnew(address string) (int, []byte) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + address + "/leader")
	if err != nil {
		return 0, fmt.Append(nil, err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, fmt.Append(nil, err)
	}
	return r.StatusCode, body
}
