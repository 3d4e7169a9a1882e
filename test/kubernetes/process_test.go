package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
)

// programs builds elector, etcd and etcdctl, and returns the folder with them. Each is of the module and is built in the way
// that it has elsewhere, so that the compiler has most of it already.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, from := range map[string][2]string{
		"elector": {root, "./cmd/elector"},
		"etcd":    {root, "go.etcd.io/etcd/server/v3"},
		"etcdctl": {root + "/tools", "go.etcd.io/etcd/etcdctl/v3"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(dir, name), from[1])
		cmd.Dir, cmd.Env = from[0], append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", from[1], err, out)
		}
	}
	return dir
}

// node runs containers of pods as processes: with their arguments, their environment and their files, but on loopback
// addresses and in folders of this test.
type node struct {
	t         *testing.T
	bin       string
	files     []objects          // where ConfigMaps and Secrets are looked for
	addresses *strings.Replacer  // from the pods' to this host's
	folders   map[string]string  // by the name of a pod and its volume
	outputs   map[string]*output // by the name of a pod
}

// output keeps what a process says. Its methods may be called while that runs.
type output struct{ file string }

func (o output) String() string {
	b, err := os.ReadFile(o.file)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// folder returns where a volume of a pod is.
func (n *node) folder(pod string, v core.Volume) string {
	n.t.Helper()
	if dir := n.folders[pod+"/"+v.Name]; dir != "" {
		return dir
	}
	dir := n.t.TempDir()
	n.folders[pod+"/"+v.Name] = dir
	content := make(map[string][]byte)
	switch {
	case v.Image != nil && strings.Contains(v.Image.Reference, "etcd"):
		content["usr/local/bin/etcdctl"] = nil
	case v.Image != nil:
		content["elector"] = nil
	case v.Secret != nil:
		for _, s := range slices.Concat(n.files...) {
			if s, ok := s.(*core.Secret); ok && s.Name == v.Secret.SecretName {
				content = s.Data
			}
		}
	case v.ConfigMap != nil:
		for key, text := range n.configMap(v.ConfigMap.Name) {
			content[key] = []byte(n.addresses.Replace(text))
		}
	}
	for name, b := range content {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			n.t.Fatal(err)
		}
		var err error
		if v.Image != nil {
			err = os.Symlink(filepath.Join(n.bin, filepath.Base(name)), file)
		} else {
			err = os.WriteFile(file, b, 0o600)
		}
		if err != nil {
			n.t.Fatal(err)
		}
	}
	return dir
}

func (n *node) configMap(name string) map[string]string {
	for _, c := range slices.Concat(n.files...) {
		if c, ok := c.(*core.ConfigMap); ok && c.Name == name {
			return c.Data
		}
	}
	n.t.Fatalf("there is no ConfigMap %s", name)
	return nil
}

// podIPs are a pod's addresses, where two families have them.
const podIPs = "10.0.0.1,fd00::1"

// command is what a container runs, for a pod of that name. It has not been started.
func (n *node) command(ctx context.Context, pod string, w workload, c core.Container, argv ...string) *exec.Cmd {
	n.t.Helper()
	var paths []string
	for _, m := range c.VolumeMounts {
		dir := n.t.TempDir() // of a claim
		for _, v := range w.pod.Spec.Volumes {
			if v.Name == m.Name {
				dir = n.folder(pod, v)
			}
		}
		paths = append(paths, m.MountPath+"/", dir+"/")
	}
	here := func(text string) string {
		return n.addresses.Replace(strings.NewReplacer(paths...).Replace(text))
	}
	env := make(map[string]string)
	for _, from := range c.EnvFrom {
		maps.Copy(env, n.configMap(from.ConfigMapRef.Name))
	}
	for _, e := range c.Env {
		switch {
		case e.ValueFrom == nil:
			env[e.Name] = e.Value
		case e.ValueFrom.FieldRef.FieldPath == "metadata.name":
			env[e.Name] = pod
		case e.ValueFrom.FieldRef.FieldPath == "metadata.namespace":
			env[e.Name] = w.object.GetNamespace()
		case e.ValueFrom.FieldRef.FieldPath == "status.podIPs":
			env[e.Name] = podIPs
		default:
			n.t.Fatalf("%s comes from %v", e.Name, e.ValueFrom)
		}
	}
	cmd := exec.CommandContext(ctx, argv[0])
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443"}
	var known []string
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+here(value))
		known = append(known, "$("+name+")", value)
	}
	for _, arg := range argv[1:] {
		cmd.Args = append(cmd.Args, here(strings.NewReplacer(known...).Replace(arg)))
	}
	return cmd
}

// start runs a command until the test ends.
func (n *node) start(pod string, cmd *exec.Cmd) {
	n.t.Helper()
	out, err := os.Create(filepath.Join(n.t.TempDir(), "output"))
	if err != nil {
		n.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	n.outputs[pod] = &output{out.Name()}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = cmd.Wait() // it ends by the context of the test
		out.Close()
		if n.t.Failed() {
			n.t.Logf("%s said:\n%s", pod, n.outputs[pod])
		}
	})
}

// run runs a command to its end, which must be that of success.
func (n *node) run(cmd *exec.Cmd) string {
	n.t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(bytes.TrimSpace(out))
}

// ports returns addresses of this host that are free now.
func ports(t *testing.T, n int) []string {
	t.Helper()
	var free []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		free = append(free, l.Addr().String())
	}
	return free
}

func podName(w workload, i int) string { return fmt.Sprintf("%s-%d", w.object.GetName(), i) }
