package examples

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd/proc"
	"github.com/elector-dev/elector/internal/testenv"
)

// site is a worker's web server, which answers only while its own elector says yes, and says who it is.
func site(t *testing.T, p *post, refused *atomic.Int64) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		token, certain := p.ask()
		if time.Now().Before(certain) && token > 0 {
			fmt.Fprintf(w, "%s %d", p.id, token)
			return
		}
		refused.Add(1)
		http.Error(w, "this worker does not lead", http.StatusServiceUnavailable)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// haproxy runs the real one with the example's configuration, whose addresses are the test's.
func haproxy(t *testing.T, posts []*post, sites []string) (address string) {
	t.Helper()
	program := testenv.Command(t, "haproxy")
	text, err := os.ReadFile("haproxy.cfg")
	must(t, err)
	address = free(t)
	config := strings.Replace(string(text), "127.0.0.1:8000", address, 1)
	for i, p := range posts {
		line := regexp.MustCompile(fmt.Sprintf(`10\.0\.0\.%d:8080 port 4041`, i+1))
		if !line.MatchString(config) {
			t.Fatalf("the example has no server %d", i+1)
		}
		_, port, _ := strings.Cut(p.probe, ":")
		config = line.ReplaceAllString(config, sites[i]+" port "+port)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	if out, err := exec.Command(program, "-c", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p, err := proc.Start(exec.Command(program, "-db", "-f", file))
	must(t, err)
	t.Cleanup(func() { must(t, p.Kill()) })
	return address
}

// answer is who answered a request over HAProxy; "" is nobody.
func answer(address string) string {
	resp, err := quick.Get("http://" + address + "/")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

func TestHAProxyFollowsTheLeader(t *testing.T) {
	testenv.Command(t, "haproxy")
	endpoints := startEtcd(t)
	posts := []*post{newPost(t, "worker-1", endpoints), newPost(t, "worker-2", endpoints)}
	var refused atomic.Int64
	var sites []string
	for _, p := range posts {
		sites = append(sites, site(t, p, &refused))
		until(t, p.id+" stands", func() bool { return p.is("/read-only") })
	}
	entry := haproxy(t, posts, sites)
	leader := func() *post {
		for _, p := range posts {
			if p.leads() {
				return p
			}
		}
		return nil
	}
	var token int64
	for round := range 4 {
		until(t, "HAProxy sends to the leader", func() bool {
			p := leader()
			return p != nil && strings.HasPrefix(answer(entry), p.id+" ")
		})
		old := leader()
		answered, failed := 0, 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			if round%2 == 0 {
				old.stop()
				return
			}
			old.kill()
		}()
		until(t, "the other answers", func() bool {
			who := answer(entry)
			if who == "" {
				failed++
				return false
			}
			answered++
			var id string
			var under int64
			if _, err := fmt.Sscan(who, &id, &under); err != nil || under < token {
				t.Errorf("answered by %q after token %d", who, token)
			}
			token = max(token, under)
			return id != old.id
		})
		<-done
		how := map[bool]string{true: "stopped", false: "killed"}[round%2 == 0]
		t.Logf("%s %s: %d requests answered, %d not; those that came to a follower, and were sent on: %d", old.id, how, answered, failed, refused.Swap(0))
		<-old.process.Done()
		old.start()
		until(t, old.id+" stands", func() bool { return old.is("/read-only") })
	}
}
