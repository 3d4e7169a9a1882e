package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
)

// injected returns deploy/kubernetes/inject, built, decoded and compiled.
func injected(t *testing.T) (objects, *injection) {
	t.Helper()
	all, err := build(root + "/deploy/kubernetes/inject")
	if err != nil {
		t.Fatal(err)
	}
	in, err := compile(all)
	if err != nil {
		t.Fatal(err)
	}
	return all, in
}

// asking returns a pod that asks for injection, as somebody would write it.
func asking(change func(*core.Pod)) *core.Pod {
	pod := &core.Pod{}
	pod.Name, pod.Namespace = "mine-1", "mine"
	pod.Labels = map[string]string{"elector/inject": "true", "app": "mine"}
	pod.Annotations = map[string]string{"elector/election": "mine"}
	pod.Spec.Containers = []core.Container{{Name: "main", Image: "busybox:1"}}
	if change != nil {
		change(pod)
	}
	return pod
}

func TestInjectionIsBoundToItsDefaults(t *testing.T) {
	all, in := injected(t)
	policy := of[*admissionregistration.MutatingAdmissionPolicy](all)[0]
	mutates, validates := of[*admissionregistration.MutatingAdmissionPolicyBinding](all), of[*admissionregistration.ValidatingAdmissionPolicyBinding](all)
	if len(mutates) != 1 || len(validates) != 1 {
		t.Fatalf("%d and %d bindings, not one of each", len(mutates), len(validates))
	}
	if got := validates[0].Spec.ValidationActions; !slices.Equal(got, []admissionregistration.ValidationAction{admissionregistration.Deny}) {
		t.Errorf("what is refused is done all the same: %v", got)
	}
	for name, ref := range map[string]*admissionregistration.ParamRef{mutates[0].Spec.PolicyName: mutates[0].Spec.ParamRef, validates[0].Spec.PolicyName: validates[0].Spec.ParamRef} {
		if name != policy.Name || ref.Name != in.defaults.Name || ref.Namespace != in.defaults.Namespace || *ref.ParameterNotFoundAction != admissionregistration.DenyAction {
			t.Errorf("the binding of %s names %s/%s, not %s/%s", name, ref.Namespace, ref.Name, in.defaults.Namespace, in.defaults.Name)
		}
	}
	if validates[0].Spec.PolicyName != of[*admissionregistration.ValidatingAdmissionPolicy](all)[0].Name {
		t.Error("the validating policy is bound to nothing")
	}
	for _, wrong := range valid(objects{in.defaults, of[*core.Namespace](all)[0]}) {
		t.Error(wrong)
	}
}

