package image

import (
	"archive/tar"
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/testenv"
)

// build makes the image for a processor under a name of its own, which ends with the test. The layers stay, as after any
// build, and make the next one quick.
func build(t *testing.T, processor string) image {
	t.Helper()
	dockerfile, err := os.ReadFile(root + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	base := regexp.MustCompile(`(?m)^ARG GO_IMAGE=(.+)$`).FindSubmatch(dockerfile)
	if base == nil {
		t.Fatal("the Dockerfile names no GO_IMAGE")
	}
	// A test does not download hundreds of megabytes unasked.
	testenv.Image(t, string(base[1]))

	img := image{tag: "elector-test:" + strings.ToLower(rand.Text())}
	out := makeOf(t, "image", "IMAGE="+img.tag, "GOARCH="+processor)
	t.Cleanup(func() { docker(t, "rmi", img.tag) })
	t.Log(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
	if err := json.Unmarshal([]byte(docker(t, "image", "inspect", "--format={{json .}}", img.tag)), &img); err != nil {
		t.Fatal(err)
	}
	return img
}

// makeOf runs make and returns what it printed.
func makeOf(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testenv.Command(t, "make"), append([]string{"--no-print-directory", "-C", root}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// extract writes a file of the image to a directory of the test, and returns its path.
func (img image) extract(t *testing.T, path string) string {
	t.Helper()
	name := containerName()
	docker(t, "create", "--name="+name, "--platform=linux/"+img.Architecture, img.tag)
	t.Cleanup(func() { docker(t, "rm", name) })
	files := tar.NewReader(strings.NewReader(docker(t, "cp", name+":"+path, "-")))
	if _, err := files.Next(); err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(files)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(file, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// run is an elector that runs.
type run struct {
	cmd            *exec.Cmd
	stop           func()          // ends it by force
	stdout, stderr strings.Builder // complete once ended is closed
	ended          chan struct{}
}

// begin starts a command; it ends with the test.
func begin(t *testing.T, cmd *exec.Cmd, stop func()) *run {
	t.Helper()
	r := &run{cmd: cmd, stop: stop, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &r.stdout, &r.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		_ = cmd.Wait() // what matters of it is the exit status, which wait reads
	}()
	t.Cleanup(func() {
		stop()
		<-r.ended
	})
	return r
}

// wait returns the exit status once it has ended.
func (r *run) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		t.Fatal("it did not end within 30 s")
		return -1
	}
}

// said returns what was printed; it has to have ended.
func (r *run) said() string { return r.stdout.String() + r.stderr.String() }

// container is a run of the image, with Docker's client in the foreground.
type container struct {
	*run
	name string
}

// start runs the image on the host's network, without any right that can be taken from it; the container ends with the
// test.
func (img image) start(t *testing.T, args ...string) *container {
	t.Helper()
	return img.startWith(t, nil, args...)
}

// startWith is start with more options of docker run.
func (img image) startWith(t *testing.T, options []string, args ...string) *container {
	t.Helper()
	name := containerName()
	words := append([]string{"run", "--name=" + name, "--network=host",
		"--user=65532", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"}, options...)
	words = append(append(words, img.tag), args...)
	return &container{begin(t, exec.Command("docker", words...), func() { docker(t, "rm", "--force", name) }), name}
}
