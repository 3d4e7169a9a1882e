package chaos

import "testing"

func TestOnlyNamespacesOfLabsAreSwept(t *testing.T) {
	for name, want := range map[string]string{
		"el123-1-h0": "123", "el77-12-sw": "77", "el123-1": "", "el123-1-h0x": "", "elector-probe-5": "", "web-h1": "", "": "",
	} {
		if got := labOwner(name); got != want {
			t.Errorf("%q is of process %q, not %q", name, got, want)
		}
	}
}
