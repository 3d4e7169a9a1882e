// Package systemd tests the units in deploy/systemd, first with systemd's own judgement of their text.
package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const units = "../../deploy/systemd/"

// instance writes a unit as the instance mail. systemd wants a program to be there, so it is given this test's own.
func instance(t *testing.T, name string, edit ...string) string {
	t.Helper()
	text, err := os.ReadFile(units + name + "@.service")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	edit = append(edit, "/usr/bin/elector", program)
	file := filepath.Join(t.TempDir(), name+"@mail.service")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(edit...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// verify returns what systemd has against a unit. It tells of much that it does not fail for.
func verify(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command(testenv.Command(t, "systemd-analyze"), "verify", "--man=no", file).CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatalf("systemd-analyze verify: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func TestSystemdHasNothingAgainstTheUnits(t *testing.T) {
	for _, name := range []string{"elector", "worker"} {
		if said := verify(t, instance(t, name)); said != "" {
			t.Errorf("of %s@.service systemd says:\n%s", name, said)
		}
	}
	for _, typo := range [][]string{{"PrivateTmp=", "PrivatTmp="}, {"=mixed", "=mixt"}, {"=@system-service", "=@sytem-service"}} {
		if said := verify(t, instance(t, "elector", typo...)); said == "" {
			t.Errorf("systemd has nothing against %q", typo[1])
		}
	}
}

// exposure is how much systemd believes an attacker could do who has taken the service over: 0 to 10.
func exposure(t *testing.T, file string) float64 {
	t.Helper()
	out, err := exec.Command(testenv.Command(t, "systemd-analyze"), "security", "--offline=true", "--no-pager", file).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	level := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if level == nil {
		t.Fatalf("systemd-analyze security names no exposure level:\n%s", out)
	}
	n, err := strconv.ParseFloat(string(level[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The worker of the other unit may be anything: it is kept to what systemd calls medium.
func TestTheUnitsLeaveLittleToAnAttacker(t *testing.T) {
	for name, below := range map[string]float64{"elector": 2.0, "worker": 5.0} {
		level := exposure(t, instance(t, name))
		t.Logf("%s@.service: exposure %.1f, below %.1f is asked for", name, level, below)
		if level >= below {
			t.Errorf("%s@.service has exposure %.1f: see systemd-analyze security --offline=true", name, level)
		}
	}
	if level := exposure(t, instance(t, "elector", "PrivateDevices=yes", "", "ProtectSystem=strict", "", "CapabilityBoundingSet=", "")); level < 2 {
		t.Errorf("without three of its lines exposure is %.1f all the same: what is measured?", level)
	}
}
