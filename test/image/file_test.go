package image

import (
	"bufio"
	"context"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

// What the image may weigh, in bytes: all of it, and what is not the binary.
const (
	mostImage  = 18_000_000
	mostBeside = 300_000
)

func (img image) testSize(t *testing.T) {
	binary, err := os.Stat(img.extract(t, "/elector"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("image %d bytes, binary %d, beside it %d", img.Size, binary.Size(), img.Size-binary.Size())
	if img.Size > mostImage || img.Size-binary.Size() > mostBeside {
		t.Errorf("want at most %d bytes, of which %d beside the binary", mostImage, mostBeside)
	}
}

func (img image) testSameFile(t *testing.T) {
	local := filepath.Join(t.TempDir(), "elector")
	makeOf(t, "build", "BINARY="+local, "VERSION="+img.version(), "GOARCH="+img.Architecture)
	sums := map[string]bool{}
	for _, file := range []string{local, img.extract(t, "/elector")} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		t.Logf("%x", sum)
		sums[string(sum[:])] = true
	}
	if len(sums) != 1 {
		t.Error("they differ")
	}
}

// health waits for the first word of Docker on a container's health.
func health(ctx context.Context, t *testing.T, begin func() *container) string {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "docker", "events", "--since=0s", "--filter=event=health_status", "--filter=type=container", "--format={{.Actor.Attributes.name}} {{.Status}}")
	told, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}()
	c := begin()
	for lines := bufio.NewScanner(told); lines.Scan(); {
		if word, ours := strings.CutPrefix(lines.Text(), c.name+" health_status: "); ours {
			return word
		}
	}
	t.Fatalf("Docker says nothing of its health")
	return ""
}

func (img image) testHealth(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	of := func(args ...string) string {
		options := []string{"--health-interval=1s", "--health-retries=1", "--health-start-period=1s", "--env=ELECTOR_HTTP=" + freeAddress(t)}
		args = append(args, "--election=orders", "--etcd-endpoints=http://127.0.0.1:1")
		got := health(ctx, t, func() *container { return img.startWith(t, options, args...) })
		t.Logf("Docker calls an elector with %v %s", args, got)
		return got
	}
	if got := of(); got != "healthy" {
		t.Errorf("an elector without etcd is %s", got)
	}
	if got := of("--http="); got != "unhealthy" {
		t.Errorf("an elector without a server is %s", got)
	}
}

// The binary for another processor does all that the other does, as far as an emulation of that processor tells.
func TestARM64(t *testing.T) {
	testenv.Docker(t)
	emulator := testenv.Command(t, "qemu-aarch64-static")
	img := build(t, "arm64")
	if img.Architecture != "arm64" {
		t.Errorf("labelled for %s", img.Architecture)
	}
	img.testSize(t)
	img.testSameFile(t)
	binary := img.extract(t, "/elector")
	said, err := exec.Command(emulator, binary, "version").CombinedOutput()
	if err != nil || !strings.Contains(string(said), img.version()) {
		t.Errorf("version: %v, %s", err, said)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	etcd, err := devetcd.Start(ctx, devetcd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	address := freeAddress(t)
	cmd := exec.Command(emulator, binary, "--election=orders", "--id=worker-1", "--http="+address, "--etcd-endpoints="+strings.Join(etcd.Endpoints(), ","))
	r := begin(t, cmd, func() { _ = cmd.Process.Kill() })
	answer := awaitLeader(ctx, t, r, "http://"+address+"/leader")
	t.Logf("%+v", answer)
	if !answer.Leading || answer.Token <= 0 || answer.ExpiresInMS <= 0 {
		t.Errorf("with status 200 it answered %+v", answer)
	}
	if out, err := exec.Command(emulator, binary, "leader", "--timeout=30s", "--addr="+address).CombinedOutput(); err != nil {
		t.Errorf("asked by the command line: %v, %s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := r.wait(t); code != 0 {
		t.Errorf("exit status %d after SIGTERM; it said: %s", code, r.said())
	}
	nothingLeft(ctx, t, etcd)
}
