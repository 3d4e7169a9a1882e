package kubernetes

import (
	"fmt"
	"maps"
	"slices"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// An end of a connection: pods of the examples' namespace, or something elsewhere.
type end struct {
	name      string
	labels    labels.Set
	elsewhere string // the namespace; empty: that of the examples
}

func ends(all objects, want func(workload) bool) []end {
	var found []end
	for _, w := range all.workloads() {
		if want(w) {
			found = append(found, end{name: w.name(), labels: w.pod.Labels})
		}
	}
	return found
}

// traffic judges, with the policies of an example and those of etcd's in force, the connections that have to come about, and
// some that must not.
func traffic(built map[string]objects) []string {
	var wrong []string
	etcd := built["etcd"]
	members := ends(etcd, func(w workload) bool { return w.kind == "StatefulSet" })
	setup := ends(etcd, func(w workload) bool { return w.kind == "Job" })
	prometheus := end{name: "Prometheus", elsewhere: "monitoring"}
	dns := end{name: "the cluster's DNS", elsewhere: "kube-system"}
	stranger := end{name: "a stranger"}

	want := func(yes bool, policies []*networking.NetworkPolicy, from, to end, port int32, protocol core.Protocol) {
		if got := passes(policies, from, to, port, protocol); got != yes {
			sentence(&wrong, "%s to %s at %d/%s: passes is %v", from.name, to.name, port, protocol, got)
		}
	}
	for _, example := range slices.Sorted(maps.Keys(built)) {
		policies := slices.Concat(of[*networking.NetworkPolicy](etcd), of[*networking.NetworkPolicy](built[example]))
		for _, e := range ends(built[example], func(w workload) bool { return elector(w.pod.Spec) != nil }) {
			e.name = example + ": " + e.name
			for _, member := range members {
				want(true, policies, e, member, 2379, core.ProtocolTCP)
				want(false, policies, e, member, 2380, core.ProtocolTCP)
			}
			want(true, policies, e, dns, 53, core.ProtocolUDP)
			want(true, policies, e, dns, 53, core.ProtocolTCP)
			want(true, policies, prometheus, e, 4041, core.ProtocolTCP)
		}
	}
	policies := of[*networking.NetworkPolicy](etcd)
	for _, member := range members {
		want(true, policies, member, member, 2380, core.ProtocolTCP)
		want(true, policies, prometheus, member, 2381, core.ProtocolTCP)
		want(false, policies, stranger, member, 2379, core.ProtocolTCP)
		for _, job := range setup {
			want(true, policies, job, member, 2379, core.ProtocolTCP)
		}
	}
	guarded := of[*networking.NetworkPolicy](built["network-policy"])
	for _, e := range ends(built["network-policy"], func(w workload) bool { return elector(w.pod.Spec) != nil }) {
		want(false, guarded, stranger, e, 4041, core.ProtocolTCP)
		want(false, guarded, e, stranger, 80, core.ProtocolTCP)
	}
	return wrong
}

// passes judges as the API describes it: an end that no policy selects for a direction takes all in it, and any other
// what one of its policies lists.
func passes(policies []*networking.NetworkPolicy, from, to end, port int32, protocol core.Protocol) bool {
	return permitted(policies, from, networking.PolicyTypeEgress, to, port, protocol) &&
		permitted(policies, to, networking.PolicyTypeIngress, from, port, protocol)
}

func permitted(policies []*networking.NetworkPolicy, self end, direction networking.PolicyType, peer end, port int32, protocol core.Protocol) bool {
	guarded := false
	for _, p := range policies {
		if self.elsewhere != "" || !taken(&p.Spec.PodSelector, self.labels) || !slices.Contains(p.Spec.PolicyTypes, direction) {
			continue
		}
		guarded = true
		for _, rule := range p.Spec.Ingress {
			if direction == networking.PolicyTypeIngress && listed(rule.From, peer) && open(rule.Ports, port, protocol) {
				return true
			}
		}
		for _, rule := range p.Spec.Egress {
			if direction == networking.PolicyTypeEgress && listed(rule.To, peer) && open(rule.Ports, port, protocol) {
				return true
			}
		}
	}
	return !guarded
}

func taken(selector *meta.LabelSelector, set labels.Set) bool {
	s, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		panic(fmt.Sprintf("the API server takes %v, and it is no selector: %v", selector, err))
	}
	return s.Matches(set)
}

// listed tells whether a peer is one of a rule's; a rule without any has all.
func listed(peers []networking.NetworkPolicyPeer, peer end) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networking.NetworkPolicyPeer) bool {
		switch {
		case p.NamespaceSelector != nil && !taken(p.NamespaceSelector, labels.Set{core.LabelMetadataName: peer.elsewhere}):
			return false
		case p.NamespaceSelector == nil && peer.elsewhere != "":
			return false
		}
		return p.PodSelector == nil || taken(p.PodSelector, peer.labels)
	})
}

// open tells whether a port is one of a rule's; a rule without any has all.
func open(ports []networking.NetworkPolicyPort, port int32, protocol core.Protocol) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networking.NetworkPolicyPort) bool {
		return (p.Port == nil || p.Port.IntVal == port) && (p.Protocol == nil && protocol == core.ProtocolTCP || p.Protocol != nil && *p.Protocol == protocol)
	})
}
