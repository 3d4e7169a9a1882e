package ui

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/elector-dev/elector/internal/devetcd/proc"
	"github.com/elector-dev/elector/internal/testenv"
)

// demo is a run of the demo, and where its page is.
type demo struct{ page string }

// startDemo starts one, which ends with the test.
func startDemo(t *testing.T, args ...string) demo {
	t.Helper()
	testenv.Command(t, "chromium")
	exe := filepath.Join(t.TempDir(), "elector-demo")
	build := exec.Command("go", "build", "-o", exe, "./cmd/elector-demo")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r, w := io.Pipe()
	cmd := exec.Command(exe, args...)
	cmd.Stdout, cmd.Stderr = w, w
	p, err := proc.Start(cmd)
	must(t, err)
	t.Cleanup(func() {
		_ = p.Stop(t.Context())
		w.Close()
	})
	page := regexp.MustCompile(`page (http://\S+[0-9])\b(?:$|,)`)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if found := page.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return demo{found[1]}
		}
	}
	t.Fatal("the demo did not say where its page is")
	return demo{}
}

func TestTheDemosPageShowsEveryFaultAndOneYesAtATime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run")
	d := startDemo(t, "--for", "5m", "--scenario", "freeze", "--record", file)
	page := open(t, d.page, "#about", "Break something")
	page.see("#leader", "leads with token")
	page.see("#log", "SIGSTOP to")
	page.see("#log", "leads no longer: lease-expired")

	// A button for each fault, by keyboard.
	press := func(label string) {
		t.Helper()
		page.until(`document.querySelector('[aria-label="` + label + `"]')?.disabled === false`)
		page.press(`[aria-label="`+label+`"]`, kb.Enter)
	}
	press("kill -9 etcd-1")
	page.see("#log", "SIGKILL to etcd-1")
	press("start etcd-1")
	page.see("#log", "etcd-1 starts")
	press("cut off red")
	page.see("#log", "red is cut off from etcd")
	press("heal red")
	page.see("#log", "red reaches etcd again")
	press("kill -9 blue")
	page.see("#log", "blue has ended: signal: killed")
	press("start blue")
	page.until("[...document.querySelectorAll('#log li')].filter(l => l.textContent.includes('blue starts')).length > 1")
	page.see("#verdict", "two yes at once: never")
	if os.Getenv("UI_PICTURES") != "" {
		page.until("now() > 58000") // a minute is more to look at; what has been pressed is in it
	}
	for _, scheme := range []string{"light", "dark"} {
		for size, width := range map[string]int64{"desktop": 1240, "phone": 390} {
			page.do(inScheme(scheme), chromedp.EmulateViewport(width, 900))
			for _, check := range []string{lowContrast, structure} {
				if found := ask[[]string](page, check); len(found) > 0 {
					t.Errorf("%s, %s:\n%s", scheme, size, strings.Join(found, "\n"))
				}
			}
			png := run(page, chromedp.FullScreenshot(100))
			must(t, os.WriteFile(picture(t, "demo-"+scheme+"-"+size+".png"), png, 0o600))
		}
	}
	page.named("button", "region", "heading", "progressbar", "main", "banner")

	again := startDemo(t, "--replay", file, "--for", "1m")
	replay := open(t, again.page, "#about", "This is a recorded run.")
	replay.see("#leader", "leads with token")
	replay.see("#log", "SIGSTOP to")
	replay.until("[...document.querySelectorAll('button')].every(b => b.disabled)")
}

func TestTheDemoIsBrokenOnlyByItsOwnPage(t *testing.T) {
	d := startDemo(t, "--for", "1m", "--members", "1", "--scenario", "handover")
	for name, change := range map[string]func(*http.Request){
		"a form":        func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"another host":  func(r *http.Request) { r.Host = "evil.example.org:80" },
		"a stranger":    func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"who":"nobody","what":"kill"}`)) },
		"a wrong order": func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"who":"red","what":"sing"}`)) },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.page+"/do", nil)
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Body = io.NopCloser(strings.NewReader(`{"who":"red","what":"kill"}`))
		change(r)
		resp, err := http.DefaultClient.Do(r)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
