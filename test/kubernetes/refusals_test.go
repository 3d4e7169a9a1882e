package kubernetes

import (
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

func TestWhatInjectionCannotDoIsRefusedWithASentence(t *testing.T) {
	_, in := injected(t)
	annotated := func(key, value string) func(*core.Pod, map[string]string) {
		return func(p *core.Pod, _ map[string]string) { p.Annotations[key] = value }
	}
	port := func(name string, number int32) func(*core.Pod, map[string]string) {
		return func(p *core.Pod, _ map[string]string) {
			p.Spec.Containers[0].Ports = []core.ContainerPort{{Name: name, ContainerPort: number}}
		}
	}
	volume := func(name string, source core.VolumeSource) func(*core.Pod, map[string]string) {
		return func(p *core.Pod, _ map[string]string) {
			p.Spec.Volumes = []core.Volume{{Name: name, VolumeSource: source}}
		}
	}
	host := core.VolumeSource{HostPath: &core.HostPathVolumeSource{Path: "/"}}
	for _, c := range []struct {
		name   string
		change func(pod *core.Pod, defaults map[string]string)
		said   string // "": it is taken
	}{
		{"nothing wrong", func(*core.Pod, map[string]string) {}, ""},
		{"no election", func(p *core.Pod, _ map[string]string) { p.Annotations = nil },
			"no election is named: annotate the pod with elector/election, or set ELECTOR_ELECTION in the ConfigMap elector-inject"},
		{"an election by default", func(p *core.Pod, d map[string]string) { p.Annotations, d["ELECTOR_ELECTION"] = nil, "all" }, ""},
		{"an election that is two parts of a key", annotated("elector/election", "a/b"), `the election "a/b" holds a slash, # or control character: use others`},
		{"an election with a control character", annotated("elector/election", "a\x1bb"), "control character"},
		{"a name too long", annotated("elector/election", strings.Repeat("ä", 127)), "the election's name has 254 bytes, more than 253: choose a shorter one"},
		{"a name of the greatest length", annotated("elector/election", strings.Repeat("a", 253)), ""},
		{"a misspelt annotation", annotated("elector/elction", "a"), "the annotation elector/elction is none of elector/election, elector/ttl, "},
		{"the label as an annotation", annotated("elector/inject", "true"), "the annotation elector/inject is none of"},
		{"a lease that is no duration", annotated("elector/ttl", "ten"), `the lease time "ten" is not between 3s and 300s in whole seconds: write elector/ttl as in 10s`},
		{"a lease without a unit", annotated("elector/ttl", "10"), `the lease time "10" is not`},
		{"a lease as long as an answer", annotated("elector/ttl", "2s"), `the lease time "2s" is not`},
		{"a lease longer than a shorter answer", func(p *core.Pod, d map[string]string) {
			p.Annotations["elector/ttl"], d["ELECTOR_ANSWER_MAX"] = "2s", "1s"
		}, ""},
		{"a lease too short", func(p *core.Pod, d map[string]string) {
			p.Annotations["elector/ttl"], d["ELECTOR_ANSWER_MAX"] = "1s", "500ms"
		}, `the lease time "1s" is not between 2s and 300s`},
		{"a lease too long", annotated("elector/ttl", "5m1s"), `the lease time "5m1s" is not`},
		{"the longest lease", annotated("elector/ttl", "5m"), ""},
		{"half a second", annotated("elector/ttl", "2500ms"), `the lease time "2500ms" is not`},
		{"a truth that is none", annotated("elector/require-hold", "yes"), `elector/require-hold is "yes": write "true" or "false"`},
		{"a level that is none", annotated("elector/log-level", "loud"), `elector/log-level is "loud": write debug, info, warn or error`},
		{"no etcd", func(_ *core.Pod, d map[string]string) { delete(d, "ELECTOR_ETCD_ENDPOINTS") }, "no etcd is named: annotate the pod with elector/etcd-endpoints, or set ELECTOR_ETCD_ENDPOINTS in the ConfigMap elector-inject"},
		{"an endpoint without a port", annotated("elector/etcd-endpoints", "http://a:2379,http://b"), `the endpoints of etcd are "http://a:2379,http://b": write http://host:port`},
		{"an endpoint with a password", annotated("elector/etcd-endpoints", "http://u:secret@a:2379"), `the endpoints of etcd are "a:2379": write`},
		{"a password in the clear", annotated("elector/etcd-endpoints", "http://a:2379"),
			"the endpoints of etcd begin with http://, which must not be used with ELECTOR_ETCD_USER, ELECTOR_ETCD_CACERT: write https://, or take those out of the ConfigMap elector-inject"},
		{"nothing that must not be in the clear", func(p *core.Pod, d map[string]string) {
			clear(d)
			p.Annotations["elector/etcd-endpoints"], d["image"] = "http://a:2379", "elector:v1"
		}, ""},
		{"a user of its own in the clear", func(p *core.Pod, d map[string]string) {
			clear(d)
			p.Annotations["elector/etcd-user"], p.Annotations["elector/etcd-endpoints"], d["image"] = "me", "http://a:2379", "elector:v1"
		}, "must not be used with elector/etcd-user"},
		{"a default that is no setting", func(_ *core.Pod, d map[string]string) { d["ttl"] = "10s" }, "the ConfigMap elector-inject has the key ttl, which is neither image nor a setting: write settings as ELECTOR_*"},
		{"no image", func(_ *core.Pod, d map[string]string) { delete(d, "image") }, "the ConfigMap elector-inject does not say which image elector has: set image in it"},
		{"no defaults", func(_ *core.Pod, d map[string]string) { clear(d) }, "does not say which image"},
		{"the network of the node", func(p *core.Pod, _ map[string]string) { p.Spec.HostNetwork = true }, "the pod has hostNetwork, where elector's ports 4040 and 4041 would be those of its node: use the kustomize component, with ports of your own"},
		{"elector's port", port("", 4040), "the container main has port 4040 or 4041, or one named elector-probe, which are elector's: choose others"},
		{"elector's port for probes", port("", 4041), "the container main has port 4040 or 4041"},
		{"the name of elector's port", port("elector-probe", 8080), "the container main has port 4040 or 4041"},
		{"another port", port("http", 8080), ""},
		{"a Secret that is none", volume("elector-etcd", host), "the volume elector-etcd of the pod's own cannot be elector's: rename it, or make elector-etcd a secret or projected and elector-state an emptyDir"},
		{"a state that is none", volume("elector-state", host), "the volume elector-state of the pod's own cannot be elector's"},
		{"a projected Secret", volume("elector-etcd", core.VolumeSource{Projected: &core.ProjectedVolumeSource{}}), ""},
		{"a container of that name", func(p *core.Pod, _ map[string]string) { p.Spec.Containers[0].Name = "elector" }, "the pod has a container elector that is not as injection makes it: rename it, or drop the label elector/inject"},
		{"an init container of that name", func(p *core.Pod, _ map[string]string) {
			p.Spec.InitContainers = []core.Container{{Name: "elector", Image: "busybox:1"}}
		}, "the pod has a container elector that is not as injection makes it"},
		{"a label that means nothing", func(p *core.Pod, _ map[string]string) { p.Labels["elector/inject"] = "yes" }, `the label elector/inject is "yes": write "true", or "false" for a pod without elector`},
		{"Windows", func(p *core.Pod, _ map[string]string) { p.Spec.OS = &core.PodOS{Name: core.Windows} }, "the pod is for windows, and elector runs on Linux alone: drop the label elector/inject"},
	} {
		t.Run(c.name, func(t *testing.T) {
			with := *in
			with.defaults = in.defaults.DeepCopy()
			pod := asking(nil)
			c.change(pod, with.defaults.Data)
			said := with.refusals(t, with.mutate(t, pod))
			switch {
			case c.said == "" && len(said) > 0:
				t.Errorf("it is refused: %q", said)
			case c.said != "" && (len(said) == 0 || !strings.Contains(said[0], c.said)):
				t.Errorf("%q is not what is said, but %q", c.said, said)
			}
			if slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "cannot be judged") || s == "" }) {
				t.Errorf("a sentence is none: %q", said)
			}
		})
	}
}

