package kubernetes

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	batchvalidation "k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/discovery"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	discoveryvalidation "k8s.io/kubernetes/pkg/apis/discovery/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/kubernetes/pkg/apis/rbac"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	rbacvalidation "k8s.io/kubernetes/pkg/apis/rbac/validation"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// valid sets defaults and validates as the API server does, with its code.
func valid(all objects) []string {
	var wrong []string
	for _, object := range all {
		if _, custom := object.(*monitoring.PodMonitor); custom {
			continue // its schema is the operator's
		}
		object = object.DeepCopyObject()
		legacyscheme.Scheme.Default(object)
		internal, err := legacyscheme.Scheme.UnsafeConvertToVersion(object, runtime.InternalGroupVersioner)
		if err != nil {
			sentence(&wrong, "%T: %v", object, err)
			continue
		}
		errs, warnings := validate(internal)
		for _, err := range errs {
			sentence(&wrong, "%T: %v", object, err)
		}
		for _, warning := range warnings {
			sentence(&wrong, "%T: warning: %s", object, warning)
		}
	}
	return wrong
}

// validate returns what the API server says of an object that is to be created.
func validate(object runtime.Object) (field.ErrorList, []string) {
	switch o := object.(type) {
	case *apps.Deployment:
		return appsvalidation.ValidateDeployment(o, pod.GetValidationOptionsFromPodTemplate(&o.Spec.Template, nil)), warnings(&o.Spec.Template)
	case *apps.StatefulSet:
		options := pod.GetValidationOptionsFromPodTemplate(&o.Spec.Template, nil)
		return appsvalidation.ValidateStatefulSet(o, appsvalidation.StatefulSetValidationOptions{}, options), warnings(&o.Spec.Template)
	case *batch.Job:
		// As the server does by the object's UID.
		o.Spec.Template.Labels = labels.Merge(o.Spec.Template.Labels, labels.Set{batchv1.ControllerUidLabel: "uid"})
		o.Spec.Selector = &meta.LabelSelector{MatchLabels: map[string]string{batchv1.ControllerUidLabel: "uid"}}
		options := pod.GetValidationOptionsFromPodTemplate(&o.Spec.Template, nil)
		return batchvalidation.ValidateJobSpec(&o.Spec, nil, field.NewPath("spec"), options), warnings(&o.Spec.Template)
	case *core.Pod:
		return validation.ValidatePodCreate(o, pod.GetValidationOptionsFromPodSpecAndMeta(&o.Spec, nil, &o.ObjectMeta, nil)),
			pod.GetWarningsForPod(context.Background(), o, nil)
	case *core.Service:
		if o.Spec.ClusterIP != "" {
			o.Spec.ClusterIPs = []string{o.Spec.ClusterIP} // as the server does
		}
		return validation.ValidateServiceCreate(o), nil
	case *core.ConfigMap:
		return validation.ValidateConfigMap(o), nil
	case *core.Secret:
		return validation.ValidateSecret(o), nil
	case *core.ServiceAccount:
		return validation.ValidateServiceAccount(o), nil
	case *discovery.EndpointSlice:
		return discoveryvalidation.ValidateEndpointSliceCreate(o), nil
	case *rbac.Role:
		return rbacvalidation.ValidateRole(o), nil
	case *rbac.RoleBinding:
		return rbacvalidation.ValidateRoleBinding(o), nil
	case *core.Namespace:
		return validation.ValidateNamespace(o), nil
	case *networking.NetworkPolicy:
		return networkingvalidation.ValidateNetworkPolicy(o, networkingvalidation.ValidationOptionsForNetworking(o, nil)), nil
	case *policy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(o, policyvalidation.PodDisruptionBudgetValidationOptions{}), nil
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("nobody has said how this kind is validated"))}, nil
}

func warnings(template *core.PodTemplateSpec) []string {
	return pod.GetWarningsForPodTemplate(context.Background(), field.NewPath("spec", "template"), template, nil)
}
