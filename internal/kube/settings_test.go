package kube

import (
	"log/slog"
	"strings"
	"testing"
)

func TestSettingsThatCannotBeAreRefusedWithWhatToDo(t *testing.T) {
	good := Config{
		Service: "mail", PodLabel: "example.com/role=leader,follower", API: "https://10.0.0.1:443/", Credentials: t.TempDir(),
		Env: []string{"POD_NAME=w1", "POD_NAMESPACE=shop", "POD_IP=fd00::1"}, Election: "shop/mail", Logger: slog.New(slog.DiscardHandler),
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		change func(*Config)
		says   []string
	}{
		{"no environment", func(c *Config) { c.Env, c.API = nil, "" },
			[]string{"set --kube-api", "set POD_NAMESPACE to", "set POD_NAME to", "set it to the pod's status.podIPs"}},
		{"a name", func(c *Config) { c.Service = "Mail/1" }, []string{`--kube-service "Mail/1" is no name`}},
		{"a path", func(c *Config) { c.Env = append(c.Env, "POD_NAMESPACE=../x") }, []string{"set POD_NAMESPACE"}},
		{"an address", func(c *Config) { c.Env = append(c.Env, "POD_IP=fe80::1%eth0") }, []string{"POD_IPS is"}},
		{"plain HTTP", func(c *Config) { c.API = "http://10.0.0.1" }, []string{`--kube-api "http://10.0.0.1" is no https URL`}},
		{"a label without a value", func(c *Config) { c.PodLabel = "role" }, []string{`--kube-pod-label "role" has no "="`}},
		{"a label with a bad key", func(c *Config) { c.PodLabel = "a/b/c=leader" }, []string{"has a key that no label may have"}},
		{"a label with a bad value", func(c *Config) { c.PodLabel = "role=yes!" }, []string{"has a value that no label may have"}},
		{"a label with a third value", func(c *Config) { c.PodLabel = "role=a,b,c" }, []string{"has a value that no label may have"}},
		{"a label that tells nothing", func(c *Config) { c.PodLabel = "role=a,a" }, []string{"has the same value twice"}},
	} {
		cfg := good
		row.change(&cfg)
		_, err := New(cfg)
		for _, want := range row.says {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v lacks %q", row.name, err, want)
			}
		}
	}
	inPod := good
	inPod.API, inPod.Env = "", append(inPod.Env, "KUBERNETES_SERVICE_HOST=fd00::a", "KUBERNETES_SERVICE_PORT=443")
	if s, err := settle(inPod); err != nil || s.api.server != "https://[fd00::a]:443" {
		t.Errorf("in a pod: %q, %v", s.api.server, err)
	}
}

func TestNamesAndLabelsAreThoseOfTheAPI(t *testing.T) {
	long := strings.Repeat("a", 63)
	for text, want := range map[string][2]bool{ // a name; a label
		"a": {true, true}, "a-1.b": {true, true}, long: {true, true}, long + "a": {true, false}, strings.Repeat("a", 253): {true, false},
		strings.Repeat("a", 254): {}, "": {}, "A_b": {false, true}, "-a": {}, "a-": {}, ".a": {}, "a/b": {}, "a b": {}, "ä": {}, "a\n": {}, "..": {}, "a..b": {true, true},
	} {
		if got := [2]bool{isName(text), isLabel(text)}; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
