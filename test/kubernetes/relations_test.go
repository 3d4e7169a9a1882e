package kubernetes

import (
	"maps"
	"slices"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// inputs are the Secrets that the examples want and do not bring, as README.md says. The example's etcd makes them.
var inputs = []string{"elector-etcd"}

// references looks for every ConfigMap and Secret that pods name.
func references(all objects) []string {
	have := make(map[string]bool)
	for _, c := range of[*core.ConfigMap](all) {
		have["ConfigMap "+c.Name] = true
	}
	for _, s := range of[*core.Secret](all) {
		have["Secret "+s.Name] = true
	}
	for _, name := range inputs {
		have["Secret "+name] = true
	}
	var wrong []string
	for _, w := range all.workloads() {
		for _, name := range named(w.pod.Spec) {
			if !have[name] {
				sentence(&wrong, "%s names the %s, which is not there", w.name(), name)
			}
		}
	}
	return wrong
}

// named returns what a pod names.
func named(pod core.PodSpec) []string {
	var names []string
	for _, v := range pod.Volumes {
		if v.ConfigMap != nil {
			names = append(names, "ConfigMap "+v.ConfigMap.Name)
		}
		if v.Secret != nil {
			names = append(names, "Secret "+v.Secret.SecretName)
		}
	}
	for _, c := range containers(pod) {
		for _, e := range c.EnvFrom {
			if e.ConfigMapRef != nil {
				names = append(names, "ConfigMap "+e.ConfigMapRef.Name)
			}
		}
	}
	return names
}

// matches tells whether a selector takes the pods of a workload.
func matches(selector *meta.LabelSelector, w workload) bool {
	s, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(w.pod.Labels))
}

// selected returns the workloads whose pods a selector takes.
func (all objects) selected(selector *meta.LabelSelector) []workload {
	return slices.DeleteFunc(all.workloads(), func(w workload) bool { return !matches(selector, w) })
}

// port tells whether the pods of a workload have a port of that name or number.
func (w workload) port(port intstr.IntOrString) bool {
	for _, c := range containers(w.pod.Spec) {
		for _, p := range c.Ports {
			if p.Name == port.StrVal && port.Type == intstr.String || p.ContainerPort == port.IntVal && port.Type == intstr.Int {
				return true
			}
		}
	}
	return false
}

// selectors looks for what each selector takes, in the example itself.
func selectors(all objects) []string {
	var wrong []string
	check := func(what string, selector *meta.LabelSelector, ports ...intstr.IntOrString) {
		found := all.selected(selector)
		if len(found) == 0 {
			sentence(&wrong, "%s selects no pods", what)
		}
		for _, w := range found {
			for _, port := range ports {
				if !w.port(port) {
					sentence(&wrong, "%s wants port %s, which %s does not have", what, port.String(), w.name())
				}
			}
		}
	}
	for _, s := range of[*core.Service](all) {
		if s.Spec.Selector == nil {
			continue // it has the endpoints that somebody writes
		}
		var ports []intstr.IntOrString
		for _, p := range s.Spec.Ports {
			if p.TargetPort == (intstr.IntOrString{}) {
				p.TargetPort = intstr.FromInt32(p.Port)
			}
			ports = append(ports, p.TargetPort)
		}
		check("Service/"+s.Name, &meta.LabelSelector{MatchLabels: s.Spec.Selector}, ports...)
	}
	for _, b := range of[*policy.PodDisruptionBudget](all) {
		check("PodDisruptionBudget/"+b.Name, b.Spec.Selector)
	}
	for _, m := range of[*monitoring.PodMonitor](all) {
		for _, e := range m.Spec.PodMetricsEndpoints {
			check("PodMonitor/"+m.Name, &m.Spec.Selector, intstr.FromString(*e.Port))
			if e.Path != "/metrics" {
				sentence(&wrong, "PodMonitor/%s scrapes %q", m.Name, e.Path)
			}
		}
	}
	for _, w := range all.workloads() {
		for _, c := range w.pod.Spec.TopologySpreadConstraints {
			if !matches(c.LabelSelector, w) {
				sentence(&wrong, "%s is spread by labels that it does not have", w.name())
			}
		}
		if s, ok := w.object.(*apps.StatefulSet); ok && !slices.ContainsFunc(of[*core.Service](all), func(service *core.Service) bool {
			return service.Name == s.Spec.ServiceName && service.Spec.ClusterIP == core.ClusterIPNone
		}) {
			sentence(&wrong, "%s has no headless Service %q", w.name(), s.Spec.ServiceName)
		}
	}
	return wrong
}

// ready is how many pods of a workload are ready when all is well.
func (w workload) ready() int {
	if !w.standbysReady() {
		return 1
	}
	return w.replicas
}

// standbysReady tells whether pods become ready without leading.
func (w workload) standbysReady() bool {
	c := elector(w.pod.Spec)
	return c == nil || !strings.Contains(c.ReadinessProbe.HTTPGet.Path, "role=leader")
}

// budgets does the sum of the disruption controller: what is ready less what has to be.
func budgets(all objects) []string {
	var wrong []string
	for _, b := range of[*policy.PodDisruptionBudget](all) {
		for _, w := range all.selected(b.Spec.Selector) {
			needed := 0
			switch {
			case b.Spec.MaxUnavailable != nil:
				n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MaxUnavailable, w.replicas, true)
				if err != nil {
					sentence(&wrong, "PodDisruptionBudget/%s: %v", b.Name, err)
				}
				needed = w.replicas - n
			case b.Spec.MinAvailable != nil:
				n, err := intstr.GetScaledValueFromIntOrPercent(b.Spec.MinAvailable, w.replicas, true)
				if err != nil {
					sentence(&wrong, "PodDisruptionBudget/%s: %v", b.Name, err)
				}
				needed = n
			}
			if w.ready() <= needed {
				sentence(&wrong, "PodDisruptionBudget/%s wants %d of %d ready pods of %s, so that no node with one can be drained", b.Name, needed, w.ready(), w.name())
			}
		}
	}
	return wrong
}

// elections compares what the examples take part in with what etcd's setup grants.
func elections(built map[string]objects) []string {
	taken, granted := make(map[string]bool), make(map[string]bool)
	for _, all := range built {
		for _, c := range of[*core.ConfigMap](all) {
			if name := c.Data["ELECTOR_ELECTION"]; name != "" {
				taken[name] = true
			}
		}
		for _, w := range all.workloads() {
			for _, e := range w.pod.Spec.Containers[0].Env {
				if e.Name == "ELECTIONS" {
					for _, name := range strings.Fields(e.Value) {
						granted[name] = true
					}
				}
			}
		}
	}
	if !maps.Equal(taken, granted) {
		return []string{"etcd grants roles for " + strings.Join(slices.Sorted(maps.Keys(granted)), " ") + ", and the examples are in " + strings.Join(slices.Sorted(maps.Keys(taken)), " ")}
	}
	return nil
}
