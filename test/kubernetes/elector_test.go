package kubernetes

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	core "k8s.io/api/core/v1"
)

// What the manifests say is said to the programs themselves.
func TestElectorAndEtcdRunByTheirManifests(t *testing.T) {
	t.Parallel()
	built := examples(t)
	bin := programs(t)
	newNode := func(t *testing.T, files ...objects) *node {
		return &node{t: t, bin: bin, files: append(files, built["etcd"]), addresses: strings.NewReplacer(),
			folders: make(map[string]string), outputs: make(map[string]*output)}
	}
	for example, all := range built {
		for _, w := range all.workloads() {
			if elector(w.pod.Spec) != nil {
				t.Run("settings of "+example, func(t *testing.T) { settingsAreTaken(t, newNode(t, all), w) })
			}
		}
	}
	t.Run("routes", func(t *testing.T) { routesExist(t, newNode(t, built["worker"]), built) })
	t.Run("etcd", func(t *testing.T) { etcdServes(t, newNode(t, built["worker"]), built) })
}

// settings are the arguments of a container that are elector's settings.
func settings(c core.Container) []string {
	args := c.Args
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "run" })
}

// settingsAreTaken asks elector what it thinks of a container's arguments and environment, with its Secrets in place.
func settingsAreTaken(t *testing.T, n *node, w workload) {
	c := *elector(w.pod.Spec)
	check := append([]string{filepath.Join(n.bin, "elector"), "config", "check"}, settings(c)...)
	said := n.run(n.command(t.Context(), "pod-1", w, c, check...))
	if strings.Contains(said, "warning") || !strings.Contains(said, `"pod-1" would take part in elector-example/`) {
		t.Error(said)
	}
	wrong := n.command(t.Context(), "pod-1", w, c, append(check, "--shutdown-relase=now")...)
	if out, err := wrong.CombinedOutput(); err == nil {
		t.Errorf("a flag that does not exist is taken, so this test shows nothing: %s", out)
	}
}

// routesExist asks an elector, by its probe listener, for every path that a probe or a monitor of an example names.
func routesExist(t *testing.T, n *node, built map[string]objects) {
	w := built["worker"].workloads()[0]
	address := ports(t, 1)[0]
	c := *elector(w.pod.Spec)
	cmd := n.command(t.Context(), "pod-1", w, c, append([]string{filepath.Join(n.bin, "elector"), "--http="}, settings(c)...)...)
	cmd.Args = append(cmd.Args, "--probe-http="+address)
	n.start("pod-1", cmd)

	paths := map[string]bool{"/no-such-route": false, "/readyz?roll=leader": false}
	for _, all := range built {
		for _, w := range all.workloads() {
			if c := elector(w.pod.Spec); c != nil {
				for _, p := range []*core.Probe{c.ReadinessProbe, c.LivenessProbe} {
					if p != nil {
						paths[p.HTTPGet.Path] = true
					}
				}
			}
		}
		for _, m := range of[*monitoring.PodMonitor](all) {
			paths[m.Spec.PodMetricsEndpoints[0].Path] = true
		}
	}
	if len(paths) < 6 {
		t.Errorf("only %v were found", paths)
	}
	for path, exists := range paths {
		status := get(t, "http://"+address+path)
		if got := status == http.StatusOK || status == http.StatusServiceUnavailable; got != exists {
			t.Errorf("%s is answered with %d", path, status)
		}
	}
}