// A container that a person changed after injection made it, in a pod that is then created from what was seen.
func TestAPodThatWasChangedAfterInjectionIsRefused(t *testing.T) {
	_, in := injected(t)
	for name, change := range map[string]func(*core.Container){
		"an ordinary init container": func(c *core.Container) { c.RestartPolicy = nil },
		"another release":            func(c *core.Container) { c.Args[0] = "--shutdown-release=promised" },
		"a liveness probe":           func(c *core.Container) { c.LivenessProbe = c.ReadinessProbe },
		"a startup probe":            func(c *core.Container) { c.StartupProbe = c.ReadinessProbe },
	} {
		pod := in.mutate(t, asking(nil))
		change(&pod.Spec.InitContainers[0])
		if said := in.refusals(t, in.mutate(t, pod)); len(said) != 1 || !strings.Contains(said[0], "is not as injection makes it") {
			t.Errorf("%s: %q is said", name, said)
		}
	}
}

// As in the second in which the one policy is in force and the other is not.
func TestAPodThatWasNotInjectedIsRefused(t *testing.T) {
	_, in := injected(t)
	said := in.refusals(t, asking(nil))
	if len(said) != 1 || !strings.HasPrefix(said[0], "elector has not been injected: see that the MutatingAdmissionPolicy elector-inject and its binding are there") {
		t.Errorf("%q is said", said)
	}
}
