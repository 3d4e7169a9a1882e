package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load parses args and loads with env, and with the file if it is not empty.
func load(t *testing.T, args, env []string, file string) (Config, []string, []string) {
	t.Helper()
	if file != "" {
		args = append([]string{"--config=" + write(t, file)}, args...)
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f := Register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := f.Load(env)
	if err == nil {
		return cfg, warnings, nil
	}
	return cfg, warnings, err.(*Error).Mistakes
}

// write puts a file where t cleans up.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "elector.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// samples holds values of every setting: for the file, etcdctl's variable, our variable and the flag.
// Neighbours differ, and all differ from the default where there are enough values.
var samples = map[string][4]string{
	"election":                {"file", "-", "env", "flag"},
	"election-namespace":      {"file", "-", "env", "flag"},
	"id":                      {"file", "-", "env", "flag"},
	"prefix":                  {"/file", "-", "/env", "/flag"},
	"ttl":                     {"11s", "-", "12s", "13s"},
	"answer-max":              {"1.1s", "-", "1.2s", "1.3s"},
	"shutdown-release":        {"now", "-", "promised", "now"},
	"http":                    {":1", "-", ":2", ""},
	"probe-http":              {":1", "-", "", ":3"},
	"value":                   {"file", "-", "env", "flag"},
	"status-file":             {"file", "-", "env", "flag"},
	"leader-file":             {"file", "-", "env", "flag"},
	"probe-http-web-config":   {"file", "-", "env", "flag"},
	"check-http":              {"http://file/a,b", "-", "http://env/", "http://flag/"},
	"check-tcp":               {"file:1", "-", "env:1", "flag:1"},
	"check-exec":              {"file, x", "-", "env", "flag"},
	"check-file":              {"/file", "-", "/env", "/flag"},
	"check-max-age":           {"1s", "-", "2s", "3s"},
	"check-interval":          {"3s", "-", "4s", "5s"},
	"check-timeout":           {"1.1s", "-", "1.2s", "1.3s"},
	"check-rise":              {"3", "-", "4", "5"},
	"check-fall":              {"4", "-", "5", "6"},
	"no-lead":                 {"true", "-", "false", "true"},
	"on-lead":                 {"file", "-", "env", "flag"},
	"on-follow":               {"file", "-", "env", "flag"},
	"on-change":               {"file", "-", "env", "flag"},
	"before-lead":             {"file", "-", "env", "flag"},
	"before-release":          {"file", "-", "env", "flag"},
	"hook-timeout":            {"1s", "-", "2s", "3s"},
	"stop-signal":             {"SIGINT", "-", "SIGQUIT", "INT"},
	"stop-grace":              {"1s", "-", "2s", "3s"},
	"restart":                 {"always", "-", "on-failure", "never"},
	"child-no-new-privs":      {"true", "-", "false", "true"},
	"require-hold":            {"true", "-", "false", "true"},
	"hold-timeout":            {"1s", "-", "2s", "3s"},
	"drain-timeout":           {"1s", "-", "2s", "3s"},
	"http-token-file":         {"file", "-", "env", "flag"},
	"http-allowed-hosts":      {"a.file", "-", "a.env,b.env", "flag"},
	"kube-service":            {"file", "-", "env", "flag"},
	"kube-pod-label":          {"file=a,b", "-", "env=a,b", "flag=a"},
	"kube-api":                {"https://file", "-", "https://env", "https://flag"},
	"kube-credentials":        {"/file", "-", "/env", "/flag"},
	"etcd-endpoints":          {"http://file:1", "http://ctl:1", "http://env:1,http://env:2", "flag:1"},
	"etcd-dial-timeout":       {"1s", "2s", "3s", "4s"},
	"state-dir":               {"file", "-", "env", "flag"},
	"etcd-cacert":             {"file", "ctl", "env", "flag"},
	"etcd-cert":               {"file", "ctl", "env", "flag"},
	"etcd-key":                {"file", "ctl", "env", "flag"},
	"etcd-user":               {"file", "ctl", "env", "flag"},
	"etcd-password-file":      {"file", "-", "env", "flag"},
	"config":                  {"-", "-", "env", "flag"},
	"log-level":               {"debug", "-", "warn", "error"},
	"log-format":              {"json", "-", "text", "json"},
	"use-cluster-credentials": {"true", "-", "false", "true"},
}

func TestEverySettingIsTakenFromItsHighestSource(t *testing.T) {
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			v, ok := samples[s.name]
			if !ok {
				t.Fatal("no samples: every setting must be proven in all its forms")
			}
			check := func(source string, want string, args, env []string, file string) {
				t.Helper()
				cfg, _, _ := load(t, args, env, file)
				if got := s.show(&cfg); got != want {
					t.Errorf("%s: got %q, want %q", source, got, want)
				}
			}
			var file string
			var env, args []string
			if !s.notInFile {
				file = fmt.Sprintf("%s: %q\n", s.name, v[0])
				check("file", v[0], args, env, file)
			}
			if s.etcdctl != "" {
				env = append(env, s.etcdctl+"="+v[1])
				check("etcdctl's variable", v[1], args, env, file)
			}
			env = append(env, "ELECTOR_"+strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))+"="+v[2])
			check("variable", v[2], args, env, file)
			args = []string{"--" + s.name + "=" + v[3]}
			check("flag", v[3], args, env, file)
		})
	}
	if len(samples) != len(settings) {
		t.Errorf("%d samples for %d settings", len(samples), len(settings))
	}
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"election": "", "election-namespace": "default", "id": host, "prefix": "/elector",
		"ttl": "10s", "answer-max": "2s", "shutdown-release": "promised",
		"stop-signal": "SIGTERM", "stop-grace": "0s", "restart": "never", "child-no-new-privs": "false",
		"check-http": "", "check-tcp": "", "check-exec": "", "check-file": "", "check-max-age": "0s", "check-interval": "2s", "check-timeout": "1s",
		"check-rise": "2", "check-fall": "3", "no-lead": "false", "hook-timeout": "10s",
		"on-lead": "", "on-follow": "", "on-change": "", "before-lead": "", "before-release": "",
		"require-hold": "false", "hold-timeout": "0s", "drain-timeout": "10s",
		"probe-http-web-config": "", "status-file": "", "leader-file": "", "value": "", "http": "127.0.0.1:4040", "probe-http": "", "http-token-file": "", "http-allowed-hosts": "",
		"kube-service": "", "kube-pod-label": "", "kube-api": "", "kube-credentials": "/var/run/secrets/kubernetes.io/serviceaccount",
		"etcd-endpoints": "http://127.0.0.1:2379", "etcd-dial-timeout": "5s",
		"etcd-cacert": "", "etcd-cert": "", "etcd-key": "", "etcd-user": "", "etcd-password-file": "",
		"config": "", "log-level": "info", "log-format": "text", "use-cluster-credentials": "false",
	}
	cfg := Default(nil)
	for _, s := range settings {
		if got := s.show(&cfg); got != want[s.name] {
			t.Errorf("--%s: default %q, want %q", s.name, got, want[s.name])
		}
	}
	cfg = Default([]string{"POD_NAME=web-0", "POD_NAMESPACE=shop"})
	if cfg.ID != "web-0" || cfg.Path() != "shop/" {
		t.Errorf("in a pod: id %q, path %q", cfg.ID, cfg.Path())
	}
	cfg.Election = "orders"
	if err := cfg.Validate(); err != nil {
		t.Errorf("the defaults and an election are not valid: %v", err)
	}
}

