package config

import (
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

func TestReloadTakesOverWhatMayChangeAndNamesTheRest(t *testing.T) {
	path := write(t, "election: mail\nttl: 10s\nlog-level: info\ncheck-http: http://127.0.0.1:1/a\n")
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f := Register(fs)
	env := []string{"ELECTOR_ON_FOLLOW=/bin/env"}
	if err := fs.Parse([]string{"--config=" + path, "--hook-timeout=3s"}); err != nil {
		t.Fatal(err)
	}
	running, _, err := f.Load(env)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		file        string
		live, fixed []string
		wrong       bool
	}{
		{file: "election: mail\nttl: 10s\nlog-level: info\ncheck-http: http://127.0.0.1:1/a\n"},
		{file: "election: mail\nttl: 20s\nlog-level: debug\ncheck-http: [http://127.0.0.1:1/a, http://127.0.0.1:1/b]\non-lead: /bin/true\nhook-timeout: 9s\non-follow: /bin/false\nprefix: /x\n",
			live: []string{"check-http", "on-lead", "log-level"}, fixed: []string{"prefix", "ttl"}},
		{file: "election: mail\nlog-level: loud\non-lead: /bin/false\n", wrong: true},
		{file: "election: mail\nttl: 10s\ncheck-interval: 1s\ncheck-timeout: 2s\n", wrong: true}, // a look longer than its interval
		{file: "election: mail\n", live: []string{"check-http", "on-lead", "log-level"}},
	} {
		if err := os.WriteFile(path, []byte(row.file), 0o600); err != nil {
			t.Fatal(err)
		}
		before := running
		next, changes, _, err := f.Reload(env, running)
		slices.Sort(changes.Fixed)
		if (err != nil) != row.wrong || !slices.Equal(changes.Live, row.live) || !slices.Equal(changes.Fixed, row.fixed) {
			t.Errorf("%q: changes %+v, error %v", row.file, changes, err)
		}
		if row.wrong && !reflect.DeepEqual(next, before) {
			t.Errorf("%q is wrong, and the settings have changed:\n%+v\n%+v", row.file, before, next)
		}
		if next.TTL != before.TTL || next.Prefix != before.Prefix || next.OnFollow != "/bin/env" || next.HookTimeout.String() != "3s" {
			t.Errorf("%q: %+v", row.file, next)
		}
		running = next
	}
	if running.CheckHTTP != nil || running.OnLead != "" {
		t.Errorf("what the file has no longer is still there: %+v", running)
	}
}
