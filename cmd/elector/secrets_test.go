package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/elector-dev/elector/internal/devetcd"
)

// What only the elector is to know is in nothing that it tells: not at the most talkative level, not when it is refused,
// not when it crashes.
func TestPlantedSecretsAreFoundNowhere(t *testing.T) {
	for _, level := range []string{"none", "system"} { // the least and the most that the environment asks for
		t.Run(level, func(t *testing.T) { plantSecrets(t, level) })
	}
}

func plantSecrets(t *testing.T, level string) {
	secrets := map[string]string{
		"password of etcd": "planted-password-1f3a", "bearer token": "planted-bearer-77c2",
		"password in a hook's URL": "planted-hook-9d04", "password in a check's URL": "planted-check-5e61",
	}
	e := startEtcd(t, devetcd.Options{TLS: true, Auth: &devetcd.Auth{User: "worker", Password: secrets["password of etcd"]}})
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
		return path
	}
	files, password, status := e.TLS(), put("password", secrets["password of etcd"]), filepath.Join(dir, "status")
	settings := []string{
		"--log-level", "debug", "--etcd-user", "worker", "--etcd-password-file", password, "--status-file", status,
		"--etcd-cacert", files.CACert, "--etcd-cert", files.ClientCert, "--etcd-key", files.ClientKey,
		"--http-token-file", put("token", secrets["bearer token"]), "--state-dir", filepath.Join(dir, "state"),
		"--on-change", "http://hook:" + secrets["password in a hook's URL"] + "@127.0.0.1:1/",
	}
	p := e.start(t, "w1", settings...)
	p.await("leading", "/leader", func(a answer) bool { return a.Leading })
	settings[7] = status + "2"
	trigger := filepath.Join(t.TempDir(), "trigger")
	sick := e.startUnder(t, []string{"env", asBrittle + "=" + trigger, "GOTRACEBACK=" + level}, "w2", append(settings[:len(settings)-4:len(settings)-4],
		"--check-http", "http://check:"+secrets["password in a check's URL"]+"@127.0.0.1:1/")...)
	sick.await("being sick", "/status", func(a answer) bool { return a.State == "ineligible" && a.Connected })
	sick.awaitLog("check failed")
	p.awaitLog("a hook has failed")

	told := map[string]string{}
	for _, q := range []*process{p, sick} {
		for _, path := range []string{"/", "/leader", "/status", "/metrics", "/candidates", "/history", "/value", "/readyz?contact=required", "/nowhere"} {
			r, err := q.http.Get("http://" + q.addr + path)
			must(t, err)
			body, err := io.ReadAll(r.Body)
			must(t, err)
			r.Body.Close()
			told[q.id+path] = string(body)
		}
	}
	told["refusal"] = p.order("/resign", "wrong-"+secrets["bearer token"], http.StatusUnauthorized)
	must(t, os.WriteFile(password, []byte("wrong-"+secrets["password of etcd"]), 0o600)) // a refusal by etcd, for who comes next
	late := e.start(t, "w3", append(settings[:2:2], "--etcd-user", "worker", "--etcd-password-file", password,
		"--etcd-cacert", files.CACert, "--etcd-cert", files.ClientCert, "--etcd-key", files.ClientKey)...)
	late.awaitLog("--etcd-password-file")
	told["w3/status"] = fmt.Sprintf("%+v", late.await("telling the refusal", "/status", func(a answer) bool { return a.Refusal != "" }))
	must(t, syscall.Kill(p.PID(), syscall.SIGQUIT)) // Go tells of every goroutine then
	p.awaitExit()
	must(t, os.WriteFile(trigger, nil, 0o600))
	must(t, syscall.Kill(sick.PID(), syscall.SIGHUP)) // it logs, and so it panics
	sick.awaitExit()
	for _, q := range []*process{p, sick, late} {
		told[q.id+" log"] = q.logged()
	}
	if !strings.Contains(told["w1 log"], "goroutine ") || !strings.Contains(told["w2 log"], "panic: "+planted) || strings.Count(told["w2 log"], "\ngoroutine ") < 10 {
		t.Error("they told nothing of their crashes")
	}
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == password || filepath.Base(path) == "token" {
			return err
		}
		b, err := os.ReadFile(path)
		told[path] = string(b)
		return err
	}))
	for where, text := range told {
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("the %s is in %s", what, where)
			}
		}
	}
	if len(told) < 25 {
		t.Errorf("looked at %d texts only", len(told))
	}
}

// order sends a verb with a bearer token and returns what is answered.
func (p *process) order(path, bearer string, status int) string {
	p.t.Helper()
	rq, err := http.NewRequest(http.MethodPost, "http://"+p.addr+path, nil)
	must(p.t, err)
	rq.Header.Set("Elector-Request", "1")
	rq.Header.Set("Authorization", "Bearer "+bearer)
	r, err := p.http.Do(rq)
	must(p.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	must(p.t, err)
	if r.StatusCode != status {
		p.t.Errorf("%s: %d %s", path, r.StatusCode, body)
	}
	return string(body)
}
