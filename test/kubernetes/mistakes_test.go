package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A change to a file that nobody must be able to make unnoticed, and what has to be said of it.
var mistakes = []struct{ name, file, old, new, said string }{
	{"a field of the sidecar that does not exist", "component/sidecar.yaml", "readinessProbe:", "readynessProbe:", `unknown field "spec.template.spec.initContainers[0].readynessProbe"`},
	{"a field in the wrong place", "component/sidecar.yaml", "    restartPolicy: Always", "    terminationGracePeriodSeconds: 20", "terminationGracePeriodSeconds"},
	{"a field of a probe that does not exist", "examples/etcd/etcd.yaml", "httpGet: {path: /livez, port: metrics}", "httpGet: {pat: /livez, port: metrics}", `unknown field "spec.template.spec.containers[0].livenessProbe.httpGet.pat"`},
	{"a number that is a word", "examples/base/deployment.yaml", "replicas: 3", "replicas: three", "replicas"},
	{"a label that is a truth value", "examples/singleton/deployment.yaml", `elector.dev/sidecar: "true"`, "elector.dev/sidecar: true", "labels"},
	{"a variable that is a number", "component/sidecar.yaml", "value: 96MiB", "value: 96", "value"},
	{"a key twice", "examples/base/deployment.yaml", "  replicas: 3", "  replicas: 3\n  replicas: 4", `already defined`},
	{"a key twice in a patch", "component/pod.yaml", "          secretName: elector-etcd", "          secretName: elector-etcd\n          secretName: other", "already defined"},
	{"a quantity that is none", "component/sidecar.yaml", "memory: 128Mi", "memory: 128Mb", "quantities"},
	{"a list that is one thing", "examples/network-policy/network-policy.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: Ingress", "policyTypes"},
	{"a field of the monitor that does not exist", "examples/monitoring/pod-monitor.yaml", "interval: 15s", "intervall: 15s", `unknown field "spec.podMetricsEndpoints[0].intervall"`},
	{"a budget's field that does not exist", "examples/base/pdb.yaml", "maxUnavailable", "maxUnavailble", `unknown field "spec.maxUnavailble"`},
	{"a version that does not have the kind", "examples/base/pdb.yaml", "policy/v1", "policy/v2", "policy/v2"},
	{"a field of the kustomization that does not exist", "examples/worker/kustomization.yaml", "components:", "component:", "component"},
	{"a patch whose target went away", "examples/leader-ready/leader-only.yaml", "initContainers/0", "initContainers/1", "initContainers/1"},
	{"a sidecar with a liveness probe", "component/sidecar.yaml", "    readinessProbe:", "    livenessProbe: {httpGet: {path: /livez, port: elector-probe}}\n    readinessProbe:", "sends SIGTERM"},
	{"a sidecar with a startup probe", "component/sidecar.yaml", "    readinessProbe:", "    startupProbe: {httpGet: {path: /livez, port: elector-probe}}\n    readinessProbe:", "sends SIGTERM"},
	{"a sidecar with a preStop hook", "component/sidecar.yaml", "    readinessProbe:", "    lifecycle: {preStop: {sleep: {seconds: 5}}}\n    readinessProbe:", "hooks of the kubelet"},
	{"a sidecar that waits for promises that nobody has", "component/sidecar.yaml", "- --shutdown-release=now", "- --shutdown-release=promised", `releases "promised"`},
	{"a container that releases beside a living worker", "component-classic/container.yaml", "- --shutdown-release=promised", "- --shutdown-release=now", `releases "now"`},
	{"a container that may become more than it is", "component/sidecar.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation"},
	{"a worker that runs as root", "examples/base/deployment.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
	{"a worker that gets a token", "examples/base/deployment.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "token of the API server"},
	{"too little grace for an ordinary container", "examples/base/deployment.yaml", "terminationGracePeriodSeconds: 20", "terminationGracePeriodSeconds: 12", "12s of grace are less than the 16s"},
	{"too little grace for a native sidecar", "examples/leader-ready/deployment.yaml", "terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: 27", "27s of grace are less than the 28s"},
	{"an image that may change", "image/image.yaml", "newTag: v0.1.0\nfield", "newTag: latest\nfield", `has the tags ["latest"]`},
	{"two versions of etcd", "examples/etcd/setup.yaml", "etcd:v3.7.3", "etcd:v3.6.0", `has the tags ["v3.6.0" "v3.7.3"]`},
	{"a Secret that nobody makes", "component/pod.yaml", "secretName: elector-etcd", "secretName: etcd", "names the Secret etcd, which is not there"},
	{"a ConfigMap that nobody makes", "component/sidecar.yaml", "configMapRef: {name: elector}", "configMapRef: {name: electors}", "names the ConfigMap electors, which is not there"},
	{"a probe of a port that is not there", "component/sidecar.yaml", "port: elector-probe}", "port: elector}", "asks port elector, which it does not have"},
	{"a probe listener on another port", "component/sidecar.yaml", "--probe-http=:4041", "--probe-http=:4042", `are not --probe-http ":4042"`},
	{"a state that is lost with the container", "component/sidecar.yaml", "--state-dir=/var/lib/elector/state", "--state-dir=/tmp/state", "is not in a volume"},
	{"no room for Go's collector", "component/sidecar.yaml", "value: 96MiB", "value: 128MiB", "GOMEMLIMIT"},
	{"no limit for memory", "component/sidecar.yaml", "limits: {memory: 128Mi}", "limits: {}", "limit of its memory"},
	{"a volume that is not there", "component/sidecar.yaml", "name: elector-state, mountPath", "name: state, mountPath", "volumeMounts[1].name: Not found"},
	{"a restart policy that does not exist", "component/sidecar.yaml", "restartPolicy: Always", "restartPolicy: Alway", "restartPolicy"},
	{"a selector that is not that of the pods", "examples/base/deployment.yaml", "matchLabels: {app.kubernetes.io/name: worker}", "matchLabels: {app.kubernetes.io/name: workers}", "does not match template"},
	{"a budget of no pods", "examples/statefulset/pdb.yaml", "app.kubernetes.io/name: ledger", "app.kubernetes.io/name: legder", "PodDisruptionBudget/ledger selects no pods"},
	{"a budget that holds every pod", "examples/base/pdb.yaml", "maxUnavailable: 1", "minAvailable: 3", "no node with one can be drained"},
	{"a Service of no pods", "examples/leader-ready/service.yaml", "app.kubernetes.io/name: api", "app.kubernetes.io/name: ap", "Service/api selects no pods"},
	{"a monitor of a port that is not there", "examples/monitoring/pod-monitor.yaml", "port: elector-probe", "port: metrics", "wants port metrics"},
	{"an update of which each pod waits for the lead", "component/sidecar.yaml", "httpGet: {path: /readyz,", "httpGet: {path: \"/readyz?role=leader\",", "Deployment/worker: its update waits for the lead, which waits for the update: 1 new and 3 old pods"},
	{"a StatefulSet's update of which each pod waits for the lead", "component/sidecar.yaml", "httpGet: {path: /readyz,", "httpGet: {path: \"/readyz?role=leader\",", "pod 2 is new and does not become ready while pod 0 leads"},
	{"an update that waits for the lead", "examples/leader-ready/deployment.yaml", "maxUnavailable: 100%", "maxUnavailable: 50%", "waits for the lead"},
	{"a policy without names", "examples/network-policy/network-policy.yaml", "  - ports: # names, wherever they are resolved\n    - {port: 53, protocol: UDP}\n", "  - ports:\n", "the cluster's DNS at 53/UDP: passes is false"},
	{"a policy that keeps Prometheus out", "examples/network-policy/network-policy.yaml", "port: 4041", "port: 4040", "at 4041/TCP: passes is false"},
	{"a policy that lets everybody in", "examples/etcd/network-policy.yaml", `matchLabels: {elector.dev/sidecar: "true"}`, "matchLabels: {}", "a stranger to StatefulSet/etcd at 2379/TCP: passes is true"},
	{"a policy that keeps members apart", "examples/etcd/network-policy.yaml", "port: 2380", "port: 2382", "at 2380/TCP: passes is false"},
	{"an election without a role", "examples/etcd/setup.yaml", "worker api ledger report", "worker api ledger", "grants roles for"},
	{"a slice of another election", "examples/service/service.yaml", "elector-example/web #", "elector-example/wed #", `is marked "elector-example/wed", and not "elector-example/web"`},
	{"a slice of another Service", "examples/service/service.yaml", "kubernetes.io/service-name: web-leader", "kubernetes.io/service-name: web", "there is no Service web without a selector"},
	{"a slice with another port", "examples/service/service.yaml", "  port: 8080", "  port: 8081", "port 8081 of EndpointSlice/web-leader"},
	{"a field of the slice that does not exist", "examples/service/service.yaml", "addressType:", "adressType:", `unknown field "adressType"`},
	{"a slice for no family of addresses", "examples/service/service.yaml", "addressType: IPv4", "addressType: IPv5", "addressType"},
	{"a slice that no role has", "examples/service/role.yaml", "resourceNames: [web-leader]", "resourceNames: [web]", `may not "get" endpointslices.discovery.k8s.io web-leader`},
	{"a role for all slices", "examples/service/role.yaml", "  resourceNames: [web-leader]\n", "", "may do more than it has to"},
	{"a role that may make slices", "examples/service/role.yaml", "verbs: [get, patch]", "verbs: [get, patch, create]", "may do more than it has to"},
	{"a role without the verb for pods", "examples/service/role.yaml", "  resources: [pods]\n  verbs: [patch]", "  resources: [pods]\n  verbs: [update]", `may not "patch" pods`},
	{"a role that nobody has", "examples/service/role.yaml", "{kind: ServiceAccount, name: web,", "{kind: ServiceAccount, name: wed,", `may not "get" endpointslices.discovery.k8s.io web-leader`},
	{"a token that is not mounted", "examples/service/kube-api.yaml", "mountPath: /var/run/secrets/kubernetes.io/serviceaccount", "mountPath: /var/run/secrets", "has no token at"},
	{"a token for the worker", "examples/service/deployment.yaml", "        ports:\n", "        volumeMounts: [{name: kube-api, mountPath: /token}]\n        ports:\n", "web gets the token too"},
	{"a file that is not there", "examples/base/kustomization.yaml", "pdb.yaml", "pbd.yaml", "pbd.yaml"},
}

func TestMistakesInManifestsAreNoticed(t *testing.T) {
	t.Parallel()
	sound := t.TempDir()
	if err := copyManifests(sound); err != nil {
		t.Fatal(err)
	}
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(sound)); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, m.file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), m.old) {
				t.Fatalf("%s has no %q to be changed", m.file, m.old)
			}
			if err := os.WriteFile(file, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if said := judge(dir); said == "" {
				t.Errorf("%s with %q for %q goes through", m.file, m.new, m.old)
			} else if !strings.Contains(said, m.said) {
				t.Errorf("%q is not said, but\n%s", m.said, said)
			}
		})
	}
}

// judge builds and judges a copy of deploy/kubernetes as the tests of this package do. It returns what is wrong.
func judge(dir string) string {
	built, err := buildAll(dir)
	if err != nil {
		return err.Error()
	}
	var said []string
	for _, r := range rules {
		said = append(said, r.check(built)...)
	}
	return strings.Join(said, "\n")
}
