// Package kubernetes holds no code: its tests build the manifests of deploy/kubernetes as kustomize does, judge them as
// the API server, the Pod Security admission and elector itself do, run the example's etcd by its own manifest and its
// worker's script with busybox, and go through every update step by step. The admission policies are compiled and run by
// the API server's libraries, and the charts of deploy/helm by Helm. It needs no cluster.
package kubernetes

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// root is the project's, seen from here.
const root = "../.."

// overlays are the examples, each built and decoded once for all tests. Tests must not change them.
var overlays = sync.OnceValues(func() (map[string]objects, error) {
	dir, err := os.MkdirTemp("", "manifests-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := copyManifests(dir); err != nil {
		return nil, err
	}
	return buildAll(dir)
})

// examples returns what each example consists of.
func examples(t *testing.T) map[string]objects {
	t.Helper()
	built, err := overlays()
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// copyManifests puts deploy/kubernetes into a folder, with the secrets that a user makes.
func copyManifests(dir string) error {
	if err := os.CopyFS(dir, os.DirFS(root+"/deploy/kubernetes")); err != nil {
		return err
	}
	etcd := filepath.Join(dir, "examples/etcd")
	if err := os.RemoveAll(etcd + "/secrets"); err != nil { // of the person who runs the tests
		return err
	}
	if out, err := exec.Command("sh", etcd+"/make-secrets.sh").CombinedOutput(); err != nil {
		return fmt.Errorf("make-secrets.sh, which needs openssl: %w\n%s", err, out)
	}
	return nil
}

// buildAll builds and decodes every example below a copy of deploy/kubernetes.
func buildAll(dir string) (map[string]objects, error) {
	files, err := filepath.Glob(dir + "/examples/*/kustomization.yaml")
	if err != nil {
		return nil, err
	}
	built := make(map[string]objects)
	for _, file := range files {
		overlay := filepath.Dir(file)
		if built[filepath.Base(overlay)], err = build(overlay); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(overlay), err)
		}
	}
	return built, nil
}

// objects are what an overlay consists of, in the API's types.
type objects []runtime.Object

// build builds an overlay with kustomize's own defaults, and decodes each object with no field left over.
func build(overlay string) (objects, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	if err != nil {
		return nil, err
	}
	var all objects
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		object, err := decode(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.CurId(), err)
		}
		all = append(all, object)
	}
	return all, nil
}

// scheme has the kinds that the manifests use, each in the one version they use.
var scheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, apps.AddToScheme, batch.AddToScheme, networking.AddToScheme, policy.AddToScheme, monitoring.AddToScheme,
		admissionregistration.AddToScheme, discovery.AddToScheme, rbac.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}()

// decode refuses unknown and repeated fields, as the API server does with fieldValidation=Strict.
func decode(text []byte) (runtime.Object, error) {
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, _, err := codecs.UniversalDeserializer().Decode(bytes.TrimSpace(text), nil, nil)
	return object, err
}

// of returns the objects of one kind.
func of[T runtime.Object](all objects) []T {
	var some []T
	for _, o := range all {
		if t, ok := o.(T); ok {
			some = append(some, t)
		}
	}
	return some
}

// workload is what makes pods.
type workload struct {
	object   meta.Object
	kind     string
	replicas int
	selector *meta.LabelSelector // nil: a Job, which makes its own
	pod      core.PodTemplateSpec
}

// name is as in Deployment/worker.
func (w workload) name() string { return w.kind + "/" + w.object.GetName() }

// workloads returns all that make pods.
func (all objects) workloads() []workload {
	var found []workload
	for _, object := range all {
		switch o := object.(type) {
		case *apps.Deployment:
			found = append(found, workload{o, "Deployment", int(*o.Spec.Replicas), o.Spec.Selector, o.Spec.Template})
		case *apps.StatefulSet:
			found = append(found, workload{o, "StatefulSet", int(*o.Spec.Replicas), o.Spec.Selector, o.Spec.Template})
		case *batch.Job:
			found = append(found, workload{o, "Job", 1, nil, o.Spec.Template})
		}
	}
	return found
}

// containers returns those of a pod, first those of its start.
func containers(pod core.PodSpec) []core.Container {
	return append(append([]core.Container(nil), pod.InitContainers...), pod.Containers...)
}

// elector returns the container that is elector, or nil.
func elector(pod core.PodSpec) *core.Container {
	for _, c := range containers(pod) {
		if c.Name == "elector" || len(c.Command) == 1 && filepath.Base(c.Command[0]) == "elector" {
			return &c
		}
	}
	return nil
}

func TestEveryExampleIsOneOfThoseInTheReadme(t *testing.T) {
	readme, err := os.ReadFile(root + "/deploy/kubernetes/README.md")
	if err != nil {
		t.Fatal(err)
	}
	built := examples(t)
	if len(built) < 10 {
		t.Errorf("only %d examples were built", len(built))
	}
	for example, all := range built {
		if !bytes.Contains(readme, []byte("(examples/"+example+")")) {
			t.Errorf("README.md does not have examples/%s", example)
		}
		if len(all) == 0 {
			t.Errorf("%s consists of nothing", example)
		}
	}
}
