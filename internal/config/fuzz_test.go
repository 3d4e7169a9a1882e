package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/pflag"
)

// loadRaw loads from an environment and, if it is not empty, a file.
func loadRaw(t *testing.T, env []string, file string) (Config, []string, error) {
	t.Helper()
	fs := pflag.NewFlagSet("fuzz", pflag.ContinueOnError)
	f := Register(fs)
	args := []string{}
	if file != "" {
		path := filepath.Join(t.TempDir(), "elector.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config="+path)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.Load(env)
}

// judge holds what a source brought about against the rules: a configuration that is taken passes Validate, and a
// mistake is one line that says something.
func judge(t *testing.T, cfg Config, warnings []string, err error) {
	t.Helper()
	if err == nil {
		if again := cfg.Validate(); again != nil {
			t.Errorf("taken, and not valid: %v", again)
		}
		return
	}
	mistakes := err.(*Error).Mistakes
	if len(mistakes) == 0 {
		t.Error("refused without a mistake")
	}
	for _, line := range append(mistakes, warnings...) {
		if line == "" || strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("not one line for an operator's terminal: %q", line)
		}
	}
}

// FuzzFile: whatever the YAML file holds, it is taken whole or refused in sentences.
func FuzzFile(f *testing.F) {
	for _, text := range []string{
		"election: orders\n", "election: 007\nttl: 11s\nhttp: ''\n", "etcd-endpoints: [http://a:1, http://b:1]\nelection: x\n", "electoin: x\n",
		"- a\n", "a: &a [*a]\n", "election: {x: y}\n", "election: \"a\\nb\"\n", "ttl: soon\n", "election: x\nelection: y\n", "? [a]\n: b\n", "\x00", "%YAML 9\n---\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, warnings, err := loadRaw(t, nil, text)
		judge(t, cfg, warnings, err)
	})
}

// FuzzEnvironment: whatever stands in our variables and etcdctl's, it is taken or refused in sentences, which never
// hold a password.
func FuzzEnvironment(f *testing.F) {
	for _, kv := range [][2]string{
		{"ELECTOR_ELECTION", "orders"}, {"ELECTOR_TTL", "5s"}, {"ELECTOR_ETCD_ENDPOINTS", "http://a:1,unix:///s"}, {"ETCDCTL_ENDPOINTS", "http://u:p@a:1"},
		{"ETCDCTL_USER", "bob:hunter2"}, {"ELECTOR_HTTP", "unix:/x"}, {"ELECTOR_ELETCION", "x"}, {"ELECTOR_ID", "a\nb"}, {"POD_NAME", "\xff"},
		{"ELECTOR_HTTP_ALLOWED_HOSTS", "a,b:1"}, {"", "x"}, {"ELECTOR_", ""},
	} {
		f.Add(kv[0], kv[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.EqualFold(name, "ELECTOR_CONFIG") {
			return // reads what it names
		}
		env := []string{"ELECTOR_ELECTION=orders", "ETCDCTL_PASSWORD=hunter2-is-secret", name + "=" + value}
		cfg, warnings, err := loadRaw(t, env, "")
		judge(t, cfg, warnings, err)
		if err != nil && strings.Contains(err.Error(), "hunter2-is-secret") && !strings.Contains(value, "hunter2-is-secret") {
			t.Errorf("a password is told: %v", err)
		}
	})
}
