package config

import (
	"slices"
	"testing"
)

func TestVariablesThatLookMisspeltAreWarnedOfAndNoOthers(t *testing.T) {
	const tail = " is not a setting and is ignored: did you mean "
	for variable, warning := range map[string]string{
		"ELECTOR_ELETCION":          "ELECTOR_ELETCION" + tail + "ELECTOR_ELECTION?",
		"ELECTOR_ELECTION_NAMSPACE": "ELECTOR_ELECTION_NAMSPACE" + tail + "ELECTOR_ELECTION_NAMESPACE?",
		"ELECTOR_TLT":               "ELECTOR_TLT" + tail + "ELECTOR_TTL?",
		"ELECTOR_IDD":               "ELECTOR_IDD" + tail + "ELECTOR_ID?",
		"ELECTOR_ETCD_ENDPOINT":     "ELECTOR_ETCD_ENDPOINT" + tail + "ELECTOR_ETCD_ENDPOINTS?",
		"ELECTOR_LOGLEVEL":          "ELECTOR_LOGLEVEL" + tail + "ELECTOR_LOG_LEVEL?",

		// What Kubernetes injects for Services named elector and elector-http.
		"ELECTOR_PORT":                        "",
		"ELECTOR_PORT_4040_TCP":               "",
		"ELECTOR_PORT_4040_TCP_ADDR":          "",
		"ELECTOR_PORT_4040_TCP_PORT":          "",
		"ELECTOR_PORT_4040_TCP_PROTO":         "",
		"ELECTOR_SERVICE_HOST":                "",
		"ELECTOR_SERVICE_PORT":                "",
		"ELECTOR_SERVICE_PORT_HTTP":           "",
		"ELECTOR_HTTP_PORT":                   "",
		"ELECTOR_HTTP_PORT_80_TCP_ADDR":       "",
		"ELECTOR_PROBE_HTTP_SERVICE_HOST":     "",
		"ELECTOR_ETCD_CERT_SERVICE_PORT_PEER": "",

		// What elector and others use under the same beginning.
		"ELECTOR_ADDR":           "",
		"ELECTOR_PATH":           "",
		"ELECTOR_TERM_TOKEN":     "",
		"ELECTOR_TERM_ID":        "",
		"ELECTOR_SOMETHING_ELSE": "",
		"ELECTOR_TLS":            "",
		"ELECTOR_TTL":            "",
		"ELECTION":               "",
		"ETCDCTL_ENDPOINT":       "",
	} {
		_, got, mistakes := load(t, []string{"--election=x", "--ttl=10s"}, []string{variable + "=tcp://10.0.0.1:4040"}, "")
		var want []string
		if warning != "" {
			want = []string{warning}
		}
		if !slices.Equal(got, want) || mistakes != nil {
			t.Errorf("%s: warnings %q, mistakes %q", variable, got, mistakes)
		}
	}
}

func TestTheOldSidecarsFlagsAreAccepted(t *testing.T) {
	cfg, warnings, mistakes := load(t, []string{"--election=x", "--id=a", "--election-namespace=b", "--ttl=10s", "--http=0.0.0.0:4040", "--use-cluster-credentials"}, nil, "")
	want := []string{"--use-cluster-credentials does nothing, because the election is held in etcd and not in Kubernetes: remove it and set --etcd-endpoints"}
	if !slices.Equal(warnings, want) || mistakes != nil || cfg.Path() != "b/x" || cfg.HTTP != "0.0.0.0:4040" {
		t.Errorf("got %+v, warnings %q, mistakes %q", cfg, warnings, mistakes)
	}
	if cfg, warnings, _ := load(t, []string{"--election=x", "--use-cluster-credentials=true", "--http="}, nil, ""); len(warnings) != 1 || cfg.HTTP != "" {
		t.Errorf("written out: warnings %q, http %q", warnings, cfg.HTTP)
	}
	if _, warnings, _ := load(t, []string{"--election=x", "--use-cluster-credentials=false"}, nil, ""); warnings != nil {
		t.Errorf("when off: warnings %q", warnings)
	}
}

func TestSuggestionsAreNearTheMistake(t *testing.T) {
	for name, want := range map[string]string{
		"elction": "election", "namespace": "election-namespace", "etcd_endpoints": "etcd-endpoints",
		"etcd-password": "etcd-password-file", "loglevel": "log-level", "electionNamespace": "election-namespace",
		"q": "", "something-else-entirely": "",
	} {
		if got := Suggest(name); got != want {
			t.Errorf("%s: suggests %q, want %q", name, got, want)
		}
	}
}
