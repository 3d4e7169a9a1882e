// Package docs holds no code of its own: its tests run the commands that the documents show.
//
// The convention, which CONTRIBUTING.md tells writers: a block marked "console" has commands after "$ " and what they
// print; one marked "sh" is a script. They are run in order, each document in one shell. A block that cannot be run here
// says in its info string what it lacks, and only its syntax is looked at.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryBlockSaysWhatItIs(t *testing.T) {
	for _, file := range documents(t) {
		for _, b := range read(t, file) {
			if b.lang == "" {
				t.Errorf("%v: a block without a language: write console or sh if it holds commands, else what it is, such as text", b)
			}
			if !b.isShell() {
				continue
			}
			for _, w := range b.words {
				if w != daemon && lacks[w] == nil {
					t.Errorf("%v: %q is no reason why a block is not run: give one of %v", b, w, reasons())
				}
			}
			if lack := b.lack(); lack != "" && !lacks[lack].MatchString(strings.Join(b.text, "\n")) {
				t.Errorf("%v: marked %q, and nothing in it needs that: have it run", b, lack)
			}
		}
	}
}

func reasons() []string {
	var all []string
	for reason := range lacks {
		all = append(all, reason)
	}
	slices.Sort(all)
	return all
}

func TestCommandsThatAreNotRunAreWellFormed(t *testing.T) {
	for _, file := range documents(t) {
		for _, b := range read(t, file) {
			if !b.isShell() || b.lack() == "" {
				continue
			}
			steps, err := b.steps()
			must(t, err)
			for _, s := range steps {
				cmd := exec.Command("bash", "-n")
				cmd.Stdin = strings.NewReader(s.command + "\n")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s:%d: %s", file, s.line, out)
				}
			}
		}
	}
}

func TestCommandsOfTheDocumentsDoWhatTheySay(t *testing.T) {
	testenv.NetNS(t)
	for _, program := range []string{"unshare", "curl", "python3", "sqlite3"} {
		testenv.Command(t, program)
	}
	bin := programs(t)
	for _, file := range documents(t) {
		runs := slices.DeleteFunc(read(t, file), func(b block) bool { return !b.isShell() || b.lack() != "" })
		if len(runs) == 0 {
			continue
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			follow(t, openShell(t, bin, clone(t)), runs)
		})
	}
}

// follow does what a document says until something is not as it says.
func follow(t *testing.T, sh *shell, blocks []block) {
	for _, b := range blocks {
		steps, err := b.steps()
		must(t, err)
		for _, s := range steps {
			got, err := sh.run(s)
			if err != nil {
				t.Fatalf("%s:%d: %v\n%s\nwrote:\n%s", b.file, s.line, err, s.command, strings.Join(got, "\n"))
			}
			if s.compare && !matches(s.want, got) {
				t.Fatalf("%s:%d: not what the document shows:\n%s\nshown:\n%s\nseen:\n%s",
					b.file, s.line, s.command, strings.Join(s.want, "\n"), strings.Join(got, "\n"))
			}
		}
	}
}

// programs builds what the documents take for installed, in the way that all but the tests themselves are built, and
// returns the directory.
func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for name, pkg := range map[string]string{"elector": "./cmd/elector", "etcd": "go.etcd.io/etcd/server/v3"} {
		cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(bin, name), pkg)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v: %s", name, err, out)
		}
	}
	etcdctl, err := os.ReadFile(testenv.Etcdctl(t)) // which may be in bin/, where the shells do not see it
	must(t, err)
	must(t, os.WriteFile(filepath.Join(bin, "etcdctl"), etcdctl, 0o700))
	return bin
}

// clone copies the repository as a reader has it, without what was built and what git keeps.
func clone(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	entries, err := os.ReadDir(root)
	must(t, err)
	for _, e := range entries {
		switch from, to := filepath.Join(root, e.Name()), filepath.Join(dir, e.Name()); {
		case e.Name() == ".git" || e.Name() == "bin":
		case e.IsDir():
			must(t, os.CopyFS(to, os.DirFS(from)))
		default:
			text, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(to, text, 0o600))
		}
	}
	return dir
}
