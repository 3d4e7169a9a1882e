package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait.
const patience = 30 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startEtcd runs one member in this process and returns its address.
func startEtcd(t *testing.T) string {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir = t.TempDir()
	cfg.LogLevel, cfg.LogOutputs = "error", []string{filepath.Join(cfg.Dir, "log")}
	cfg.UnsafeNoFsync = true
	client, peer := freeURL(t), freeURL(t)
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.Name + "=" + peer.String()
	serving := make(chan *grpc.Server, 1)
	cfg.ServiceRegister = func(s *grpc.Server) { serving <- s }
	e, err := embed.StartEtcd(cfg)
	must(t, err)
	select {
	case s := <-serving:
		t.Cleanup(func() { s.Stop(); e.Close() }) // without the first it waits for its clients
	case <-time.After(patience):
		e.Close()
		t.Fatal("etcd does not serve")
	}
	return client.String()
}

func freeURL(t *testing.T) url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}
}

// instance is one daemon in this process.
type instance struct {
	t    *testing.T
	id   string
	addr string
	stop context.CancelFunc
	done chan int // exit status
}

func start(t *testing.T, endpoint, id string, args ...string) *instance {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	i := &instance{t: t, id: id, stop: stop, done: make(chan int, 1)}
	log, stderr := io.Pipe()
	args = append([]string{
		"--election", "test", "--id", id, "--ttl", "2s", "--http", "127.0.0.1:0", "--etcd-endpoints", endpoint,
		"--log-format", "json", "--shutdown-release", "now",
	}, args...)
	go func() {
		i.done <- run(ctx, args, stderr)
		stderr.Close()
	}()
	addr, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var entry struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "listening" {
				addr <- entry.Address
			}
		}
	}()
	t.Cleanup(func() { stop(); <-read })
	select {
	case i.addr = <-addr:
	case <-time.After(patience):
		t.Fatalf("%s does not listen", id)
	}
	return i
}

// ask gets a route; the body is empty when no answer came.
func (i *instance) ask(path string) (int, string) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + i.addr + path)
	if err != nil {
		return 0, ""
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(body)
}

// awaitLeader asks one instance until it leads.
func (i *instance) awaitLeader() (s status) {
	i.t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		code, body := i.ask("/leader")
		if s = (status{}); json.Unmarshal([]byte(body), &s) == nil && code == http.StatusOK {
			return s
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-i.t.Context().Done():
		}
	}
	i.t.Fatalf("%s never leads", i.id)
	return s
}

func TestThePlainDaemonLeadsAndHandsOver(t *testing.T) {
	endpoint := startEtcd(t)
	a := start(t, endpoint, "a")
	first := a.awaitLeader()
	want := status{
		Election: "default/test", Identity: "a", Incarnation: first.Incarnation, State: "leader", Leading: true,
		Token: first.Token, ExpiresBoottimeMs: first.ExpiresBoottimeMs,
	}
	if first != want || first.Token == 0 || first.Incarnation == "" || first.ExpiresBoottimeMs == 0 {
		t.Errorf("answer %+v", first)
	}
	_, metrics := a.ask("/metrics")
	for _, line := range []string{`elector_leading{election="default/test"} 1`, `elector_fencing_token{election="default/test"} `, "process_open_fds{"} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("metrics lack %q:\n%s", line, metrics)
		}
	}
	b := start(t, endpoint, "b")
	if code, body := b.ask("/leader"); code != http.StatusServiceUnavailable || strings.Contains(body, `"leading":true`) {
		t.Errorf("beside a leader b answers %d %s", code, body)
	}
	a.stop()
	if status := <-a.done; status != 0 {
		t.Errorf("exits with %d", status)
	}
	if second := b.awaitLeader(); second.Token <= first.Token || second.Incarnation == first.Incarnation {
		t.Errorf("%+v follows %+v", second, first)
	}
	if n := candidates(t, endpoint); n != 1 {
		t.Errorf("%d keys for one candidate", n)
	}
}

func TestThePlainDaemonCampaignsAgainAfterItsLeaseIsRevoked(t *testing.T) {
	endpoint := startEtcd(t)
	a := start(t, endpoint, "a")
	first := a.awaitLeader()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: patience, Logger: zap.NewNop()})
	must(t, err)
	defer client.Close()
	r, err := client.Get(t.Context(), "/elector/default/test/", clientv3.WithPrefix())
	must(t, err)
	_, err = client.Revoke(t.Context(), clientv3.LeaseID(r.Kvs[0].Lease))
	must(t, err)
	for limit := time.Now().Add(patience); ; {
		if again := a.awaitLeader(); again.Token > first.Token {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("it never leads with a new session")
		}
	}
}

// candidates counts the keys of the election.
func candidates(t *testing.T, endpoint string) int64 {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: patience, Logger: zap.NewNop()})
	must(t, err)
	defer client.Close()
	r, err := client.Get(t.Context(), "/elector/default/test/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(t, err)
	return r.Count
}

func TestMistakesOnTheCommandLineAreToldAndExitWithTwo(t *testing.T) {
	for want, args := range map[string][]string{
		"set --election": {"--id", "a"},
		"not defined":    {"--election", "e", "--elections", "x"},
		"invalid value":  {"--election", "e", "--ttl", "x"},
	} {
		var said strings.Builder
		if status := run(t.Context(), args, &said); status != 2 || !strings.Contains(said.String(), want) {
			t.Errorf("%v: exit %d, %q", args, status, said.String())
		}
	}
	if _, err := (settings{passwordFile: filepath.Join(t.TempDir(), "missing")}).password(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing password file: %v", err)
	}
}
