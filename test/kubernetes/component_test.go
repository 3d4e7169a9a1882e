package kubernetes

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
)

// A kustomization of somebody who has more than one workload.
const others = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: with-init, labels: {elector.dev/sidecar: "true"}}
spec:
  replicas: 1
  selector: {matchLabels: {a: a}}
  template:
    metadata: {labels: {a: a}}
    spec:
      initContainers:
      - {name: migrate, image: "busybox:1"}
      - {name: proxy, image: "busybox:1", restartPolicy: Always}
      containers:
      - {name: main, image: "busybox:1", volumeMounts: [{name: mine, mountPath: /mine}]}
      volumes:
      - {name: mine, emptyDir: {}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: bare, labels: {elector.dev/sidecar: "true"}}
spec:
  replicas: 1
  serviceName: bare
  selector: {matchLabels: {b: b}}
  template:
    metadata: {labels: {b: b}}
    spec:
      containers: [{name: main, image: "busybox:1"}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, labels: {elector.dev/sidecar: "true"}}
spec:
  template:
    spec:
      restartPolicy: OnFailure
      containers: [{name: main, image: "busybox:1"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: unasked}
spec:
  replicas: 1
  selector: {matchLabels: {c: c}}
  template:
    metadata: {labels: {c: c}}
    spec:
      containers: [{name: main, image: "busybox:1"}]
`

// use builds the workloads above with a component.
func use(t *testing.T, component string) map[string]workload {
	t.Helper()
	dir := t.TempDir()
	if err := copyManifests(dir); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "mine")
	if err := os.Mkdir(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"others.yaml": others,
		"kustomization.yaml": "namespace: mine\nresources: [others.yaml]\ncomponents: [../" + component + "]\n" +
			"configMapGenerator: [{name: elector, literals: [ELECTOR_ELECTION=mine]}]\n" +
			"images: [{name: ghcr.io/elector-dev/elector, newName: registry.example.com/elector, newTag: v9}]\n",
	} {
		if err := os.WriteFile(filepath.Join(mine, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := build(mine)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range slices.Concat(valid(all), references(all)) {
		t.Error(wrong)
	}
	found := make(map[string]workload)
	for _, w := range all.workloads() {
		found[w.name()] = w
	}
	return found
}

func names(list []core.Container) []string {
	var n []string
	for _, c := range list {
		n = append(n, c.Name)
	}
	return n
}

func TestComponentAddsTheSidecarLastAndOnlyWhereItIsAskedFor(t *testing.T) {
	found := use(t, "component")
	for name, want := range map[string][]string{
		"Deployment/with-init": {"migrate", "proxy", "elector"},
		"StatefulSet/bare":     {"elector"},
		"Job/once":             {"elector"},
		"Deployment/unasked":   nil,
	} {
		w := found[name]
		if got := names(w.pod.Spec.InitContainers); !slices.Equal(got, want) {
			t.Errorf("%s has the init containers %q, not %q", name, got, want)
		}
		if got := names(w.pod.Spec.Containers); !slices.Equal(got, []string{"main"}) {
			t.Errorf("%s has the containers %q", name, got)
		}
	}
	w := found["Deployment/with-init"]
	if !slices.ContainsFunc(w.pod.Spec.Volumes, func(v core.Volume) bool { return v.Name == "mine" }) {
		t.Error("the volume of the worker is gone")
	}
	if got := elector(w.pod.Spec).Image; got != "registry.example.com/elector:v9" {
		t.Errorf("the image that the user names is not taken: %s", got)
	}
	if _, changed := found["Deployment/unasked"].object.(*apps.Deployment).Spec.Template.Labels["elector.dev/sidecar"]; changed {
		t.Error("a workload that did not ask is labelled")
	}
}

func TestClassicComponentAddsAContainerLastAndLeavesJobsAlone(t *testing.T) {
	found := use(t, "component-classic")
	for name, want := range map[string][]string{
		"Deployment/with-init": {"main", "elector"},
		"StatefulSet/bare":     {"main", "elector"},
		"Job/once":             {"main"},
		"Deployment/unasked":   {"main"},
	} {
		if got := names(found[name].pod.Spec.Containers); !slices.Equal(got, want) {
			t.Errorf("%s has the containers %q, not %q", name, got, want)
		}
	}
	if got := names(found["Deployment/with-init"].pod.Spec.InitContainers); !slices.Equal(got, []string{"migrate", "proxy"}) {
		t.Errorf("the init containers have become %q", got)
	}
}
