package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/elector-dev/elector/internal/devetcd"
)

// asBrittle names a file: when it is there, the goroutine of the elector that logs next removes it and panics.
const asBrittle = "ELECTOR_TEST_AS_BRITTLE"

// planted is what it panics with.
const planted = "planted fault"

// brittle is a standard error that panics when the file is there.
type brittle string

// Write implements io.Writer.
func (b brittle) Write(p []byte) (int, error) {
	if b != "" && os.Remove(string(b)) == nil { // one goroutine only: whoever goes on after it may log
		panic(planted)
	}
	return os.Stderr.Write(p)
}

// The goroutine may be one of the elector's own, or one in which net/http would recover the panic and go on.
func TestPanicAnywhereEndsTheProcessAndItsCommand(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	for name, provoke := range map[string]func(r *runner, web string){
		"the elector's loop": func(r *runner, _ string) {
			go func() { _, _ = r.http.Post("http://"+r.addr+"/drain", "application/json", strings.NewReader("{}")) }()
		},
		"one that is joined": func(r *runner, _ string) { must(t, syscall.Kill(r.PID(), syscall.SIGHUP)) },
		"a handler": func(r *runner, web string) {
			must(t, os.WriteFile(web, []byte("nonsense: true\n"), 0o600)) // it is told of in the log, by the handler
			_, probe, _ := strings.Cut(r.awaitLog(`"setting":"probe-http"`), `"setting":"probe-http"`)
			_, address, _ := strings.Cut(probe, `"address":"`)
			address, _, _ = strings.Cut(address, `"`)
			go func() { _, _ = r.http.Get("http://" + address + "/livez") }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			trigger, web := filepath.Join(dir, "trigger"), filepath.Join(dir, "web.yaml")
			must(t, os.WriteFile(web, nil, 0o600))
			journal := filepath.Join(dir, "journal")
			old := &runner{journal: journal}
			old.process = e.launch(t, []string{"env", asActor + "=" + journal, asElector + "=1", asBrittle + "=" + trigger}, "run", "old",
				"--probe-http", "127.0.0.1:0", "--probe-http-web-config", web, "--", "env", "-u", asElector, os.Args[0])
			began := old.act()
			next := e.start(t, "next")
			next.await("following", "/status", follows)
			must(t, os.WriteFile(trigger, nil, 0o600))
			provoke(old, web)
			old.awaitExit()
			if how := old.Exit(); !strings.Contains(how, "aborted") {
				t.Errorf("it ended by %s, want SIGABRT", how)
			}
			if log := old.logged(); !strings.Contains(log, "panic: "+planted) || !strings.Contains(log, "brittle.Write(") {
				t.Errorf("it does not say where:\n%s", log)
			}
			yes := old.succeeded(next, began.token)
			if ended := readTerms(t, journal)[0]; ended.last >= yes {
				t.Errorf("its command acts at %v, the next leads at %v", ended.last, yes)
			}
			old.reaped(began.group)
			must(t, next.Kill())
			next.gone(e)
		})
	}
}
