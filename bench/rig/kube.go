package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/devetcd/proc"
)

// kubeconfig is what is read of a file that says how to reach an API server.
type kubeconfig struct {
	Current  string `json:"current-context"`
	Contexts []struct {
		Name    string `json:"name"`
		Context struct {
			Cluster string `json:"cluster"`
		} `json:"context"`
	} `json:"contexts"`
	Clusters []struct {
		Name    string `json:"name"`
		Cluster struct {
			Server string `json:"server"`
		} `json:"cluster"`
	} `json:"clusters"`
}

// APIServerOf is the address that a kubeconfig names, which has a port.
func APIServerOf(file string) (*url.URL, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var c kubeconfig
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	for _, context := range c.Contexts {
		for _, cluster := range c.Clusters {
			if context.Name != c.Current || cluster.Name != context.Context.Cluster {
				continue
			}
			u, err := url.Parse(cluster.Cluster.Server)
			if err == nil && u.Port() == "" {
				u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
			}
			return u, err
		}
	}
	return nil, fmt.Errorf("read %s: no cluster of context %q", file, c.Current)
}

// APIServer is one of Kubernetes on loopback, and its etcd.
type APIServer struct {
	Kubeconfig string // the file that says how to reach it
	etcd       *Etcd
	process    *proc.Process
}

// The names are those that a cluster's parts would have; nothing but an API server and its etcd is there.
const kubeconfigText = `apiVersion: v1
kind: Config
current-context: bench
contexts: [{name: bench, context: {cluster: bench, user: bench}}]
clusters: [{name: bench, cluster: {server: "https://%s", certificate-authority: %q}}]
users: [{name: bench, user: {client-certificate: %q, client-key: %q}}]
`

// StartAPIServer runs a program, kube-apiserver, with an etcd like that of all other measures, and returns when it is
// ready. Its files are in dir. Who has its client certificate may do everything.
func StartAPIServer(ctx context.Context, program, dir string) (*APIServer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("it does not become ready"))
	defer cancel()
	addr, err := devetcd.FreeAddress("127.0.0.1")
	if err != nil {
		return nil, err
	}
	files, err := devetcd.NewTLSFiles(dir, "bench")
	if err != nil {
		return nil, err
	}
	s := &APIServer{Kubeconfig: filepath.Join(dir, "kubeconfig")}
	text := fmt.Sprintf(kubeconfigText, addr, files.CACert, files.ClientCert, files.ClientKey)
	if err := os.WriteFile(s.Kubeconfig, []byte(text), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "kube-apiserver.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	if s.etcd, err = StartEtcd(ctx, 1); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(program, "--etcd-servers", s.etcd.Endpoints()[0], "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", "--secure-port", port,
		"--tls-cert-file", files.ServerCert, "--tls-private-key-file", files.ServerKey, "--client-ca-file", files.CACert, "--cert-dir", dir,
		"--service-account-issuer=https://127.0.0.1", "--service-account-key-file", files.ServerCert, "--service-account-signing-key-file", files.ServerKey,
		"--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=AlwaysAllow", "--anonymous-auth=false", "--disable-admission-plugins=ServiceAccount")
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = proc.Start(cmd); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.ready(ctx, addr, files); err != nil {
		s.Close()
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("start %s: %w\n%s", program, err, said[max(0, len(said)-2000):])
	}
	return s, nil
}

// ready waits until the server says that it is, which takes some seconds.
func (s *APIServer) ready(ctx context.Context, addr string, files *devetcd.TLSFiles) error {
	access, err := files.ClientConfig()
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: access}}
	defer client.CloseIdleConnections()
	for {
		rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(rq); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.process.Done():
			return errors.New(s.process.Exit())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Close ends the server and its etcd.
func (s *APIServer) Close() {
	if s.process != nil {
		_ = s.process.Kill()
	}
	s.etcd.Close()
}
