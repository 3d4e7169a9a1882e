package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/elector-dev/elector/internal/testenv"
)

func TestOnlyNamespacesOfLabsAreSwept(t *testing.T) {
	for name, want := range map[string]string{
		"el123-1-h0": "123", "el77-12-sw": "77", "el123-1": "", "el123-1-h0x": "", "elector-probe-5": "", "web-h1": "", "": "",
	} {
		if got := owner(name); got != want {
			t.Errorf("%q is of process %q, not %q", name, got, want)
		}
	}
}

func TestALabLeavesNothingAndRemovesWhatOthersLeft(t *testing.T) {
	testenv.NetNS(t)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	left := fmt.Sprintf("el%d-1-h0", dead.Process.Pid)
	if err := ip("netns add " + left); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ip("netns del " + left) }) // gone, if all is well
	lab, err := New(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Close(); err != nil {
		t.Error(err)
	}
	for _, ns := range []string{left, lab.Namespace(0), lab.name + "-sw"} {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			t.Errorf("%s is still there", ns)
		}
	}
}
