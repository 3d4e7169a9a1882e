package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/client"
	"github.com/elector-dev/elector/internal/devetcd"
)

// said is what a command came to.
type said struct {
	status         int
	stdout, stderr string
}

// run runs a command to its end.
func run(t *testing.T, stdin string, args ...string) said {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	status := Run(ctx, args, nil, strings.NewReader(stdin), &stdout, &stderr)
	return said{status, stdout.String(), stderr.String()}
}

// want runs a command and wants its exit status, and a text in what it says.
func want(t *testing.T, status int, text string, args ...string) said {
	t.Helper()
	got := run(t, "", args...)
	if got.status != status || !strings.Contains(got.stdout+got.stderr, text) {
		t.Errorf("elector %s: %d, want %d and %q\n%s%s", strings.Join(args, " "), got.status, status, text, got.stdout, got.stderr)
	}
	if got.status == 2 && (strings.Count(got.stderr, "\n") != 1 || got.stdout != "") {
		t.Errorf("elector %s: a mistake is not one sentence: %s%s", strings.Join(args, " "), got.stdout, got.stderr)
	}
	return got
}

// fleet is two electors and their etcd; a leads.
func fleet(t *testing.T) (a, b string) {
	t.Helper()
	etcd, err := devetcd.Start(t.Context(), devetcd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	endpoints := "--etcd-endpoints=" + strings.Join(etcd.Endpoints(), ",")
	up := func(id string) string {
		log := newLogged(t)
		start(t, log, nil, "--election=orders", "--ttl=3s", "--answer-max=500ms", "--id="+id, endpoints)
		return strings.TrimPrefix(log.address(), "http://")
	}
	a = up("a")
	want(t, 0, "", "wait", "--addr="+a, "--timeout=30s")
	b = up("b")
	want(t, 0, "", "wait", "--follower", "--addr="+b, "--timeout=30s")
	return a, b
}

func TestVerbsAskAnElector(t *testing.T) {
	a, b := fleet(t)
	of := func(addr string, args ...string) []string { return append(args, "--addr="+addr) }

	want(t, 0, "default/orders", of(a, "status")...)
	want(t, 0, "certain", of(a, "status")...)
	want(t, 0, "follower", of(b, "status")...)
	if got := want(t, 0, "a\n", of(b, "status", "-o", "name")...); got.stdout != "a\n" {
		t.Errorf("status -o name says %q", got.stdout)
	}
	var s client.Status
	if got := want(t, 0, `"leading":true`, of(a, "status", "-o", "json")...); json.Unmarshal([]byte(got.stdout), &s) != nil || s.Identity != "a" {
		t.Errorf("status -o json says %s", got.stdout)
	}
	for role, wants := range map[string][2]int{
		"leader": {0, 1}, "follower": {1, 0}, "any": {0, 0}, "health": {0, 0}, "live": {0, 0}, "ready": {0, 0},
	} {
		want(t, wants[0], "", of(a, "check", "--role="+role)...)
		want(t, wants[1], "", of(b, "check", "--role="+role)...)
	}
	want(t, 0, "", of(a, "leader")...)
	want(t, 1, "", of(b, "leader")...)
	want(t, 0, `"token"`, of(a, "leader", "-o", "json")...)

	if got := want(t, 0, "this elector", of(b, "candidates")...); strings.Count(got.stdout, "\n") != 3 {
		t.Errorf("candidates: %s", got.stdout)
	}
	want(t, 0, `"total":2`, of(a, "candidates", "-o", "json")...)
	want(t, 0, "TOKEN", of(a, "history")...)
	want(t, 0, `"terms":[{`, of(a, "history", "-o", "json")...)

	want(t, 1, "", of(b, "value", "get")...)
	want(t, 1, `"a" does`, of(b, "value", "set", "x")...)
	want(t, 0, "", of(a, "value", "set", "10.0.0.1:80")...)
	want(t, 1, "not that of the term", of(a, "value", "set", "x", "--token=1")...)
	if got := run(t, "from\x00stdin\n", of(a, "value", "set", "-", "--content-type=application/x")...); got.status != 0 {
		t.Errorf("value set -: %+v", got)
	}
	until(t, "the value is shown by the other", func() bool {
		return run(t, "", of(b, "value", "get")...).stdout == "from\x00stdin\n"
	})

	want(t, 1, "not fenced", of(b, "unfence")...)
	want(t, 1, `"a" does`, of(b, "resign")...)
	want(t, 1, "not that of the term", of(a, "resign", "--token=1")...)
	want(t, 0, "", of(a, "resign", "--cooldown=10m")...)
	want(t, 0, "", of(b, "wait", "--leader", "--timeout=30s")...)
	want(t, 0, "ineligible", of(a, "status")...)
	want(t, 4, "not come about in time", of(a, "wait", "--timeout=200ms")...)
}

// until waits for something that somebody else does.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestVerbsWithoutAnElectorHaveTheirOwnStatus(t *testing.T) {
	const nobody = "--addr=127.0.0.1:1"
	for _, args := range [][]string{
		{"status"}, {"leader"}, {"check", "--role=leader"}, {"candidates"}, {"history"}, {"resign"}, {"value", "get"}, {"value", "set", "x"},
	} {
		want(t, 3, "does not answer", append(args, nobody)...)
	}
	want(t, 4, "in time", "wait", nobody, "--timeout=50ms")
	want(t, 4, "in time", "watch", nobody, "--timeout=50ms")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	want(t, 4, "no answer in time", "leader", "--addr="+silent.Addr().String(), "--timeout=50ms")
}

