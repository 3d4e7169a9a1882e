//go:build mixed

// Package mixed has candidates of different kinds stand in one election on real etcd: electors of this commit and of an
// earlier one, etcdctl elect, and a plain program that uses etcd's library.
package mixed

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/testenv"
)

// beforeVar names the commit that the earlier elector is of; empty: the one before this.
const beforeVar = "ELECTOR_TEST_BEFORE"

// programs are what takes part.
type programs struct {
	now, before, plain, etcdctl string
	commit                      string // of before
	dir                         string
}

// built is what build has made already, for the test that comes first; TestMain removes it.
var built programs

// build makes them, each as its own commit would.
func build(t *testing.T) programs {
	t.Helper()
	if built.plain != "" {
		return built
	}
	p := programs{etcdctl: testenv.Etcdctl(t)}
	git := testenv.Command(t, "git")
	root := strings.TrimSpace(command(t, "", git, "rev-parse", "--show-toplevel"))
	asked := os.Getenv(beforeVar)
	if asked == "" {
		asked = "HEAD~1"
	}
	p.commit = commit(t, git, asked)
	dir, err := os.MkdirTemp("", "mixed-")
	must(t, err)
	built.dir, p.dir = dir, dir
	older := filepath.Join(dir, "older")
	must(t, os.Mkdir(older, 0o700))
	archive := filepath.Join(dir, "older.tar")
	command(t, root, git, "archive", "--output", archive, p.commit, "go.mod", "go.sum", "cmd", "internal")
	command(t, older, "tar", "-xf", archive)
	p.now = compile(t, root, filepath.Join(dir, "now"), "./cmd/elector", "now")
	p.before = compile(t, older, filepath.Join(dir, "before"), "./cmd/elector", "before")
	p.plain = compile(t, filepath.Join(root, "bench"), filepath.Join(dir, "plain"), "./plain", "")
	built = p
	return built
}

// commit resolves what was asked for. A clone that was made without history has no commit before its own.
func commit(t *testing.T, git, asked string) string {
	t.Helper()
	out, err := exec.Command(git, "rev-parse", "--verify", "--quiet", asked+"^{commit}").Output()
	if err == nil {
		return strings.TrimSpace(string(out))
	}
	const lack = "this test needs the commit %s to build an earlier elector from: fetch history, or name one in %s"
	if testenv.CI() {
		t.Fatalf(lack, asked, beforeVar)
	}
	t.Skipf(lack, asked, beforeVar)
	return ""
}

func compile(t *testing.T, dir, to, what, version string) string {
	t.Helper()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "grpcnotrace",
		"-ldflags", "-X github.com/elector-dev/elector/internal/cli.version="+version, "-o", to, what)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", what, err, out)
	}
	return to
}

// command runs a command to its end and returns what it said.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
