// Package deb tests the Debian package that make deb makes: here what is in it, and with the build tag e2e what becomes of
// a host that it is installed on.
package deb

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "../.."

// command runs one in the repository's folder, and returns what it printed.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Command(t, name), args...)
	cmd.Dir = root
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &complaints)
	}
	return string(out)
}

// made makes the package of a version, as git describe would have it, and returns its path. It ends with the test.
func made(t *testing.T, version, arch string) string {
	t.Helper()
	testenv.Command(t, "dpkg-deb")
	said := command(t, "make", "--no-print-directory", "deb", "VERSION="+version, "DEB_ARCH="+arch)
	file := regexp.MustCompile(`created package: (\S+)`).FindStringSubmatch(said)
	if file == nil {
		t.Fatalf("make deb names no package:\n%s", said)
	}
	path, err := filepath.Abs(filepath.Join(root, file[1]))
	must(t, err)
	t.Cleanup(func() { must(t, os.Remove(path)) })
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What the package has, with mode and owner.
const contents = `
-rwxr-xr-x root/root ./usr/bin/elector
-rw-r--r-- root/root ./lib/systemd/system/elector@.service
drwxr-xr-x root/root ./etc/elector/
-rw-r--r-- root/root ./usr/share/bash-completion/completions/elector
-rw-r--r-- root/root ./usr/share/doc/elector/README.Debian
-rw-r--r-- root/root ./usr/share/doc/elector/changelog.Debian.gz
-rw-r--r-- root/root ./usr/share/doc/elector/changelog.gz
-rw-r--r-- root/root ./usr/share/doc/elector/copyright
-rw-r--r-- root/root ./usr/share/doc/elector/examples/election.yaml
-rw-r--r-- root/root ./usr/share/doc/elector/examples/worker@.service
-rw-r--r-- root/root ./usr/share/fish/vendor_completions.d/elector.fish
-rw-r--r-- root/root ./usr/share/lintian/overrides/elector
-rw-r--r-- root/root ./usr/share/man/man1/elector.1.gz
-rw-r--r-- root/root ./usr/share/zsh/vendor-completions/_elector
`

func TestPackage(t *testing.T) {
	file := made(t, "v1.2.0-4-g0123abc", "amd64")
	t.Run("has what it is to have", func(t *testing.T) { holds(t, file) })
	t.Run("is what lintian wants", func(t *testing.T) { lintianIsContent(t, file) })
	t.Run("is the same bytes when it is made again", func(t *testing.T) { isReproducible(t, file) })
	t.Run("has files that do what they are for", func(t *testing.T) { filesWork(t, file) })
}

func holds(t *testing.T, file string) {
	got := make(map[string]bool)
	for line := range strings.Lines(command(t, "dpkg-deb", "--contents", file)) {
		f := strings.Fields(line) // mode, owner, size, day, time, path
		if entry := f[0] + " " + f[1] + " " + f[5]; f[0][0] != 'd' || strings.Contains(f[5], "/etc/elector") {
			got[entry] = true
		}
	}
	for line := range strings.Lines(strings.TrimSpace(contents)) {
		if line = strings.TrimSpace(line); !got[line] {
			t.Errorf("it has no %s", line)
		}
		delete(got, line)
	}
	for line := range got {
		t.Errorf("it has %s, too", line)
	}
	for field, want := range map[string]string{"Package": "elector", "Version": "1.2.0+4.g0123abc-1", "Architecture": "amd64", "Depends": "adduser"} {
		if got := strings.TrimSpace(command(t, "dpkg-deb", "--field", file, field)); got != want {
			t.Errorf("%s is %q, not %q", field, got, want)
		}
	}
}

func lintianIsContent(t *testing.T, file string) {
	if said := command(t, "lintian", "--allow-root", "--display-info", file); said != "" {
		t.Errorf("lintian says:\n%s", said)
	}
	cmd := exec.Command("lintian", "--allow-root", "--no-override", "--fail-on=error", file)
	if out, err := cmd.Output(); err == nil || !strings.Contains(string(out), "E: elector: statically-linked-binary") {
		t.Errorf("without the overrides lintian ends with %v, so it sees nothing:\n%s", err, out)
	}
}

func isReproducible(t *testing.T, file string) {
	first, err := os.ReadFile(file)
	must(t, err)
	command(t, "make", "--no-print-directory", "deb", "VERSION=v1.2.0-4-g0123abc", "DEB_ARCH=amd64")
	second, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(first, second) {
		t.Error("the same commit made another package")
	}
}

// filesWork unpacks the package and asks each file's reader what it thinks of it.
func filesWork(t *testing.T, file string) {
	dir := t.TempDir()
	command(t, "dpkg-deb", "--extract", file, dir)
	program := filepath.Join(dir, "usr/bin/elector")
	if said := command(t, program, "version"); said != "elector v1.2.0-4-g0123abc\n" {
		t.Errorf("elector version prints %q", said)
	}
	check := command(t, program, "config", "check", "--config", filepath.Join(dir, "usr/share/doc/elector/examples/election.yaml"))
	if !strings.Contains(check, "would take part in default/mail") {
		t.Errorf("of the example of settings elector says: %s", check)
	}
	for shell, file := range map[string]string{"bash": "bash-completion/completions/elector", "fish": "fish/vendor_completions.d/elector.fish", "zsh": "zsh/vendor-completions/_elector"} {
		text, err := os.ReadFile(filepath.Join(dir, "usr/share", file))
		must(t, err)
		if string(text) != command(t, program, "completion", shell) {
			t.Errorf("%s is not what elector completion %s prints", file, shell)
		}
	}

	// systemd wants the programs of a unit to be there.
	text, err := os.ReadFile(filepath.Join(dir, "lib/systemd/system/elector@.service"))
	must(t, err)
	unit := filepath.Join(t.TempDir(), "elector@mail.service")
	must(t, os.WriteFile(unit, bytes.ReplaceAll(text, []byte("/usr/bin/elector"), []byte(program)), 0o600))
	out, err := exec.Command(testenv.Command(t, "systemd-analyze"), "verify", "--man=no", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// Each version is greater than the one before, as git describe has them over time.
func TestVersionsGrowAsDebianComparesThem(t *testing.T) {
	testenv.Command(t, "dpkg")
	var before string
	for _, v := range []struct{ version, made, want string }{
		{"b8a51d7", "1700000000", "0~202311142213.b8a51d7"},
		{"a000000-dirty", "1800000000", "0~202701150800.a000000+dirty"},
		{"v0.1.0-rc1", "1", "0.1.0~rc1"},
		{"v0.1.0-rc1-2-g0123abc", "1", "0.1.0~rc1+2.g0123abc"},
		{"v0.1.0", "1", "0.1.0"},
		{"v0.1.0-9-g0123abc", "1", "0.1.0+9.g0123abc"},
		{"v0.1.0-10-g0123abc-dirty", "1", "0.1.0+10.g0123abc+dirty"},
		{"v0.1.1", "1", "0.1.1"},
	} {
		got := strings.TrimSpace(command(t, "sh", "deploy/deb/version", v.version, v.made))
		if got != v.want {
			t.Errorf("%s is %s, not %s", v.version, got, v.want)
		}
		if before != "" && exec.Command("dpkg", "--compare-versions", got, "gt", before).Run() != nil {
			t.Errorf("%s is not greater than %s", got, before)
		}
		before = got
	}
}
