package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/cel-go/cel"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// injection is what deploy/kubernetes/inject makes of an API server, compiled by its libraries as its plugins do
// (k8s.io/apiserver, pkg/admission/plugin/policy, mutating/compilation.go and validating/plugin.go).
type injection struct {
	mutating, validating labels.Selector
	hasNone, asksFor     plugincel.ConditionEvaluator
	patcher              patch.Patcher
	compiler             *plugincel.CompositedCompiler // that of patcher
	right, messages      plugincel.ConditionEvaluator
	fixed                []string // the message where there is no expression for it
	defaults             *core.ConfigMap
}

// expression is one of CEL, with the type that it must have and, for a variable, its name.
type expression struct {
	name, text string
	yields     *cel.Type
}

func (e expression) GetName() string          { return e.name }
func (e expression) GetExpression() string    { return e.text }
func (e expression) ReturnTypes() []*cel.Type { return []*cel.Type{e.yields} }

// compile takes both policies from what kustomize built.
func compile(all objects) (*injection, error) {
	mutates, validates := of[*admissionregistration.MutatingAdmissionPolicy](all), of[*admissionregistration.ValidatingAdmissionPolicy](all)
	defaults := of[*core.ConfigMap](all)
	if len(mutates) != 1 || len(validates) != 1 || len(defaults) != 1 {
		return nil, fmt.Errorf("%d mutating and %d validating policies and %d ConfigMaps, not one of each", len(mutates), len(validates), len(defaults))
	}
	in := &injection{defaults: defaults[0]}
	if err := in.compileMutation(mutates[0].Spec); err != nil {
		return nil, fmt.Errorf("mutate: %w", err)
	}
	if err := in.compileValidation(validates[0].Spec); err != nil {
		return nil, fmt.Errorf("validate: %w", err)
	}
	return in, nil
}

var declared = plugincel.OptionalVariableDeclarations{HasParams: true, HasAuthorizer: true}

func (in *injection) compileMutation(spec admissionregistration.MutatingAdmissionPolicySpec) error {
	compiler, err := newCompiler(spec.Variables)
	if err != nil {
		return err
	}
	in.compiler = compiler
	if in.mutating, err = meta.LabelSelectorAsSelector(spec.MatchConstraints.ObjectSelector); err != nil {
		return err
	}
	if in.hasNone, err = conditions(compiler, spec.MatchConditions); err != nil {
		return err
	}
	withPatches := declared
	withPatches.HasPatchTypes = true
	evaluator := compiler.CompileMutatingEvaluator(&patch.JSONPatchCondition{Expression: spec.Mutations[0].JSONPatch.Expression},
		withPatches, environment.NewExpressions)
	in.patcher = patch.NewJSONPatcher(evaluator)
	return errors.Join(evaluator.CompilationErrors()...)
}

func (in *injection) compileValidation(spec admissionregistration.ValidatingAdmissionPolicySpec) error {
	compiler, err := newCompiler(spec.Variables)
	if err != nil {
		return err
	}
	if in.validating, err = meta.LabelSelectorAsSelector(spec.MatchConstraints.ObjectSelector); err != nil {
		return err
	}
	if in.asksFor, err = conditions(compiler, spec.MatchConditions); err != nil {
		return err
	}
	var right, messages []plugincel.ExpressionAccessor
	for _, v := range spec.Validations {
		right = append(right, expression{text: v.Expression, yields: cel.BoolType})
		in.fixed = append(in.fixed, v.Message)
		if v.MessageExpression == "" {
			v.MessageExpression = `""`
		}
		messages = append(messages, expression{text: v.MessageExpression, yields: cel.StringType})
	}
	in.right = compiler.CompileCondition(right, declared, environment.NewExpressions)
	in.messages = compiler.CompileCondition(messages, plugincel.OptionalVariableDeclarations{HasParams: true}, environment.NewExpressions)
	return errors.Join(append(in.right.CompilationErrors(), in.messages.CompilationErrors()...)...)
}

// newCompiler knows what every API server knows that may have to run the expressions after a rollback, as servers demand of
// new ones. A variable that does not compile is told of where it is used.
func newCompiler(variables []admissionregistration.Variable) (*plugincel.CompositedCompiler, error) {
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, v := range variables {
		got := compiler.CompileAndStoreVariable(expression{v.Name, v.Expression, cel.AnyType}, declared, environment.NewExpressions)
		if got.Error != nil {
			errs = append(errs, fmt.Errorf("variable %s: %w", v.Name, got.Error))
		}
	}
	return compiler, errors.Join(errs...)
}