func TestMistakesOfVerbsAreOneSentence(t *testing.T) {
	for _, c := range []struct {
		text string
		args []string
	}{
		{"--addr", []string{"status", "--addr=https://a:1"}},
		{"--addr", []string{"status", "--addr=a"}},
		{"--addr", []string{"status", "--addr=unix:"}},
		{"table or json or name", []string{"status", "-o", "yaml"}},
		{"elector status -h", []string{"status", "--adr=x"}},
		{"is not a command", []string{"status", "now"}},
		{"give one of", []string{"wait", "--leader", "--change"}},
		{"below 0s", []string{"wait", "--timeout=-1s"}},
		{"is no role", []string{"check"}},
		{"leave --role out", []string{"check", "--role=live", "--file=x"}},
		{"write elector value get", []string{"value"}},
		{"takes one text", []string{"value", "set"}},
		{"needs a shell", []string{"completion", "tcsh"}},
		{"--http-token-file", []string{"resign", "--http-token-file=/nowhere"}},
	} {
		want(t, 2, c.text, c.args...)
	}
}

func TestWaitSurvivesTheElectorsRestart(t *testing.T) {
	var up atomic.Bool
	asked := make(chan struct{}, 100)
	elector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if !up.Load() {
			panic(http.ErrAbortHandler)
		}
		end := int64(boottime.Now()/time.Millisecond) + 60_000
		_, _ = w.Write([]byte(`{"leading":true,"expires_in_ms":60000,"expires_boottime_ms":` + strconv.FormatInt(end, 10) + `}`))
	}))
	defer elector.Close()
	done := make(chan said)
	go func() { done <- run(t, "", "wait", "--addr="+elector.URL) }()
	<-asked
	<-asked
	up.Store(true)
	if got := <-done; got.status != 0 {
		t.Errorf("%+v", got)
	}
}