func TestEndpointsMayBeAListInEveryForm(t *testing.T) {
	want := []string{"http://a:1", "http://b:2"}
	for name, form := range map[string]struct {
		args, env []string
		file      string
	}{
		"one flag":        {args: []string{"--etcd-endpoints=http://a:1, http://b:2"}},
		"flag repeated":   {args: []string{"--etcd-endpoints=http://a:1", "--etcd-endpoints=http://b:2"}},
		"environment":     {env: []string{"ELECTOR_ETCD_ENDPOINTS=http://a:1,http://b:2"}},
		"text in file":    {file: "etcd-endpoints: http://a:1,http://b:2"},
		"list in file":    {file: "etcd-endpoints:\n- http://a:1\n- http://b:2"},
		"alias in a file": {file: "etcd-endpoints: [&a 'http://a:1', 'http://b:2']"},
	} {
		cfg, _, mistakes := load(t, append(form.args, "--election=x"), form.env, form.file)
		if !slices.Equal(cfg.Etcd.Endpoints, want) || mistakes != nil {
			t.Errorf("%s: got %q, %q", name, cfg.Etcd.Endpoints, mistakes)
		}
	}
}

func TestTheFileKeepsTextsAsTheyAreWritten(t *testing.T) {
	cfg, _, mistakes := load(t, nil, nil, "election: 007\nid: yes\nelection-namespace: 1e3\nhttp: ''\nuse-cluster-credentials: false\n")
	if cfg.Election != "007" || cfg.ID != "yes" || cfg.Namespace != "1e3" || cfg.HTTP != "" || mistakes != nil {
		t.Errorf("got %+v, %q", cfg, mistakes)
	}
	for _, empty := range []string{"# nothing\n", "---\n", "null\n", "{}\n"} {
		if _, _, mistakes := load(t, []string{"--election=x"}, nil, empty); mistakes != nil {
			t.Errorf("%q: %q", empty, mistakes)
		}
	}
}

