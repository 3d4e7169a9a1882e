// Package dockertest makes images and runs containers for tests that want hosts of their own: elector's image as the
// Dockerfile says, and images of programs that this machine has, since a test pulls none. It also has what such tests
// judge electors by.
//
// Its functions end a test as its own Fatal does, so they are for the test's own goroutine. Paths of the repository are
// found from the folder of the test, which is two below the root.
package dockertest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/testenv"
)

// Root is the repository's folder, as a test sees it.
const Root = "../.."

// Name returns a name for a container, a network or an image that nothing else has.
func Name() string { return "elector-test-" + strings.ToLower(rand.Text()[:12]) }

// Docker runs a command of Docker's client and returns what it printed, without the line's end.
func Docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := Try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try is Docker for a command that may not succeed.
func Try(args ...string) (string, error) {
	cmd := exec.Command("docker", args...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaints.String()))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// Start runs a container in the background, which ends with the test together with its volumes. If the test has failed by
// then, what the container said last is in the test's log.
func Start(t *testing.T, name string, args ...string) {
	t.Helper()
	Docker(t, append([]string{"run", "--detach", "--name=" + name}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := exec.Command("docker", "logs", "--tail=30", name).CombinedOutput() // of one that has gone there is nothing
			t.Logf("%s said last:\n%s", name, said)
		}
		Docker(t, "rm", "--force", "--volumes", name)
	})
}

// Elector builds the image as make image does, and returns a name of it that ends with the test. The layers stay, as
// after any build, and make the next one quick.
func Elector(t *testing.T) string {
	t.Helper()
	makeCommand := testenv.Command(t, "make")
	Base(t)
	tag := Name()
	cmd := exec.Command(makeCommand, "--no-print-directory", "image", "IMAGE="+tag)
	cmd.Dir = Root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, out)
	}
	t.Cleanup(func() { Docker(t, "rmi", tag) })
	return tag
}

// Base returns the name of the image that the Dockerfile compiles in, Debian with Go, which is there.
func Base(t *testing.T) string {
	t.Helper()
	dockerfile, err := os.ReadFile(Root + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	base := regexp.MustCompile(`(?m)^ARG GO_IMAGE=(.+)$`).FindSubmatch(dockerfile)
	if base == nil {
		t.Fatal("the Dockerfile names no GO_IMAGE")
	}
	testenv.Image(t, string(base[1])) // a test does not download hundreds of megabytes unasked
	return string(base[1])
}

// Built makes an image of a command that this module can build.
func Built(t *testing.T, command string) string {
	t.Helper()
	return Programs(t, Compiled(t, command))
}

// Compiled builds a command of this module's, or of one that its tests have, such as etcd's server, and returns its path.
// It needs nothing of the system that it is run on. It compiles here, with the compiler's cache, and not in a container.
func Compiled(t *testing.T, command string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, command)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", command, err, out)
	}
	return program
}

// Etcd is the server at the version that this module's tests have.
const Etcd = "go.etcd.io/etcd/server/v3"

// Programs makes an image of files and folders of this machine, with the libraries that those among them need that can be
// executed. The first one is the entry point. The image ends with the test.
func Programs(t *testing.T, paths ...string) string {
	t.Helper()
	wanted := slices.Clone(paths)
	for _, path := range paths {
		wanted = append(wanted, libraries(t, path)...)
	}
	for i, path := range wanted {
		wanted[i] = strings.TrimPrefix(path, "/")
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted) // an image takes no file twice
	entry, err := json.Marshal([]string{paths[0]})
	if err != nil {
		t.Fatal(err)
	}
	tag := Name()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	pack := exec.Command("tar", append([]string{"--directory=/", "--dereference", "--hard-dereference", "--create"}, wanted...)...)
	load := exec.Command("docker", "import", "--change=ENTRYPOINT "+string(entry), "-", tag)
	var complaints strings.Builder
	pack.Stdout, load.Stdin, load.Stderr = w, r, &complaints
	packing, loading := pack.Start(), load.Start()
	err = errors.Join(packing, loading, w.Close(), r.Close()) // they have their own
	if packing == nil {
		err = errors.Join(err, pack.Wait())
	}
	if loading == nil {
		err = errors.Join(err, load.Wait())
	}
	if err != nil {
		t.Fatalf("make an image of %v: %v: %s", paths, err, &complaints)
	}
	t.Cleanup(func() { Docker(t, "rmi", tag) })
	return tag
}

// libraries lists what the dynamic linker would load for a program, itself included; of a static one, or of what is no
// program, nothing.
func libraries(t *testing.T, path string) []string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return nil
	}
	out, err := exec.Command(testenv.Command(t, "ldd"), path).CombinedOutput()
	if err != nil {
		return nil // not a dynamic executable
	}
	return regexp.MustCompile(`/\S+`).FindAllString(string(out), -1)
}