func TestWatchPrintsEveryStateUntilItIsInterrupted(t *testing.T) {
	elector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("retry: 1000\n: hello\n\nid: x-1\ndata: {\"state\":\"follower\",\"leader\":{\"identity\":\"\\u001b[2Jevil\",\"token\":7}}\n\n"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer elector.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &stopper{stop: stop}
	status := Run(ctx, []string{"watch", "--addr=" + elector.URL}, nil, strings.NewReader(""), out, out)
	if text := out.String(); status != 0 || !strings.Contains(text, "follower") || strings.Contains(text, "\x1b") {
		t.Errorf("%d, %q", status, text)
	}
}

// stopper is an output that ends its writer's context with the first write.
type stopper struct {
	bytes.Buffer
	stop context.CancelFunc
}

func (s *stopper) Write(b []byte) (int, error) { defer s.stop(); return s.Buffer.Write(b) }

func TestFilesAreWorthWhatTheirExpirySays(t *testing.T) {
	dir := t.TempDir()
	now := int64(boottime.Now() / time.Millisecond)
	at := func(ms int64) string { return strconv.FormatInt(now+ms, 10) }
	boot := `,"boot_id":"` + boottime.BootID() + `"}`
	for text, status := range map[string]int{
		`{"token":7,"expires_boottime_ms":` + at(60_000) + boot:                                       0,
		`{"token":7,"expires_boottime_ms":` + at(60_000) + `,"boot_id":"of-last-week"}`:               1,
		`{"token":7,"expires_boottime_ms":` + at(60_000) + `}`:                                        1,
		`{"token":7,"expires_boottime_ms":` + at(-1) + boot:                                           1,
		`{"expires_boottime_ms":` + at(60_000) + boot:                                                 1,
		`{"leading":true,"token":7,"expires_in_ms":60000,"expires_boottime_ms":` + at(60_000) + `}`:   0,
		`{"leading":true,"token":7,"expires_in_ms":2000,"expires_boottime_ms":` + at(3_600_000) + `}`: 1,
		`{"leading":true,"token":7,"expires_in_ms":2000,"expires_boottime_ms":` + at(-1) + `}`:        1,
		`{"leading":false,"token":0,"expires_in_ms":0,"expires_boottime_ms":0}`:                       1,
		`{"leading":false,"token":7,"expires_in_ms":60000,"expires_boottime_ms":` + at(60_000) + `}`:  1,
		`{}`:     1,
		`torn {`: 3,
	} {
		file := filepath.Join(dir, "file")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want(t, status, "", "check", "--file="+file)
	}
	want(t, 1, "", "check", "--file="+filepath.Join(dir, "none"))
	want(t, 3, "directory", "check", "--file="+dir)
}

func TestCompletionWorksInEachShell(t *testing.T) {
	for shell, script := range map[string]string{
		"bash": `source <(elector completion bash); COMP_WORDS=(elector stat); COMP_CWORD=1; COMP_LINE="elector stat"; COMP_POINT=12; COMP_TYPE=9; ` +
			`__start_elector; echo "${COMPREPLY[@]}"`,
		"zsh":  `autoload -U compinit; compinit -u; source <(elector completion zsh); whence -w _elector; elector __complete stat`,
		"fish": `elector completion fish | source; complete --do-complete 'elector stat'`,
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				if shell == "bash" && os.Getenv("CI") != "" {
					t.Fatal(err)
				}
				t.Skipf("%s is not installed", shell)
			}
			if shell == "bash" {
				const library = "/usr/share/bash-completion/bash_completion"
				if _, err := os.Stat(library); err != nil && os.Getenv("CI") == "" {
					t.Skip("bash-completion is not installed")
				}
				script = "source " + library + "; " + script
			}
			cmd := exec.CommandContext(t.Context(), shell, "-c", script)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "status") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	if got := run(t, "", "__complete", "status", "-o", ""); !strings.Contains(got.stdout, "table\njson\nname\n") {
		t.Errorf("forms: %s", got.stdout)
	}
	if got := run(t, "", "__complete", "check", "--role", ""); !strings.Contains(got.stdout, "leader\nfollower\n") {
		t.Errorf("roles: %s", got.stdout)
	}
}

func TestWaitAndThen(t *testing.T) {
	a, _ := fleet(t)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "elector wait --leader && echo leads")
	cmd.Env = append(os.Environ(), "ELECTOR_ADDR="+a)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "leads\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// As in a container, whose health check has the daemon's environment and not its command line.
func TestVerbsAskWhereTheirEnvironmentHasTheElectorListen(t *testing.T) {
	log := newLogged(t)
	start(t, log, nil, "--election=orders", nowhere)
	address := strings.TrimPrefix(log.address(), "http://")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		env    []string
		status int
	}{
		{[]string{"ELECTOR_HTTP=" + address}, 0},
		{[]string{"ELECTOR_HTTP=:" + port}, 0},
		{[]string{"ELECTOR_HTTP=127.0.0.1:1"}, exitNoAnswer},
		{[]string{"ELECTOR_HTTP=127.0.0.1:1", "ELECTOR_ADDR=" + address}, 0},
	} {
		if status := Run(t.Context(), []string{"check", "--role=live"}, row.env, strings.NewReader(""), io.Discard, io.Discard); status != row.status {
			t.Errorf("%q: status %d, want %d", row.env, status, row.status)
		}
	}
}

func TestVerbsGoOverAUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	up := func() (stop context.CancelFunc, ended <-chan int) {
		log := newLogged(t)
		stop, ended = start(t, log, nil, "--election=orders", "--http=unix:"+socket, nowhere)
		log.address()
		return stop, ended
	}
	stop, ended := up()
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info, err)
	}
	want(t, 0, "connecting", "status", "--addr=unix:"+socket)
	want(t, 1, "does not lead", "resign", "--addr=unix:"+socket)
	want(t, 1, "another process listens there", "--election=orders", "--http=unix:"+socket, nowhere)
	stop()
	<-ended
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket is left behind")
	}
	// What a killed elector leaves behind is replaced; what is no socket is not.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	up()
	want(t, 0, "connecting", "status", "--addr=unix:"+socket)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, 1, "something else than a socket", "--election=orders", "--http=unix:"+file, nowhere)
}