func TestThePasswordComesFromItsHighestSource(t *testing.T) {
	const tls = "etcd-endpoints: https://a:1\nelection: x\n"
	for _, row := range []struct {
		name           string
		args, env      []string
		file           string
		user, pw, from string
		mistakes       int
	}{
		{name: "within etcdctl's user", env: []string{"ETCDCTL_USER=bob:s3:cret"}, user: "bob", pw: "s3:cret"},
		{name: "beside etcdctl's user", env: []string{"ETCDCTL_USER=bob", "ETCDCTL_PASSWORD=pw"}, user: "bob", pw: "pw"},
		{name: "etcdctl's own variable before the one within the user", env: []string{"ETCDCTL_USER=bob:old", "ETCDCTL_PASSWORD=new"}, user: "bob", pw: "new"},
		{name: "not that of another user", args: []string{"--etcd-user=ann"}, env: []string{"ETCDCTL_USER=bob:pw"}, user: "ann", mistakes: 1},
		{name: "flag before etcdctl", args: []string{"--etcd-password-file=f"}, env: []string{"ETCDCTL_USER=bob:pw"}, user: "bob", from: "f"},
		{name: "our variable before etcdctl", env: []string{"ETCDCTL_USER=bob:pw", "ELECTOR_ETCD_PASSWORD_FILE=f"}, user: "bob", from: "f"},
		{name: "etcdctl before the file", env: []string{"ETCDCTL_PASSWORD=pw"}, file: "etcd-user: bob\netcd-password-file: f\n", user: "bob", pw: "pw"},
		{name: "file", file: "etcd-user: bob\netcd-password-file: f\n", user: "bob", from: "f"},
		{name: "empty variables of etcdctl are absent", env: []string{"ETCDCTL_USER=", "ETCDCTL_PASSWORD="}, file: "etcd-user: bob\netcd-password-file: f\n", user: "bob", from: "f"},
	} {
		cfg, _, mistakes := load(t, row.args, row.env, tls+row.file)
		e := cfg.Etcd
		if e.User != row.user || e.Password != row.pw || e.PasswordFile != row.from || len(mistakes) != row.mistakes {
			t.Errorf("%s: user %q, password %q, file %q, mistakes %q", row.name, e.User, e.Password, e.PasswordFile, mistakes)
		}
	}
}

func TestAHiddenValueIsNotEvenParsed(t *testing.T) {
	cfg, _, mistakes := load(t, []string{"--election=x", "--ttl=5s"}, []string{"ELECTOR_TTL=soon"}, "ttl: never\n")
	if cfg.TTL.String() != "5s" || mistakes != nil {
		t.Errorf("got %v, %q", cfg.TTL, mistakes)
	}
}

func TestHelpListsEverySettingInItsGroupWithItsDefault(t *testing.T) {
	help := Help()
	for _, s := range settings {
		if !slices.Contains(groups, s.group) {
			t.Errorf("--%s is in no group of the help", s.name)
		}
		line := lineWith(help, "  --"+s.name+" ")
		if !strings.Contains(line, s.help) || !strings.Contains(line, s.preset) || !strings.Contains(line, s.etcdctl) {
			t.Errorf("--%s: help says %q", s.name, line)
		}
	}
	for _, want := range []string{"(required)", "(default: 10s)", `(default: POD_NAMESPACE, else "default")`, "(default: http://127.0.0.1:2379; ETCDCTL_ENDPOINTS)"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help lacks %q", want)
		}
	}
}

func lineWith(s, start string) string {
	for l := range strings.Lines(s) {
		if strings.HasPrefix(l, start) {
			return l
		}
	}
	return ""
}

func TestAListenerIsReachedOnItsOwnHost(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:4040": "127.0.0.1:4040", "localhost:1": "localhost:1", "10.1.2.3:80": "10.1.2.3:80",
		":4040": "127.0.0.1:4040", "0.0.0.0:4040": "127.0.0.1:4040", "[::]:4040": "[::1]:4040", "[fe80::1]:1": "[fe80::1]:1",
		"unix:/run/elector.sock": "unix:/run/elector.sock", "": "", "127.0.0.1:0": "", "nonsense": "",
	} {
		if got := Reached(address); got != want {
			t.Errorf("%q is reached at %q, want %q", address, got, want)
		}
	}
}
