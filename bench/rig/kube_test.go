package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestTheAPIServersAddressIsThatOfTheCurrentContext(t *testing.T) {
	const text = `
current-context: two
clusters:
- {name: a, cluster: {server: "https://one.example:6443"}}
- {name: b, cluster: {server: "%s"}}
contexts:
- {name: one, context: {cluster: a}}
- {name: two, context: {cluster: %s}}
`
	for _, c := range []struct{ server, cluster, want string }{
		{"https://127.0.0.1:6443", "b", "127.0.0.1:6443"},
		{"https://two.example", "b", "two.example:443"},
		{"http://[::1]/path", "b", "[::1]:80"},
		{"https://two.example", "a", "one.example:6443"},
		{"https://two.example", "c", ""},
	} {
		file := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(file, fmt.Appendf(nil, text, c.server, c.cluster), 0o600); err != nil {
			t.Fatal(err)
		}
		u, err := APIServerOf(file)
		if (err == nil) != (c.want != "") || err == nil && u.Host != c.want {
			t.Errorf("%+v: %v, %v", c, u, err)
		}
	}
	if _, err := APIServerOf(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
}
