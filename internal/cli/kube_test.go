package cli

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/config"
)

func TestAnAPIServerThatCannotBeToldIsAMistakeInTheSettings(t *testing.T) {
	t.Setenv("POD_NAME", "")
	got := run(t, "", "config", "check", "--election=orders", "--kube-service=Mail", "--kube-pod-label=role", "--kube-api=http://10.0.0.1")
	for _, want := range []string{`--kube-service "Mail" is no name`, `--kube-pod-label "role" has no "="`, `--kube-api "http://10.0.0.1" is no https URL`, "set POD_NAME"} {
		if got.status != 2 || !strings.Contains(got.stderr, want) {
			t.Errorf("%+v lacks %q", got, want)
		}
	}
}

func TestNothingIsMadeForAnAPIServerThatIsNotToBeTold(t *testing.T) {
	cfg := config.Default(nil)
	cfg.Election, cfg.Kube.API = "orders", "no URL, which nobody reads"
	d, err := newDaemon(cfg, memory{incarnation: "1"}, false, nil, slog.New(slog.DiscardHandler))
	if err != nil || d.kube != nil {
		t.Errorf("%v, %v", d, err)
	}
}
