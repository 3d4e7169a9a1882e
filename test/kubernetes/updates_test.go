package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// updates goes through an update of a workload step by step, as its controller does, and wants it to end. Pods whose
// readiness asks for the lead are ready one at a time, and the lead stays where it is for as long as its pod does: of all
// that may happen this is the worst.
func updates(w workload) []string {
	var stuck string
	switch o := w.object.(type) {
	case *apps.Deployment:
		if o.Spec.Strategy.Type != apps.RecreateDeploymentStrategyType {
			stuck = rollDeployment(o, w.standbysReady())
		}
	case *apps.StatefulSet:
		stuck = rollStatefulSet(o, w.standbysReady())
	}
	if stuck != "" {
		return []string{"its update waits for the lead, which waits for the update: " + stuck}
	}
	return nil
}

// rollDeployment does the sums of the deployment controller (Kubernetes' pkg/controller/deployment/rolling.go): new pods as
// long as there are no more than maxSurge on top, old pods away as long as enough are available, those first that are not
// ready. It returns where the update comes to a halt, "" for nowhere.
func rollDeployment(d *apps.Deployment, standbysReady bool) string {
	want := int(*d.Spec.Replicas)
	surge, unavailable := bounds(d, want)
	fresh, old := 0, want
	leader := "old"
	for steps := 0; old > 0 || fresh < want; steps++ {
		// ready is how many of each are: all of them, or the one that leads.
		freshReady, oldReady := fresh, old
		if !standbysReady {
			freshReady, oldReady = 0, 0
			switch leader {
			case "fresh":
				freshReady = 1
			case "old":
				oldReady = 1
			}
		}
		grow := min(want+surge-old-fresh, want-fresh)
		needed := want - unavailable
		// As the controller has it: what may go altogether, those that are not ready first.
		mayGo := old + fresh - needed - (fresh - freshReady)
		unready := min(old-oldReady, max(mayGo, 0))
		shrink := unready + max(min(freshReady+oldReady-needed, oldReady), 0)
		shrink = min(shrink, max(mayGo, 0), old)
		if grow <= 0 && shrink <= 0 {
			return fmt.Sprintf("%d new and %d old pods, of which %d and %d are ready; at least %d must be available and at most %d there",
				fresh, old, freshReady, oldReady, needed, want+surge)
		}
		fresh, old = fresh+max(grow, 0), old-shrink
		if old == 0 {
			leader = "fresh"
		}
	}
	return ""
}

// bounds are maxSurge, rounded up, and maxUnavailable, rounded down. A quarter is the default of both; if both are 0,
// maxUnavailable is 1.
func bounds(d *apps.Deployment, want int) (surge, unavailable int) {
	quarter := intstr.FromString("25%")
	most, least := &quarter, &quarter
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		if r.MaxSurge != nil {
			most = r.MaxSurge
		}
		if r.MaxUnavailable != nil {
			least = r.MaxUnavailable
		}
	}
	surge, _ = intstr.GetScaledValueFromIntOrPercent(most, want, true) // both have been validated
	unavailable, _ = intstr.GetScaledValueFromIntOrPercent(least, want, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// rollStatefulSet goes from the last pod to the first: each goes, comes back new, and has to be ready before the next one,
// unless somebody deletes them by hand. Unless pods are made in parallel, each waits for the one before already at first.
func rollStatefulSet(s *apps.StatefulSet, standbysReady bool) string {
	last := int(*s.Spec.Replicas) - 1
	switch {
	case standbysReady || last == 0:
		return ""
	case s.Spec.PodManagementPolicy != apps.ParallelPodManagement:
		return "pod 1 does not become ready while pod 0 leads, so that there is no pod 2"
	case s.Spec.UpdateStrategy.Type != apps.OnDeleteStatefulSetStrategyType:
		return fmt.Sprintf("pod %d is new and does not become ready while pod 0 leads", last)
	}
	return ""
}

// What the sums say of numbers for which the end is known.
func TestUpdatesComeToAHaltWhereTheyMust(t *testing.T) {
	for _, c := range []struct {
		replicas           int32
		surge, unavailable string
		standbysReady      bool
		halts              string
	}{
		{3, "1", "0", true, ""},
		{3, "0", "1", true, ""},
		{1, "25%", "25%", true, ""},
		{3, "100%", "100%", false, ""},
		{2, "0", "100%", false, ""},
		{3, "1", "0", false, "1 new and 3 old pods, of which 0 and 1 are ready"},
		{2, "1", "1", false, "2 new and 1 old pods, of which 0 and 1 are ready"},
		{4, "25%", "50%", false, "old pods, of which 0 and 1 are ready"},
		{1, "1", "0", false, "1 new and 1 old pods, of which 0 and 1 are ready"},
		{1, "0", "100%", false, ""},
	} {
		surge, unavailable := intstr.Parse(c.surge), intstr.Parse(c.unavailable)
		d := &apps.Deployment{Spec: apps.DeploymentSpec{Replicas: &c.replicas, Strategy: apps.DeploymentStrategy{
			RollingUpdate: &apps.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable}}}}
		if got := rollDeployment(d, c.standbysReady); c.halts == "" && got != "" || !strings.Contains(got, c.halts) {
			t.Errorf("%+v halts at %q", c, got)
		}
	}
}
