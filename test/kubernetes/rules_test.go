package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A rule is what has to be true of the examples. It returns a sentence for each thing that is not.
type rule struct {
	name  string
	check func(map[string]objects) []string
}

var rules = []rule{
	{"the API server takes every object, without a warning", each(valid)},
	{"every pod complies with the restricted Pod Security profile", eachPod(restricted)},
	{"every container says what it needs, and no memory is without a limit", eachPod(limited)},
	{"images have one name and one tag each", images},
	{"nothing is mounted or read that is not there", each(references)},
	{"a native sidecar has nothing that sends it SIGTERM early, and every elector releases as its place wants", eachPod(release)},
	{"a pod's grace period is enough for what ends in it", eachPod(grace)},
	{"probes ask ports that there are", eachPod(probes)},
	{"the memory that Go aims at is below the limit", eachPod(memory)},
	{"selectors find pods, and ports that these have", each(selectors)},
	{"a budget lets every node be drained", each(budgets)},
	{"an update comes to its end, whoever leads meanwhile", eachPod(updates)},
	{"policies let through what electors, etcd and Prometheus need", traffic},
	{"every election of an example has its role in etcd", elections},
	{"who is to tell the API server something may, and no more than that", each(told)},
}

// each makes a rule of what is to be checked in each example by itself.
func each(check func(objects) []string) func(map[string]objects) []string {
	return func(built map[string]objects) []string {
		var wrong []string
		for _, example := range slices.Sorted(maps.Keys(built)) {
			for _, w := range check(built[example]) {
				wrong = append(wrong, example+": "+w)
			}
		}
		return wrong
	}
}

// eachPod makes a rule of what is to be checked in each workload by itself.
func eachPod(check func(workload) []string) func(map[string]objects) []string {
	return each(func(all objects) []string {
		var wrong []string
		for _, pods := range all.workloads() {
			for _, w := range check(pods) {
				wrong = append(wrong, pods.name()+": "+w)
			}
		}
		return wrong
	})
}

// sentence adds to a list of what is wrong.
func sentence(list *[]string, format string, args ...any) {
	*list = append(*list, fmt.Sprintf(format, args...))
}

func TestExamplesKeepTheRules(t *testing.T) {
	built := examples(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, wrong := range r.check(built) {
				t.Error(wrong)
			}
		})
	}
}

// Whoever needs a container beside a sidecar of either kind gets the same sidecar.
func TestTheTwoComponentsDifferOnlyWhereTheyMust(t *testing.T) {
	built := examples(t)
	native := elector(built["worker"].workloads()[0].pod.Spec).DeepCopy()
	classic := elector(built["classic"].workloads()[0].pod.Spec).DeepCopy()
	if native.RestartPolicy == nil || classic.RestartPolicy != nil || classic.LivenessProbe == nil {
		t.Fatalf("native: %v; classic: %v", native, classic)
	}
	native.RestartPolicy, classic.LivenessProbe = nil, nil
	native.Args = strings.Split(strings.ReplaceAll(strings.Join(native.Args, " "), "=now", "=promised"), " ")
	if native.String() != classic.String() {
		t.Errorf("they differ in more than restartPolicy, livenessProbe and --shutdown-release:\n%v\n%v", native, classic)
	}
}
