package kubernetes

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	internaldiscovery "k8s.io/kubernetes/pkg/apis/discovery"
	discoveryvalidation "k8s.io/kubernetes/pkg/apis/discovery/validation"
)

// permission is one thing that somebody may do; the resource is as in endpointslices.discovery.k8s.io.
type permission struct{ verb, resource, name string }

const slicesResource = "endpointslices.discovery.k8s.io"

// told looks at electors that tell the API server who leads: at the objects that they write, and at what they may.
func told(all objects) []string {
	var wrong []string
	for _, w := range all.workloads() {
		c := elector(w.pod.Spec)
		if c == nil {
			continue
		}
		env := all.environment(*c)
		var need []permission
		if name := env["ELECTOR_KUBE_SERVICE"]; name != "" {
			need = append(need, permission{"get", slicesResource, name}, permission{"patch", slicesResource, name})
			wrong = append(wrong, all.slice(w, name, w.object.GetNamespace()+"/"+env["ELECTOR_ELECTION"])...)
		}
		if env["ELECTOR_KUBE_POD_LABEL"] != "" {
			need = append(need, permission{"patch", "pods", ""})
		}
		wrong = append(wrong, all.access(w, *c, need)...)
	}
	return wrong
}

// environment is what a container gets from ConfigMaps.
func (all objects) environment(c core.Container) map[string]string {
	env := make(map[string]string)
	for _, from := range c.EnvFrom {
		for _, m := range of[*core.ConfigMap](all) {
			if from.ConfigMapRef != nil && m.Name == from.ConfigMapRef.Name {
				maps.Copy(env, m.Data)
			}
		}
	}
	return env
}

// slice looks for what belongs to the slice that a workload's leader writes.
func (all objects) slice(w workload, name, election string) []string {
	var wrong []string
	found := slices.DeleteFunc(of[*discovery.EndpointSlice](all), func(s *discovery.EndpointSlice) bool { return s.Name != name })
	if len(found) != 1 {
		sentence(&wrong, "there is no EndpointSlice %s for %s", name, w.name())
		return wrong
	}
	s := found[0]
	if mark := s.Annotations["elector.dev/election"]; mark != election {
		sentence(&wrong, "EndpointSlice/%s is marked %q, and not %q", name, mark, election)
	}
	if len(s.Endpoints) > 0 {
		sentence(&wrong, "EndpointSlice/%s has endpoints, which each kubectl apply would bring back", name)
	}
	service := s.Labels[discovery.LabelServiceName]
	i := slices.IndexFunc(of[*core.Service](all), func(o *core.Service) bool { return o.Name == service && o.Spec.Selector == nil })
	if i < 0 {
		sentence(&wrong, "there is no Service %s without a selector for EndpointSlice/%s", service, name)
		return wrong
	}
	for _, port := range s.Ports {
		fits := func(p core.ServicePort) bool { return p.Name == *port.Name && p.TargetPort.IntVal == *port.Port }
		if !slices.ContainsFunc(of[*core.Service](all)[i].Spec.Ports, fits) || !w.port(intstr.FromInt32(*port.Port)) {
			sentence(&wrong, "port %d of EndpointSlice/%s is none of Service/%s, or of %s", *port.Port, name, service, w.name())
		}
	}
	return wrong
}

// access compares what a workload's account may do with what it has to, and looks where its token is.
func (all objects) access(w workload, c core.Container, need []permission) []string {
	var wrong []string
	may := all.permissions(w)
	for _, p := range need {
		if !may[p] {
			sentence(&wrong, "%s may not %q %s %s", w.name(), p.verb, p.resource, p.name)
		}
		delete(may, p)
	}
	if len(may) > 0 {
		sentence(&wrong, "%s may do more than it has to: %v", w.name(), may)
	}
	if len(need) == 0 {
		return wrong
	}
	const at = "/var/run/secrets/kubernetes.io/serviceaccount"
	i := slices.IndexFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return m.MountPath == at })
	if i < 0 {
		sentence(&wrong, "%s has no token at %s", w.name(), at)
		return wrong
	}
	for _, other := range containers(w.pod.Spec) {
		if other.Name != c.Name && slices.ContainsFunc(other.VolumeMounts, func(m core.VolumeMount) bool { return m.Name == c.VolumeMounts[i].Name }) {
			sentence(&wrong, "%s gets the token too", other.Name)
		}
	}
	return wrong
}

