package kube

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
)

// The annotations of a slice: whose it is, which whoever makes it sets, and what the last leader had to show.
const (
	markElection = "elector.dev/election"
	markCluster  = "elector.dev/cluster"
	markToken    = "elector.dev/token"
)

// serviceLabel has the name of the Service that a slice belongs to.
const serviceLabel = "kubernetes.io/service-name"

// readAgain is how often a write that somebody else has overtaken is tried with the new version at once.
const readAgain = 5

// endpointSlice is what is read of one.
type endpointSlice struct {
	Metadata struct {
		ResourceVersion string            `json:"resourceVersion"`
		Labels          map[string]string `json:"labels"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
	AddressType string     `json:"addressType"`
	Endpoints   []endpoint `json:"endpoints"`
}

// endpoint is a pod that takes a Service's traffic.
type endpoint struct {
	Addresses  []string   `json:"addresses"`
	Conditions conditions `json:"conditions"`
	TargetRef  targetRef  `json:"targetRef"`
}

type conditions struct {
	Ready       bool `json:"ready"`
	Serving     bool `json:"serving"`
	Terminating bool `json:"terminating"`
}

type targetRef struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// slicePatch has the version that was read, so that it is merged into that one or refused.
type slicePatch struct {
	Metadata struct {
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
	Endpoints []endpoint `json:"endpoints"`
}

// slice is the EndpointSlice of one election, as one pod sees it.
type slice struct {
	api       api
	namespace string
	name      string
	election  string
	pod       string
	addresses []netip.Addr
	elector   Elector

	emptied claim // of the term whose slice needs no more looks
}

func sliceOf(cfg Config, s settled) *slice {
	return &slice{
		api: s.api, namespace: s.namespace, name: cfg.Service, election: cfg.Election, pod: s.pod, addresses: s.addresses, elector: cfg.Elector,
	}
}

func (s *slice) what() string { return "EndpointSlice " + s.namespace + "/" + s.name }

func (s *slice) path() string {
	return "/apis/discovery.k8s.io/v1/namespaces/" + s.namespace + "/endpointslices/" + s.name
}

// put implements object. A leader has the slice point to its pod; afterwards the slice is emptied, unless a later leader has it.
func (s *slice) put(ctx context.Context, a aim) error {
	if !a.leading && a.claim == s.emptied { // the zero claim too, before the first term
		return errIdle
	}
	var err error
	for range readAgain {
		var now endpointSlice
		if err = s.api.get(ctx, s.path(), &now); err != nil {
			break
		}
		var p *slicePatch
		if p, err = s.patchOf(now, a); err != nil || p == nil {
			break
		}
		if a.leading && s.elector.Look().Token != a.token {
			return errIdle // the term is over, though its work has not been told yet
		}
		if err = s.api.patch(ctx, s.path(), p); !isConflict(err) {
			break
		}
	}
	err = judged(err, s.what(), s.remedies())
	if t := (*trouble)(nil); !a.leading && errors.As(err, &t) && t.notOurs() {
		err = errIdle // there is nothing to be emptied
	}
	if !a.leading && (err == nil || errors.Is(err, errIdle)) {
		s.emptied = a.claim
	}
	return err
}

// notOurs reports whether an object is somebody else's, or is not there.
func (t *trouble) notOurs() bool {
	switch t.kind {
	case missing, foreign, incomparable, superseded:
		return true
	}
	return false
}

// patchOf is what makes a slice say what is aimed at; nil: it does. The error is why it must not be touched, a *trouble.
func (s *slice) patchOf(now endpointSlice, a aim) (*slicePatch, error) {
	m := now.Metadata
	if err := s.mayWrite(m.Labels, m.Annotations, a.claim); err != nil {
		return nil, err
	}
	p := &slicePatch{Endpoints: []endpoint{}}
	if a.leading {
		self, err := s.self(now.AddressType)
		if err != nil {
			return nil, err
		}
		p.Endpoints = append(p.Endpoints, self)
	}
	p.Metadata.ResourceVersion = m.ResourceVersion
	p.Metadata.Annotations = map[string]string{markCluster: hex(a.cluster), markToken: strconv.FormatInt(a.token, 10)}
	same := m.Annotations[markCluster] == p.Metadata.Annotations[markCluster] && m.Annotations[markToken] == p.Metadata.Annotations[markToken]
	if same && len(now.Endpoints) == len(p.Endpoints) && (len(p.Endpoints) == 0 || reflect.DeepEqual(now.Endpoints, p.Endpoints)) {
		return nil, nil
	}
	return p, nil
}

// mayWrite judges a claim against what a slice bears. The error is a *trouble.
func (s *slice) mayWrite(labels, marks map[string]string, c claim) error {
	reset := fmt.Sprintf("if that was before a restore of etcd, or in another one, reset it: kubectl -n %s annotate endpointslice %s %s- %s-", s.namespace, s.name, markCluster, markToken)
	switch owner, marked := marks[markElection]; {
	case !marked:
		return &trouble{foreign, fmt.Errorf("%s is not marked as any election's", s.what()),
			fmt.Sprintf("if it is for this one alone, mark it: kubectl -n %s annotate endpointslice %s %s=%s", s.namespace, s.name, markElection, s.election)}
	case owner != s.election:
		return &trouble{foreign, fmt.Errorf("%s is that of the election %q", s.what(), owner), "name another with --kube-service"}
	case labels[serviceLabel] == "":
		return &trouble{foreign, fmt.Errorf("%s belongs to no Service", s.what()), "give it the label " + serviceLabel + " with the name of a Service that has no selector"}
	}
	cluster, token := marks[markCluster], marks[markToken]
	if cluster == "" && token == "" {
		return nil
	}
	n, err := strconv.ParseInt(token, 10, 64)
	switch {
	case cluster != hex(c.cluster) || err != nil || n < 0:
		return &trouble{incomparable, fmt.Errorf("%s bears token %q of etcd cluster %q, and this term is of cluster %s", s.what(), token, cluster, hex(c.cluster)), reset}
	case n > c.token:
		return &trouble{superseded, fmt.Errorf("%s bears the greater token %d", s.what(), n), "a later leader has it; " + reset}
	}
	return nil
}

// self is the pod as an endpoint.
func (s *slice) self(family string) (endpoint, error) {
	for _, a := range s.addresses {
		if family == "IPv4" && a.Is4() || family == "IPv6" && a.Is6() {
			return endpoint{
				Addresses:  []string{a.String()},
				Conditions: conditions{Ready: true, Serving: true},
				TargetRef:  targetRef{Kind: "Pod", Namespace: s.namespace, Name: s.pod},
			}, nil
		}
	}
	return endpoint{}, &trouble{noAddress, fmt.Errorf("%s is for %s addresses, and the pod has %v", s.what(), family, s.addresses),
		"make it for a family that POD_IPS has"}
}

func (s *slice) remedies() remedies {
	return remedies{
		missing: "make the Service and the slice; elector never does",
		role: fmt.Sprintf("allow it, and bind the role to the pod's service account: kubectl -n %s create role elector-%s --verb=get,patch --resource=endpointslices.discovery.k8s.io --resource-name=%s",
			s.namespace, s.name, s.name),
	}
}

// hex is a cluster's id as etcdctl shows it.
func hex(id uint64) string { return strconv.FormatUint(id, 16) }
