package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// verdict records what a demand decided instead of ending the test.
type verdict struct{ skipped, failed string }

func (*verdict) Helper()                          {}
func (v *verdict) Skipf(format string, a ...any)  { v.skipped = fmt.Sprintf(format, a...) }
func (v *verdict) Fatalf(format string, a ...any) { v.failed = fmt.Sprintf(format, a...) }

func TestDemandSkipsAtHomeAndFailsInCI(t *testing.T) {
	lack := errors.New("not on this machine")
	for _, c := range []struct {
		name, ci    string
		err         error
		skip, fatal string
	}{
		{"present at home", "", nil, "", ""},
		{"present in CI", "true", nil, "", ""},
		{"missing at home", "", lack, "this test needs a thing: not on this machine", ""},
		{"missing where CI is not true", "false", lack, "this test needs a thing: not on this machine", ""},
		{"missing in CI", "true", lack, "", "this test needs a thing, and CI must have it: not on this machine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CI", c.ci)
			var v verdict
			demand(&v, "a thing", c.err)
			if v.skipped != c.skip || v.failed != c.fatal {
				t.Errorf("skipped %q, failed %q; want %q and %q", v.skipped, v.failed, c.skip, c.fatal)
			}
		})
	}
}

func TestEtcdctlIsTheNamedFileElseTheOneInPath(t *testing.T) {
	dir := t.TempDir()
	named, inPath := filepath.Join(dir, "named"), filepath.Join(dir, "bin", "etcdctl")
	if err := os.Mkdir(filepath.Dir(inPath), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{named, inPath} {
		if err := os.WriteFile(f, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, variable, path, want, lack string }{
		{"named", named, filepath.Dir(inPath), named, ""},
		{"in PATH", "", filepath.Dir(inPath), inPath, ""},
		{"named wrongly", named + "x", filepath.Dir(inPath), "", EtcdctlVar},
		{"named by a relative path", "bin/etcdctl", filepath.Dir(inPath), "", "not an absolute path"},
		{"nowhere", "", dir, "", "make bin/etcdctl"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CI", "")
			t.Setenv("PATH", c.path)
			t.Setenv(EtcdctlVar, c.variable)
			var v verdict
			got := Etcdctl(&v)
			if got != c.want {
				t.Errorf("path %q, want %q", got, c.want)
			}
			if (c.lack == "") != (v.skipped == "") || !strings.Contains(v.skipped, c.lack) {
				t.Errorf("skipped %q, want it to say %q", v.skipped, c.lack)
			}
		})
	}
}

// On a machine for CI, the probes themselves have to succeed: this is the test
// that tells first what .ci/run did not install.
func TestCIOffersEverything(t *testing.T) {
	if !CI() {
		t.Skip("only CI must offer everything")
	}
	for _, need := range []struct {
		name string
		of   func(T)
	}{
		{"root", Root}, {"namespaces", NetNS}, {"iptables", Iptables}, {"time namespaces", TimeNS},
		{"disk", Disk}, {"docker", Docker},
		{"etcdctl", func(t T) { Etcdctl(t) }},
	} {
		t.Run(need.name, func(t *testing.T) { need.of(t) })
	}
}
