package etcdstore

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestTheFirstEndpointDecidesHowMembersAreTalkedTo(t *testing.T) {
	for _, row := range []struct {
		endpoint    string
		certificate bool
		tls         bool
	}{
		{"https://etcd:2379", false, true}, {"unixs://etcd:0", false, true}, {"http://etcd:2379", true, false},
		{"etcd:2379", true, true}, {"etcd:2379", false, false}, {"unix://etcd:0", true, true}, {"etcd", true, true}, {"http", true, true},
	} {
		cfg := Config{Endpoints: []string{row.endpoint, "http://another:2379"}}
		if row.certificate {
			cfg.CACert = "ca.pem"
		}
		if got := (&Store{cfg: cfg}).speaksTLS(); got != row.tls {
			t.Errorf("%s, with certificates %v: TLS %v, want %v", row.endpoint, row.certificate, got, row.tls)
		}
	}
	for _, cfg := range []Config{{CACert: "ca.pem"}, {Cert: "c.pem"}, {Key: "k.pem"}} {
		cfg.Endpoints = []string{"etcd:2379"}
		if !(&Store{cfg: cfg}).speaksTLS() {
			t.Errorf("no TLS with %+v", cfg)
		}
	}
}

func TestWhatTheClientLogsIsForDebuggingWithItsFields(t *testing.T) {
	var out bytes.Buffer
	store, err := New(Config{Endpoints: []string{"http://etcd:2379"}, Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	log := store.log
	log.Warn("without fields")
	log.With(zap.String("of", "all")).Warn("said", zap.Int("count", 7))
	for _, want := range []string{"level=DEBUG", `msg="etcd client: without fields"`, `msg="etcd client: said"`, "of=all", "count=7", "etcd_level=warn"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in %s", want, &out)
		}
	}
}