func conditions(compiler *plugincel.CompositedCompiler, all []admissionregistration.MatchCondition) (plugincel.ConditionEvaluator, error) {
	var list []plugincel.ExpressionAccessor
	for _, c := range all {
		list = append(list, expression{text: c.Expression, yields: cel.BoolType})
	}
	evaluator := compiler.CompileCondition(list, declared, environment.NewExpressions)
	return evaluator, errors.Join(evaluator.CompilationErrors()...)
}

// request is that a pod be created.
func request(t *testing.T, pod *core.Pod) *admission.VersionedAttributes {
	t.Helper()
	kind := core.SchemeGroupVersion.WithKind("Pod")
	pod = pod.DeepCopy()
	pod.SetGroupVersionKind(kind)
	attributes := admission.NewAttributesRecord(pod, nil, kind, "mine", pod.Name, core.SchemeGroupVersion.WithResource("pods"), "",
		admission.Create, &meta.CreateOptions{}, false, &user.DefaultInfo{})
	versioned, err := admission.NewVersionedAttributes(attributes, kind, admission.NewObjectInterfacesFromScheme(legacyscheme.Scheme))
	if err != nil {
		t.Fatal(err)
	}
	return versioned
}

// evaluate returns what expressions yield for a pod, within the cost that the API server allows.
func (in *injection) evaluate(t *testing.T, e plugincel.ConditionEvaluator, pod *core.Pod) []any {
	t.Helper()
	versioned := request(t, pod)
	results, _, err := e.ForInput(t.Context(), versioned, plugincel.CreateAdmissionRequest(versioned.Attributes, meta.GroupVersionResource(versioned.GetResource()),
		meta.GroupVersionKind(versioned.VersionedKind)), in.variables(), nil, celconfig.RuntimeCELCostBudget)
	if err != nil {
		t.Fatal(err)
	}
	var values []any
	for _, r := range results {
		if r.Error != nil {
			values = append(values, r.Error)
			continue
		}
		values = append(values, r.EvalResult.Value())
	}
	return values
}

func (in *injection) variables() plugincel.OptionalVariableBindings {
	return plugincel.OptionalVariableBindings{VersionedParams: in.defaults}
}

// mutate returns the pod as the API server makes it, which is the same one where the policy does not apply.
func (in *injection) mutate(t *testing.T, pod *core.Pod) *core.Pod {
	t.Helper()
	if !in.mutating.Matches(labels.Set(pod.Labels)) {
		return pod
	}
	if none := in.evaluate(t, in.hasNone, pod)[0]; none != true {
		if none != false {
			t.Fatalf("whether it has an elector: %v", none)
		}
		return pod
	}
	versioned := request(t, pod)
	var ctx context.Context = in.compiler.CreateContext(t.Context())
	changed, err := in.patcher.Patch(ctx, patch.Request{
		MatchedResource:     versioned.GetResource(),
		VersionedAttributes: versioned,
		ObjectInterfaces:    admission.NewObjectInterfacesFromScheme(legacyscheme.Scheme),
		OptionalVariables:   in.variables(),
	}, celconfig.RuntimeCELCostBudget)
	if err != nil {
		t.Fatal(err)
	}
	return changed.(*core.Pod)
}

// refusals are the sentences with which the API server refuses a pod, of which it tells the first.
func (in *injection) refusals(t *testing.T, pod *core.Pod) []string {
	t.Helper()
	if !in.validating.Matches(labels.Set(pod.Labels)) || in.evaluate(t, in.asksFor, pod)[0] == false {
		return nil
	}
	var said []string
	right, messages := in.evaluate(t, in.right, pod), in.evaluate(t, in.messages, pod)
	for i := range right {
		switch {
		case right[i] == true:
		case right[i] != false:
			said = append(said, fmt.Sprintf("the validation cannot be judged: %v", right[i]))
		case in.fixed[i] != "":
			said = append(said, in.fixed[i])
		default:
			said = append(said, fmt.Sprint(messages[i]))
		}
	}
	return said
}
