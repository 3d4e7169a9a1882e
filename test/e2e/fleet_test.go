//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/dockertest"
)

// patience bounds every wait.
const patience = time.Minute

// fleet is three members of etcd, and three workers with an elector each, on a network of their own. A worker's container
// owns the interface that its elector shares, as in a pod. The elector is asked over the loopback, so that a worker that
// is cut off goes on asking.
type fleet struct {
	t       *testing.T
	network string
	prefix  string // of the containers' names
	told    []dockertest.Answer
	journal []*bufio.Reader
	partial []string // what of a line has been read, by journal
}

func (f *fleet) container(name string) string { return f.prefix + "-" + name }
func worker(i int) string                     { return fmt.Sprintf("worker-%d", i) }
func elector(worker string) string            { return strings.Replace(worker, "worker", "elector", 1) }

func newFleet(t *testing.T) *fleet {
	etcdImage, electorImage := dockertest.Built(t, dockertest.Etcd), dockertest.Elector(t)
	self, err := os.Executable()
	must(t, err)
	workerImage := dockertest.Programs(t, self)

	f := &fleet{t: t, network: dockertest.Name(), prefix: dockertest.Name()}
	dockertest.Docker(t, "network", "create", "--internal", f.network)
	t.Cleanup(func() { dockertest.Docker(t, "network", "rm", f.network) })
	var cluster, endpoints []string
	for i := 1; i <= 3; i++ {
		cluster = append(cluster, fmt.Sprintf("etcd-%d=http://etcd-%[1]d:2380", i))
		endpoints = append(endpoints, fmt.Sprintf("http://etcd-%d:2379", i))
	}
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("etcd-%d", i)
		dockertest.Start(t, f.container(name), "--network="+f.network, "--network-alias="+name, "--tmpfs=/data", etcdImage,
			"--name="+name, "--data-dir=/data/etcd", "--log-level=error", "--initial-cluster="+strings.Join(cluster, ","),
			"--listen-peer-urls=http://0.0.0.0:2380", "--initial-advertise-peer-urls=http://"+name+":2380",
			"--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://"+name+":2379")
	}
	journals := t.TempDir()
	for i := 1; i <= 3; i++ {
		name := worker(i)
		file, err := os.Create(filepath.Join(journals, name))
		must(t, err)
		t.Cleanup(func() { file.Close() })
		f.journal, f.partial = append(f.journal, bufio.NewReader(file)), append(f.partial, "")
		dockertest.Start(t, f.container(name), "--network="+f.network, "--volume="+journals+":/journals",
			"--env="+asWorker+"=/journals/"+name, workerImage)
		dockertest.Start(t, f.container(elector(name)), "--network=container:"+f.container(name),
			"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", electorImage,
			"--election=e2e", "--id="+name, "--ttl="+ttl.String(), "--answer-max="+answerMax.String(), "--etcd-endpoints="+strings.Join(endpoints, ","))
	}
	return f
}

// read takes in what the workers have written since it was called last.
func (f *fleet) read() (fresh []dockertest.Answer) {
	f.t.Helper()
	for i, journal := range f.journal {
		for {
			line, err := journal.ReadString('\n')
			f.partial[i] += line
			if err == io.EOF {
				break
			}
			must(f.t, err)
			var a dockertest.Answer
			must(f.t, json.Unmarshal([]byte(f.partial[i]), &a))
			f.partial[i] = ""
			fresh = append(fresh, a)
		}
	}
	f.told = append(f.told, fresh...)
	return fresh
}

// until waits for an answer that the workers get from now on.
func (f *fleet) until(what string, is func(dockertest.Answer) bool) dockertest.Answer {
	f.t.Helper()
	f.read()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			for _, a := range f.read() {
				if is(a) {
					return a
				}
			}
		case <-deadline.C:
			f.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// leads waits for a yes with a greater token.
func (f *fleet) leads(after dockertest.Answer) dockertest.Answer {
	f.t.Helper()
	return f.until("somebody leads", func(a dockertest.Answer) bool { return a.Leading && a.Token > after.Token })
}

// stands waits until a worker's elector stands in the queue, in contact with etcd.
func (f *fleet) stands(worker string) {
	f.t.Helper()
	f.until(worker+" stands", func(a dockertest.Answer) bool {
		return a.Identity == worker && a.State == "follower" && a.Registered && a.Connected
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
