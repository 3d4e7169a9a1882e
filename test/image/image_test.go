// Package image tests the container image: built as the Dockerfile says, run with
// as few rights as a cluster would leave it.
package image

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "../.."

// TestImage builds the image once; each part runs it.
func TestImage(t *testing.T) {
	testenv.Docker(t)
	img := build(t, runtime.GOARCH)
	t.Run("is little more than its binary", img.testSize)
	t.Run("has the file that make build makes", img.testSameFile)
	t.Run("is stamped with its version and runs as a user without a name", img.testSettings)
	t.Run("brings certificate authorities", img.testAuthorities)
	t.Run("tells its version", img.testVersion)
	t.Run("refuses a wrong setting in one sentence", img.testMistake)
	t.Run("leads against etcd and leaves by SIGTERM", img.testDaemon)
	t.Run("is healthy while it runs and unhealthy if it does not answer", img.testHealth)
}

func (img image) testSettings(t *testing.T) {
	if img.Config.User != "65532:65532" {
		t.Errorf("runs as %q, want 65532:65532", img.Config.User)
	}
	for _, label := range []string{"title", "description", "licenses", "source", "version", "revision"} {
		if v := img.Config.Labels["org.opencontainers.image."+label]; v == "" || v == "unknown" {
			t.Errorf("labelled with %s %q", label, v)
		}
	}
	if _, ok := img.Config.ExposedPorts["4040/tcp"]; !ok {
		t.Errorf("exposes %v, want 4040/tcp", img.Config.ExposedPorts)
	}
}

func (img image) testAuthorities(t *testing.T) {
	bundle, err := os.ReadFile(img.extract(t, "/etc/ssl/certs/ca-certificates.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(bundle) {
		t.Errorf("no certificate in a bundle of %d bytes", len(bundle))
	}
}

func (img image) testVersion(t *testing.T) {
	c := img.start(t, "version")
	if code := c.wait(t); code != 0 {
		t.Errorf("exit status %d, want 0; it said: %s", code, c.said())
	}
	if !strings.Contains(c.stdout.String(), img.version()) {
		t.Errorf("printed %q, want the image's version %q in it", &c.stdout, img.version())
	}
}

func (img image) testMistake(t *testing.T) {
	c := img.start(t, "--election=orders", "--ttl=1s")
	if code := c.wait(t); code != 2 {
		t.Errorf("exit status %d, want 2; it said: %s", code, c.said())
	}
	if said := strings.TrimSpace(c.stderr.String()); strings.Contains(said, "\n") || !strings.Contains(said, "ttl") || !strings.Contains(said, "1s") {
		t.Errorf("said %q, want one sentence about ttl with its value", said)
	}
}

func (img image) testDaemon(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	etcd, err := devetcd.Start(ctx, devetcd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)

	address := freeAddress(t)
	c := img.startWith(t, []string{"--tmpfs=/state:mode=0700,uid=65532"}, "--election=orders", "--id=worker-1", "--state-dir=/state", "--http="+address, "--etcd-endpoints="+strings.Join(etcd.Endpoints(), ","))
	answer := awaitLeader(ctx, t, c.run, "http://"+address+"/leader")
	if !answer.Leading || answer.Token <= 0 || answer.ExpiresInMS <= 0 || answer.Identity != "worker-1" {
		t.Errorf("with status 200 it answered %+v, want a yes with token, end and identity", answer)
	}

	docker(t, "kill", "--signal=TERM", c.name)
	if code := c.wait(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0; it said: %s", code, c.said())
	}
	nothingLeft(ctx, t, etcd)
}

// nothingLeft fails unless etcd is empty.
func nothingLeft(ctx context.Context, t *testing.T, etcd *devetcd.Embedded) {
	t.Helper()
	client, err := etcd.NewClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	left, err := client.Get(ctx, "/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	if len(left.Kvs) > 0 {
		t.Errorf("left behind in etcd: %v", left.Kvs)
	}
}

// leaderAnswer is the part of an answer of /leader that this test reads.
type leaderAnswer struct {
	Identity    string `json:"identity"`
	Leading     bool   `json:"leading"`
	Token       int64  `json:"token"`
	ExpiresInMS int64  `json:"expires_in_ms"`
}

// awaitLeader asks until the answer is 200, or the elector or the context ends.
func awaitLeader(ctx context.Context, t *testing.T, c *run, url string) (answer leaderAnswer) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil { // else it does not listen yet
			err = json.NewDecoder(resp.Body).Decode(&answer)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				if err != nil {
					t.Errorf("body of %s: %v", url, err)
				}
				return answer
			}
		}
		select {
		case <-again.C:
		case <-c.ended:
			t.Fatalf("ended before it led; it said: %s", c.said())
		case <-ctx.Done():
			c.stop()
			c.wait(t)
			t.Fatalf("did not lead in time; it said: %s", c.said())
		}
	}
}

// image is a built image and what Docker says of it.
type image struct {
	tag          string
	Architecture string
	Size         int64
	Config       struct {
		User         string
		Labels       map[string]string
		ExposedPorts map[string]struct{}
	}
}

func (img image) version() string { return img.Config.Labels["org.opencontainers.image.version"] }

// containerName returns a name that no other container has.
func containerName() string { return "elector-test-" + strings.ToLower(rand.Text()) }

// docker runs a command of Docker's client and returns what it printed.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("docker", args...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, &complaints)
	}
	return string(out)
}

// freeAddress returns a loopback address on which nothing listened a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