// get waits until somebody answers, and returns the status.
func get(t *testing.T, url string) int {
	t.Helper()
	for {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := http.DefaultClient.Do(request)
		if err == nil {
			reply.Body.Close()
			return reply.StatusCode
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // a process that starts tells nobody when it listens
	}
}

// etcdServes runs the members of the example by their manifest, the Job that makes users by its script, and an elector by
// the worker's, and its worker beside it. Then it asks who may do what.
func etcdServes(t *testing.T, n *node, built map[string]objects) {
	members, setup := built["etcd"].workloads()[0], built["etcd"].workloads()[1]
	free := ports(t, 9)
	n.addresses = addresses(free)
	for i := range 3 {
		member := *n
		member.addresses = addresses(free, "0.0.0.0:2379", free[3*i], "0.0.0.0:2380", free[3*i+1], "0.0.0.0:2381", free[3*i+2])
		pod, c := podName(members, i), members.pod.Spec.Containers[0]
		member.start(pod, member.command(t.Context(), pod, members, c, append([]string{filepath.Join(n.bin, c.Command[0])}, c.Args...)...))
	}

	job := setup.pod.Spec.Containers[0]
	makeUsers := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		cmd := n.command(ctx, "setup", setup, job, job.Command...)
		cmd.Path, cmd.Err = exec.LookPath("sh")
		cmd.Env = append(cmd.Env, "TOOLS="+t.TempDir())
		n.run(cmd)
	}
	makeUsers()
	makeUsers() // a Job may run twice
	for i := range 3 {
		for _, p := range []*core.Probe{members.pod.Spec.Containers[0].ReadinessProbe, members.pod.Spec.Containers[0].LivenessProbe} {
			if status := get(t, "http://"+free[3*i+2]+p.HTTPGet.Path); status != http.StatusOK {
				t.Errorf("the probe of member %d is answered with %d", i, status)
			}
		}
	}

	w := built["worker"].workloads()[0]
	c := *elector(w.pod.Spec)
	address := ports(t, 1)[0]
	cmd := n.command(t.Context(), "worker-a", w, c, append([]string{filepath.Join(n.bin, "elector")}, settings(c)...)...)
	cmd.Args = append(cmd.Args, "--http="+address, "--probe-http=")
	n.start("worker-a", cmd)
	n.run(exec.CommandContext(t.Context(), filepath.Join(n.bin, "elector"), "wait", "--leader", "--addr="+address, "--timeout=1m"))
	script(t, n, "worker-a's worker", w, address)
	n.until("worker-a's worker", func(said string) bool { return strings.HasPrefix(said, "working with token ") })

	for _, ask := range []struct{ who, args, want string }{
		{"nobody", "get /elector/elector-example/worker/ --prefix --keys-only", "user name is empty"},
		{"elector", "get /elector/elector-example/worker/ --prefix --keys-only", "/elector/elector-example/worker/"},
		{"elector", "get /elector/elector-example/other/ --prefix", "permission denied"},
		{"elector", "put /elector/elector-example/worker-not x", "permission denied"},
		{"elector", "user list", "permission denied"},
	} {
		cmd := n.command(t.Context(), "setup", setup, job, append([]string{filepath.Join(n.bin, "etcdctl")}, strings.Fields(ask.args)...)...)
		if ask.who != "nobody" {
			cmd.Env = append(cmd.Env, "ETCDCTL_USER="+ask.who, "ETCDCTL_PASSWORD="+password(built["etcd"], "elector-etcd"))
		}
		if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), ask.want) {
			t.Errorf("%s asks %s, and the answer has no %q: %s", ask.who, ask.args, ask.want, out)
		}
	}
}

// addresses maps the example's names, and more, to addresses of this host. Each member has three: for clients, members and metrics.
func addresses(free []string, more ...string) *strings.Replacer {
	return strings.NewReplacer(append(more,
		"etcd-0.etcd:2379", free[0], "etcd-1.etcd:2379", free[3], "etcd-2.etcd:2379", free[6],
		"etcd-0.etcd:2380", free[1], "etcd-1.etcd:2380", free[4], "etcd-2.etcd:2380", free[7],
	)...)
}

func password(all objects, secret string) string {
	for _, s := range of[*core.Secret](all) {
		if s.Name == secret {
			return string(s.Data["password"])
		}
	}
	return ""
}