// Annotations that are taken are settings, and those of the README.
func TestInjectionKnowsAnnotationsThatAreSettings(t *testing.T) {
	all, _ := injected(t)
	variables := of[*admissionregistration.ValidatingAdmissionPolicy](all)[0].Spec.Variables
	i := slices.IndexFunc(variables, func(v admissionregistration.Variable) bool { return v.Name == "known" })
	list, _, _ := strings.Cut(variables[i].Expression, "]")
	known := regexp.MustCompile(`"([a-z-]+)"`).FindAllStringSubmatch(list, -1)
	if len(known) < 6 {
		t.Fatalf("only %q are known", known)
	}
	for file, form := range map[string]string{"/README.md": "`--%s`", "/deploy/kubernetes/README.md": "`elector/%s`"} {
		readme, err := os.ReadFile(root + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range known {
			if want := fmt.Sprintf(form, name[1]); !strings.Contains(string(readme), want) {
				t.Errorf("%s has no %s", file, want)
			}
		}
	}
}

// As the kustomization's comment says how to.
func TestInjectionTakesItsDefaultsFromAKustomizationOfYourOwn(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(root+"/deploy/kubernetes")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(dir + "/inject/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var mine []string
	for line := range strings.Lines(string(text)) {
		if said, ok := strings.CutPrefix(line, "#   "); ok {
			mine = append(mine, strings.Replace(said, "https://github.com/elector-dev/elector//deploy/kubernetes/inject?ref=v0.1.0", "../inject", 1))
		}
	}
	if err := os.Mkdir(dir+"/mine", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/mine/kustomization.yaml", []byte(strings.Join(mine, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := build(dir + "/mine")
	if err != nil {
		t.Fatal(err)
	}
	defaults := of[*core.ConfigMap](all)[0]
	if name := of[*admissionregistration.MutatingAdmissionPolicyBinding](all)[0].Spec.ParamRef.Name; defaults.Name != name {
		t.Errorf("the ConfigMap is called %s, and the bindings name %s", defaults.Name, name)
	}
	for key, want := range map[string]string{"ELECTOR_ETCD_ENDPOINTS": "https://etcd.example.com:2379", "ELECTOR_ETCD_USER": "elector",
		"image": elector(examples(t)["worker"].workloads()[0].pod.Spec).Image} {
		if got := defaults.Data[key]; got != want {
			t.Errorf("%s is %q, not %q", key, got, want)
		}
	}
}

// The worker's example is made twice, by the component, and by injection from what it was before.
func TestInjectionMakesWhatTheComponentMakes(t *testing.T) {
	_, in := injected(t)
	built := examples(t)
	want := built["worker"].workloads()[0].pod.DeepCopy()
	i := slices.IndexFunc(want.Spec.InitContainers, func(c core.Container) bool { return c.Name == "elector" })
	want.Spec.InitContainers[i] = resolved(t, want.Spec.InitContainers[i], built["worker"])

	before := built["base"].workloads()[0].pod.DeepCopy()
	pod := &core.Pod{ObjectMeta: before.ObjectMeta, Spec: before.Spec}
	pod.Labels["elector/inject"] = "true"
	pod.Annotations = map[string]string{"elector/election": "worker"}
	pod = in.mutate(t, pod)
	if said := in.refusals(t, pod); said != nil {
		t.Fatal(said)
	}
	delete(pod.Labels, "elector/inject")

	for _, spec := range []*core.PodSpec{&pod.Spec, &want.Spec} {
		slices.SortFunc(spec.Volumes, func(a, b core.Volume) int { return strings.Compare(a.Name, b.Name) })
	}
	if got, want := text(t, pod.Spec), text(t, want.Spec); got != want {
		t.Errorf("injection makes\n%s\nand the component\n%s", got, want)
	}
	if !maps.Equal(pod.Labels, want.Labels) {
		t.Errorf("the labels are %v, not %v", pod.Labels, want.Labels)
	}
}

// resolved puts the ConfigMap that a container has its settings from in its place, as the kubelet does, in order.
func resolved(t *testing.T, c core.Container, all objects) core.Container {
	t.Helper()
	for _, from := range c.EnvFrom {
		maps := of[*core.ConfigMap](all)
		i := slices.IndexFunc(maps, func(m *core.ConfigMap) bool { return m.Name == from.ConfigMapRef.Name })
		if i < 0 {
			t.Fatalf("no ConfigMap %s", from.ConfigMapRef.Name)
		}
		c.Env = append(slices.Clone(c.Env), settingsOf(maps[i].Data)...)
	}
	c.EnvFrom = nil
	return c
}

// settingsOf are a ConfigMap's in the environment, in order.
func settingsOf(data map[string]string) []core.EnvVar {
	var env []core.EnvVar
	for _, name := range slices.Sorted(maps.Keys(data)) {
		env = append(env, core.EnvVar{Name: name, Value: data[name]})
	}
	return env
}

// text is an object as JSON, to be compared.
func text(t *testing.T, object any) string {
	t.Helper()
	b, err := json.MarshalIndent(object, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestInjectionPutsTheSidecarFirstAndLeavesTheRest(t *testing.T) {
	_, in := injected(t)
	always := core.ContainerRestartPolicyAlways
	for _, c := range []struct {
		name   string
		change func(*core.Pod)
		first  []string // the init containers
		env    map[string]string
	}{
		{"without init containers", nil, []string{"elector"}, map[string]string{"ELECTOR_ELECTION": "mine", "ELECTOR_ETCD_USER": "elector"}},
		{"with an empty list", func(p *core.Pod) { p.Spec.InitContainers = []core.Container{} }, []string{"elector"}, nil},
		{"with some", func(p *core.Pod) {
			p.Spec.InitContainers = []core.Container{{Name: "migrate", Image: "busybox:1"}, {Name: "proxy", Image: "busybox:1", RestartPolicy: &always}}
		}, []string{"elector", "migrate", "proxy"}, nil},
		{"with volumes", func(p *core.Pod) {
			p.Spec.Volumes = []core.Volume{{Name: "mine", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}}}
		}, []string{"elector"}, nil},
		{"with a Secret of its own", func(p *core.Pod) {
			p.Spec.Volumes = []core.Volume{{Name: "elector-etcd", VolumeSource: core.VolumeSource{Secret: &core.SecretVolumeSource{SecretName: "other"}}}}
		}, []string{"elector"}, nil},
		{"with annotations over defaults", func(p *core.Pod) {
			p.Annotations = map[string]string{"elector/election": "a.b_c", "elector/ttl": "1m30s", "elector/require-hold": "true",
				"elector/etcd-endpoints": "https://a:2379, https://b:2379/", "elector/etcd-user": "other", "elector/log-level": "debug", "unrelated/ttl": "x"}
		}, []string{"elector"}, map[string]string{"ELECTOR_ELECTION": "a.b_c", "ELECTOR_TTL": "1m30s", "ELECTOR_REQUIRE_HOLD": "true",
			"ELECTOR_ETCD_ENDPOINTS": "https://a:2379, https://b:2379/", "ELECTOR_ETCD_USER": "other", "ELECTOR_LOG_LEVEL": "debug"}},
		{"that did not ask", func(p *core.Pod) { delete(p.Labels, "elector/inject") }, nil, nil},
		{"that asked not to", func(p *core.Pod) { p.Labels["elector/inject"] = "false" }, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := asking(c.change)
			pod := in.mutate(t, before)
			if got := names(pod.Spec.InitContainers); !slices.Equal(got, c.first) {
				t.Fatalf("the init containers are %q, not %q", got, c.first)
			}
			if said := in.refusals(t, pod); said != nil {
				t.Errorf("it is refused: %q", said)
			}
			if again := in.mutate(t, pod); text(t, again) != text(t, pod) {
				t.Errorf("a second time makes of it\n%s", text(t, again))
			}
			if c.first == nil {
				return
			}
			for _, wrong := range valid(objects{pod}) {
				t.Error(wrong)
			}
			has := make(map[string]string)
			for _, e := range pod.Spec.InitContainers[0].Env {
				has[e.Name] = e.Value
			}
			for name, want := range c.env {
				if has[name] != want {
					t.Errorf("%s is %q, not %q", name, has[name], want)
				}
			}
			keepsTheRest(t, before, pod)
		})
	}
}

// keepsTheRest takes away what injection adds, and wants what was there before.
func keepsTheRest(t *testing.T, before, pod *core.Pod) {
	t.Helper()
	before, pod = before.DeepCopy(), pod.DeepCopy()
	for _, p := range []*core.Pod{before, pod} {
		p.TypeMeta.Kind, p.APIVersion = "", ""
		delete(p.Labels, "elector.dev/sidecar")
		p.Spec.InitContainers = slices.DeleteFunc(p.Spec.InitContainers, func(c core.Container) bool { return c.Name == "elector" })
		had := before.Spec.Volumes
		p.Spec.Volumes = slices.DeleteFunc(p.Spec.Volumes, func(v core.Volume) bool {
			return !slices.ContainsFunc(had, func(h core.Volume) bool { return h.Name == v.Name })
		})
	}
	if got, want := text(t, pod), text(t, before); got != want {
		t.Errorf("of\n%s\nremains\n%s", want, got)
	}
}
