package kubernetes

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// restricted asks the evaluator of the Pod Security admission.
func restricted(w workload) []string {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	version := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	verdict := policy.AggregateCheckResults(evaluator.EvaluatePod(version, &w.pod.ObjectMeta, &w.pod.Spec))
	if !verdict.Allowed {
		return []string{verdict.ForbiddenDetail()}
	}
	return nil
}

func limited(w workload) []string {
	var wrong []string
	for _, c := range containers(w.pod.Spec) {
		r := c.Resources
		if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().IsZero() {
			sentence(&wrong, "%s lacks a request or the limit of its memory", c.Name)
		}
		if !r.Limits.Cpu().IsZero() {
			sentence(&wrong, "%s has a limit of its CPU, by which renewals may come late", c.Name)
		}
		if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			sentence(&wrong, "%s can write to its image", c.Name)
		}
	}
	if w.pod.Spec.AutomountServiceAccountToken == nil || *w.pod.Spec.AutomountServiceAccountToken {
		sentence(&wrong, "it gets a token of the API server, which nobody in it needs")
	}
	return wrong
}

// images demands one tag for each image in all examples.
func images(built map[string]objects) []string {
	tags := make(map[string]map[string]bool)
	see := func(image string) {
		name, tag, _ := strings.Cut(image, ":")
		if tags[name] == nil {
			tags[name] = make(map[string]bool)
		}
		tags[name][tag] = true
	}
	for _, all := range built {
		for _, w := range all.workloads() {
			for _, c := range containers(w.pod.Spec) {
				see(c.Image)
			}
			for _, v := range w.pod.Spec.Volumes {
				if v.Image != nil {
					see(v.Image.Reference)
				}
			}
		}
	}
	var wrong []string
	for name, tag := range tags {
		if len(tag) != 1 || tag[""] || tag["latest"] {
			sentence(&wrong, "%s has the tags %q", name, slices.Sorted(maps.Keys(tag)))
		}
	}
	if want := []string{"busybox", "gcr.io/etcd-development/etcd", "ghcr.io/elector-dev/elector"}; !slices.Equal(slices.Sorted(maps.Keys(tags)), want) {
		sentence(&wrong, "the images are %q, not %q", slices.Sorted(maps.Keys(tags)), want)
	}
	return wrong
}

// release tells by its place which release an elector must have.
func release(w workload) []string {
	var wrong []string
	c := elector(w.pod.Spec)
	if c == nil {
		return nil
	}
	native := c.RestartPolicy != nil && *c.RestartPolicy == core.ContainerRestartPolicyAlways
	said := setting(*c, "--shutdown-release")
	switch {
	case c.Lifecycle != nil:
		sentence(&wrong, "elector has hooks of the kubelet, which do not wait for the worker")
	case native && (c.LivenessProbe != nil || c.StartupProbe != nil):
		sentence(&wrong, "a liveness or startup probe sends SIGTERM to the native sidecar beside a living worker")
	case native && said != "now":
		sentence(&wrong, "the native sidecar releases %q", said)
	case !native && said != "promised" && said != "":
		sentence(&wrong, "the ordinary container releases %q", said)
	case native && w.pod.Spec.InitContainers[len(w.pod.Spec.InitContainers)-1].Name != c.Name:
		sentence(&wrong, "elector may lead while a later init container still runs")
	}
	if w.pod.Labels["elector.dev/sidecar"] != "true" {
		sentence(&wrong, "the pods lack the label by which policies and monitors find elector")
	}
	return wrong
}

// setting returns the value of a flag of elector, "" for one that is not set.
func setting(c core.Container, flag string) string {
	for _, arg := range c.Args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, flag+"="); ok {
			return value
		}
	}
	return ""
}

// grace does the sums of docs/shutdown.md with the defaults of elector, 10 s for holds among them.
func grace(w workload) []string {
	c := elector(w.pod.Spec)
	if c == nil {
		return nil
	}
	worker := 2 * time.Second // every example's ends within that
	for _, other := range w.pod.Spec.Containers {
		if other.Lifecycle != nil && other.Lifecycle.PreStop != nil && other.Lifecycle.PreStop.Sleep != nil {
			worker += time.Duration(other.Lifecycle.PreStop.Sleep.Seconds) * time.Second
		}
	}
	need := max(worker, 16*time.Second)
	switch {
	case c.RestartPolicy != nil:
		need = worker + 6*time.Second
	case slices.Contains(c.Args, "run"):
		need = 8500 * time.Millisecond
	}
	have := 30 * time.Second // the default
	if s := w.pod.Spec.TerminationGracePeriodSeconds; s != nil {
		have = time.Duration(*s) * time.Second
	}
	if have < need {
		return []string{fmt.Sprintf("%v of grace are less than the %v that may be needed", have, need)}
	}
	return nil
}

// probes resolves the ports of probes. What elector answers on the paths is asked of elector itself, elsewhere.
func probes(w workload) []string {
	var wrong []string
	for _, c := range containers(w.pod.Spec) {
		for kind, p := range map[string]*core.Probe{"readiness": c.ReadinessProbe, "liveness": c.LivenessProbe, "startup": c.StartupProbe} {
			if p == nil || p.HTTPGet == nil {
				continue
			}
			if p.HTTPGet.Host != "" {
				sentence(&wrong, "the %s probe of %s asks another host than the pod", kind, c.Name)
			}
			if !slices.ContainsFunc(c.Ports, func(port core.ContainerPort) bool {
				return port.Name == p.HTTPGet.Port.StrVal || port.ContainerPort == p.HTTPGet.Port.IntVal
			}) {
				sentence(&wrong, "the %s probe of %s asks port %s, which it does not have", kind, c.Name, p.HTTPGet.Port.String())
			}
		}
	}
	if c := elector(w.pod.Spec); c != nil {
		if c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet == nil {
			sentence(&wrong, "elector has no readiness probe")
		}
		if len(c.Ports) != 1 || setting(*c, "--probe-http") != ":"+strconv.Itoa(int(c.Ports[0].ContainerPort)) {
			sentence(&wrong, "the ports %v are not --probe-http %q", c.Ports, setting(*c, "--probe-http"))
		}
		if dir := setting(*c, "--state-dir"); !slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return m.MountPath == path.Dir(dir) }) {
			sentence(&wrong, "--state-dir %q is not in a volume", dir)
		}
	}
	return wrong
}

// memory wants room between what Go aims at and what the kernel kills at.
func memory(w workload) []string {
	for _, c := range containers(w.pod.Spec) {
		for _, e := range c.Env {
			if e.Name != "GOMEMLIMIT" {
				continue
			}
			aim, err := resource.ParseQuantity(strings.TrimSuffix(e.Value, "B"))
			if err != nil || aim.Value() > c.Resources.Limits.Memory().Value()*9/10 {
				return []string{fmt.Sprintf("GOMEMLIMIT %s is not below nine tenths of %s", e.Value, c.Resources.Limits.Memory())}
			}
		}
	}
	return nil
}
