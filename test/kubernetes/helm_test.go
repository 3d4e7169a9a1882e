package kubernetes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// helm is the program, with the charts in a folder of its own.
type helm struct {
	program, charts string
	env             []string
}

// newHelm demands a helm: the file that ELECTOR_TEST_HELM names, an absolute path, or else one in PATH. The example has its
// dependency.
func newHelm(t *testing.T) helm {
	t.Helper()
	program := os.Getenv("ELECTOR_TEST_HELM")
	if program == "" {
		found, err := exec.LookPath("helm")
		if err != nil && os.Getenv("CI") == "true" {
			t.Fatalf("this test needs helm, and CI must have it: %v", err)
		}
		if err != nil {
			t.Skipf("this test needs helm; `make bin/helm` builds one, which ELECTOR_TEST_HELM then names: %v", err)
		}
		program = found
	}
	h := helm{program: program, charts: t.TempDir()}
	for _, home := range []string{"CACHE", "CONFIG", "DATA"} {
		h.env = append(h.env, "HELM_"+home+"_HOME="+t.TempDir())
	}
	if err := os.CopyFS(h.charts, os.DirFS(root+"/deploy/helm")); err != nil {
		t.Fatal(err)
	}
	for _, made := range []string{"Chart.lock", "charts"} { // of the person who runs the tests
		if err := os.RemoveAll(filepath.Join(h.charts, "example", made)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := h.run(t, "dependency", "build", "example"); err != nil {
		t.Fatalf("helm dependency build: %v\n%s", err, out)
	}
	return h
}

// run returns what helm prints, on standard error as well where it fails.
func (h helm) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), h.program, args...)
	cmd.Dir, cmd.Env = h.charts, append(os.Environ(), h.env...)
	out, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		out = append(out, exit.Stderr...)
	}
	return string(out), err
}

func TestHelmHasNothingToSayOfTheCharts(t *testing.T) {
	h := newHelm(t)
	out, err := h.run(t, "lint", "--strict", "elector", "example")
	if err != nil || !strings.Contains(out, "2 chart(s) linted, 0 chart(s) failed") || strings.Contains(out, "WARNING") {
		t.Errorf("%v\n%s", err, out)
	}
}

// With the settings of the worker's example.
func TestHelmMakesWhatTheComponentMakes(t *testing.T) {
	h := newHelm(t)
	out, err := h.run(t, "template", "worker", "example")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	object, err := decode([]byte(out))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made := objects{object}
	got := made.workloads()[0]
	got.object.SetNamespace("mine") // as helm install does

	worker := examples(t)["worker"]
	want := worker.workloads()[0]
	sidecar := resolved(t, *elector(want.pod.Spec), worker)
	if got, want := text(t, elector(got.pod.Spec)), text(t, sidecar); got != want {
		t.Errorf("helm makes\n%s\nand the component\n%s", got, want)
	}
	if got, want := text(t, electors(got.pod.Spec.Volumes)), text(t, electors(want.pod.Spec.Volumes)); got != want {
		t.Errorf("of volumes, helm makes\n%s\nand the component\n%s", got, want)
	}
	for _, check := range []func(workload) []string{restricted, limited, release, grace, probes, memory, updates} {
		for _, wrong := range check(got) {
			t.Error(wrong)
		}
	}
	for _, wrong := range valid(made) {
		t.Error(wrong)
	}
}

// electors are the volumes that are there for elector, by name.
func electors(volumes []core.Volume) map[string]core.Volume {
	found := make(map[string]core.Volume)
	for _, v := range volumes {
		if strings.HasPrefix(v.Name, "elector-") {
			found[v.Name] = v
		}
	}
	return found
}

func TestHelmTakesValuesAndRefusesMistakesInThem(t *testing.T) {
	h := newHelm(t)
	for _, c := range []struct{ set, said string }{
		{"settings.ELECTOR_ELECTION=", "elector.settings.ELECTOR_ELECTION is not set: set it, as in mail"},
		{"settings.ELECTOR_ETCD_ENDPOINTS=", "elector.settings.ELECTOR_ETCD_ENDPOINTS is not set: set it, as in https://etcd.example.com:2379"},
		{"settings.ttl=10s", "'ttl' does not match pattern"},
		{"setings.ELECTOR_TTL=10s", "additional properties 'setings' not allowed"},
		{"image=", "/image"},
		{"settings.ELECTOR_TTL=20s", `value: "20s"`},
		{"settings.ELECTOR_CHECK_FALL=4", `value: "4"`},
		{"settings.ELECTOR_REQUIRE_HOLD=true", `value: "true"`},
		{"image=registry.example.com/elector:v9", `image: "registry.example.com/elector:v9"`},
		{"secret=other", `secretName: "other"`},
	} {
		out, err := h.run(t, "template", "worker", "example", "--set", "elector."+c.set)
		taken := strings.Contains(c.said, ": \"")
		if (err == nil) != taken || !strings.Contains(out, c.said) {
			t.Errorf("with %s helm says, with %v,\n%s", c.set, err, out)
		}
	}
}
