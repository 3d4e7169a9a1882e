package kube

import (
	"context"
	"fmt"
)

// pod is the own pod with its label.
type pod struct {
	api       api
	namespace string
	name      string
	label     label
}

func podOf(s settled) *pod { return &pod{s.api, s.namespace, s.pod, s.label} }

func (p *pod) what() string { return "Pod " + p.namespace + "/" + p.name }

// put implements object. A patch that changes nothing is nothing to the API server, so there is no need to read first.
func (p *pod) put(ctx context.Context, a aim) error {
	value := &p.label.follower
	if a.leading {
		value = &p.label.leader
	}
	if *value == "" {
		value = nil // the label goes
	}
	patch := map[string]any{"metadata": map[string]any{"labels": map[string]*string{p.label.key: value}}}
	return judged(p.api.patch(ctx, "/api/v1/namespaces/"+p.namespace+"/pods/"+p.name, patch), p.what(), remedies{
		missing: "POD_NAME has to be the pod's metadata.name",
		role: fmt.Sprintf("allow it, for all pods of the namespace, and bind the role to the pod's service account: kubectl -n %s create role elector-pod-label --verb=patch --resource=pods",
			p.namespace),
	})
}