// permissions are those of a workload's account.
func (all objects) permissions(w workload) map[permission]bool {
	may := make(map[permission]bool)
	for _, b := range of[*rbac.RoleBinding](all) {
		if !slices.ContainsFunc(b.Subjects, func(s rbac.Subject) bool {
			return s.Kind == "ServiceAccount" && s.Name == cmp.Or(w.pod.Spec.ServiceAccountName, "default") && s.Namespace == w.object.GetNamespace()
		}) {
			continue
		}
		for _, r := range of[*rbac.Role](all) {
			if r.Name != b.RoleRef.Name {
				continue
			}
			for _, rule := range r.Rules {
				grant(may, rule)
			}
		}
	}
	return may
}

// grant adds what a rule lets one do.
func grant(may map[permission]bool, rule rbac.PolicyRule) {
	names := rule.ResourceNames
	if names == nil {
		names = []string{""}
	}
	for _, verb := range rule.Verbs {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					may[permission{verb, strings.TrimSuffix(resource+"."+group, "."), name}] = true
				}
			}
		}
	}
}

// What a leader merges into the slice is taken by the API server's code, as the change of an object that is there.
func TestTheAPIServersCodeTakesWhatElectorWrites(t *testing.T) {
	slice := of[*discovery.EndpointSlice](examples(t)["service"])[0]
	for file, endpoints := range map[string]int{"leads.json": 1, "emptied.json": 0} {
		patch, err := os.ReadFile(root + "/internal/kube/testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		said, next := merged(t, slice, patch)
		if len(said) > 0 || len(next.Endpoints) != endpoints || next.Annotations["elector.dev/token"] != "5" || len(next.Ports) != len(slice.Ports) {
			t.Errorf("%s makes %v, of which is said: %v", file, next, said)
		}
		for _, wrong := range []string{`"addresses": ["10.0.0"]`, `"addresses": []`, `"adresses": ["10.0.0.1"]`} {
			if said, _ := merged(t, slice, regexp.MustCompile(`"addresses": \[[^]]*\]`).ReplaceAll(patch, []byte(wrong))); len(said) == 0 && endpoints > 0 {
				t.Errorf("%s with %s goes through", file, wrong)
			}
		}
	}
}

// merged is an object with a merge patch of two levels in it, and what the API server would say of that.
func merged(t *testing.T, old *discovery.EndpointSlice, patch []byte) (said []string, next *discovery.EndpointSlice) {
	t.Helper()
	old = old.DeepCopy()
	old.ResourceVersion = "17"
	text, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	var into map[string]any
	var p struct {
		Metadata struct {
			ResourceVersion string
			Annotations     map[string]any
		}
		Endpoints any
	}
	if err := errors.Join(json.Unmarshal(text, &into), json.Unmarshal(patch, &p)); err != nil {
		t.Fatal(err)
	}
	if p.Metadata.ResourceVersion != old.ResourceVersion {
		return []string{"it is of another version"}, old
	}
	maps.Copy(into["metadata"].(map[string]any)["annotations"].(map[string]any), p.Metadata.Annotations)
	into["endpoints"] = p.Endpoints
	if text, err = json.Marshal(into); err != nil {
		t.Fatal(err)
	}
	object, err := decode(text)
	if err != nil {
		return []string{err.Error()}, old
	}
	next = object.(*discovery.EndpointSlice)
	var both [2]internaldiscovery.EndpointSlice
	for i, o := range []*discovery.EndpointSlice{old, next} {
		legacyscheme.Scheme.Default(o)
		if err := legacyscheme.Scheme.Convert(o, &both[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range discoveryvalidation.ValidateEndpointSliceUpdate(&both[1], &both[0]) {
		said = append(said, err.Error())
	}
	return said, next
}
