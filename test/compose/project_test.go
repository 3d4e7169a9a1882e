//go:build e2e

package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/dockertest"
	"github.com/elector-dev/elector/internal/testenv"
)

// patience bounds every wait.
const patience = time.Minute

// project is deploy/compose.yaml with the images of this machine.
type project struct {
	t       *testing.T
	program string
	name    string
	env     []string
	client  *http.Client

	mu   sync.Mutex // guards told
	told []dockertest.Answer
}

// images makes what the public images of deploy/compose.yaml hold of programs of this machine.
func images(t *testing.T) []string {
	t.Helper()
	python, err := filepath.EvalSymlinks(testenv.Command(t, "/usr/bin/python3")) // Debian's, whose library is known
	must(t, err)
	library := strings.Replace(python, "/bin/", "/lib/", 1)
	images := map[string]string{
		"HAPROXY_IMAGE":    dockertest.Programs(t, testenv.Command(t, "haproxy")),
		"PROMETHEUS_IMAGE": dockertest.Programs(t, testenv.Command(t, "prometheus")),
		"PYTHON_IMAGE":     dockertest.Programs(t, python, library),
		"ETCD_IMAGE":       dockertest.Built(t, dockertest.Etcd),
		"ELECTOR_IMAGE":    dockertest.Built(t, "github.com/elector-dev/elector/cmd/elector"),
	}
	var env []string
	for name, image := range images {
		env = append(env, name+"="+image)
	}
	return env
}

// up starts the project, which ends with the test and leaves nothing.
func up(t *testing.T) *project {
	t.Helper()
	testenv.Docker(t)
	p := &project{t: t, program: testenv.Command(t, "docker-compose"), name: dockertest.Name(), client: &http.Client{Timeout: 2 * time.Second}}
	p.env = append(append(os.Environ(), "HAPROXY_PORT=0", "PROMETHEUS_PORT=0"), images(t)...) // 0: any that is free
	t.Cleanup(p.client.CloseIdleConnections)
	t.Cleanup(p.down)
	p.compose("up", "--detach", "--no-build")
	return p
}

func (p *project) down() {
	if p.t.Failed() {
		p.t.Logf("the containers said last:\n%s", p.compose("logs", "--tail=10", "--no-color"))
	}
	p.compose("down", "--volumes")
	for _, kind := range []string{"container", "network", "volume"} {
		args := []string{kind, "ls", "--quiet", "--filter=label=com.docker.compose.project=" + p.name}
		if kind == "container" {
			args = append(args, "--all")
		}
		if left := dockertest.Docker(p.t, args...); left != "" {
			p.t.Errorf("down leaves a %s: %s", kind, left)
		}
	}
}

// compose runs a command of docker-compose, and returns what it printed.
func (p *project) compose(args ...string) string {
	p.t.Helper()
	cmd := exec.Command(p.program, append([]string{"--project-name=" + p.name,
		"--file=" + dockertest.Root + "/deploy/compose.yaml", "--file=override.yaml"}, args...)...)
	cmd.Env = p.env
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("docker-compose %s: %v\n%s", strings.Join(args, " "), err, &complaints)
	}
	return strings.TrimSpace(string(out))
}

// port is where a service is reached from the host.
func (p *project) port(service, port string) string {
	p.t.Helper()
	return "http://" + p.compose("port", service, port)
}

// watch asks a worker's elector over the probe listener until the returned function is called.
func (p *project) watch(worker string) (stop func()) {
	p.t.Helper()
	container := p.compose("ps", "--quiet", worker)
	address := dockertest.Docker(p.t, "inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if a, err := dockertest.Ask(ctx, p.client, "http://"+address+":4041"); err == nil {
				p.mu.Lock()
				p.told = append(p.told, a)
				p.mu.Unlock()
			}
			<-tick.C
		}
	}()
	return func() { cancel(); <-done }
}

// until asks again and again until the answer is yes.
func (p *project) until(what string, is func() bool) {
	p.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-deadline.C:
			p.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// stands waits until a worker's elector stands in the queue, by what it says from now on.
func (p *project) stands(worker string) {
	p.t.Helper()
	p.mu.Lock()
	seen := len(p.told)
	p.mu.Unlock()
	p.until(worker+" stands", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, a := range p.told[seen:] {
			if a.Identity == worker && a.State == "follower" && a.Registered {
				return true
			}
		}
		return false
	})
}

// served is who answered a request over HAProxy, and under which token; "" is nobody.
func (p *project) served(entry string) (worker string, token int64) {
	resp, err := p.client.Get(entry)
	if err != nil {
		return "", 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", 0
	}
	if _, err := fmt.Sscanf(string(body), "%s token %d\n", &worker, &token); err != nil {
		p.t.Errorf("a worker says %q: %v", body, err)
	}
	return worker, token
}

// query is what a Prometheus finds for an expression: "" for nothing.
func (p *project) query(prometheus, expression string) string {
	resp, err := p.client.Get(prometheus + "/api/v1/query?query=" + url.QueryEscape(expression))
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var found struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil || len(found.Data.Result) != 1 {
		return ""
	}
	value, _ := found.Data.Result[0].Value[1].(string)
	return value
}

// alerts are those that a Prometheus has evaluated without an error, and which of them fire. While one is still to be
// evaluated there are none.
func (p *project) alerts(prometheus string) (evaluated map[string]bool, firing []string) {
	resp, err := p.client.Get(prometheus + "/api/v1/rules?type=alert")
	if err != nil {
		return nil, nil
	}
	defer resp.Body.Close()
	var found struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, State string }
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		return nil, nil
	}
	evaluated = make(map[string]bool)
	for _, group := range found.Data.Groups {
		for _, rule := range group.Rules {
			if rule.Health != "ok" {
				return nil, nil
			}
			evaluated[rule.Name] = true
			if rule.State == "firing" {
				firing = append(firing, rule.Name)
			}
		}
	}
	return evaluated, firing
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
