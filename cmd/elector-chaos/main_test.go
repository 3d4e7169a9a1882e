package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/chaos"
	"github.com/elector-dev/elector/internal/chaos/history"
	"github.com/elector-dev/elector/internal/devetcd"
)

func TestMain(m *testing.M) {
	devetcd.MaybeRunMember()
	chaos.MaybeAct()
	goleak.VerifyTestMain(m)
}

// runToFile runs the command without a terminal and returns its exit status and what it wrote.
func runToFile(ctx context.Context, t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var errs bytes.Buffer
	status = run(ctx, args, out, &errs)
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(text), errs.String()
}

// figure finds a number in the output.
func figure(t *testing.T, out, pattern string) int {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no %s in\n%s", pattern, out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAShortStormIsCleanAndSeesSomething(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	dir := t.TempDir()
	record, picture := filepath.Join(dir, "record.gz"), filepath.Join(dir, "picture.html")
	table, curves := filepath.Join(dir, "table.md"), filepath.Join(dir, "curves.svg")
	status, out, errs := runToFile(t.Context(), t, "--for", "15s", "--seed", "11", "--ttl", "3s", "--electors", "3", "--out", dir,
		"--history", record, "--timeline", picture, "--table", table, "--curves", curves)
	t.Logf("%s%s", out, errs)
	if status != exitKept || errs != "" {
		t.Fatalf("exit status %d", status)
	}
	if n := figure(t, out, `chaos: (\d+) answers checked, \d+ faults, 0 violations, .* seeds 11\.\.11`); n < 2000 {
		t.Errorf("only %d answers", n)
	}
	if n := figure(t, out, `faults +\d+, of which (\d+) effective`); n == 0 {
		t.Error("nothing was broken")
	}
	h, err := history.LoadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Pages) == 0 || len(h.Shown) == 0 || h.Samples[0].Resident == 0 {
		t.Errorf("the record lacks something: %d pages, %d shown, a sample %+v", len(h.Pages), len(h.Shown), h.Samples[0])
	}
	if len(h.Keys) < 3 || len(h.Samples) == 0 || len(h.Register) == 0 || h.Leftover == nil || h.Run.Calm == 0 || len(h.Processes) < 3 {
		t.Errorf("the record lacks something: %d keys, %d samples, %d accesses, left over %v, %d processes",
			len(h.Keys), len(h.Samples), len(h.Register), h.Leftover, len(h.Processes))
	}
	again, judged, errs := runToFile(t.Context(), t, "--replay", record)
	if again != exitKept || errs != "" || figure(t, judged, `chaos: (\d+) answers checked`) != len(h.Answers)+len(h.Shown) {
		t.Errorf("judged again: exit status %d, %s%s", again, judged, errs)
	}
	if page, err := os.ReadFile(picture); err != nil || !bytes.Contains(page, []byte("<svg")) {
		t.Errorf("picture: %d bytes, %v", len(page), err)
	}
	if text, err := os.ReadFile(table); err != nil || !bytes.Contains(text, []byte("\n| 11 | 3 | ")) {
		t.Errorf("table: %s, %v", text, err)
	}
	if text, err := os.ReadFile(curves); err != nil || bytes.Count(text, []byte("<polyline")) < 9 {
		t.Errorf("curves: %d bytes, %v", len(text), err)
	}
}

func TestAnInterruptedStormEndsCleanlyWithWhatWasCheckedSoFar(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var errs bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, strings.Fields("--for 5m --seed 3 --electors 3 --links proxies"), out, &errs)
	}()
	read := func() string {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	tick, limit := time.NewTicker(20*time.Millisecond), time.After(90*time.Second)
	defer tick.Stop()
	for !strings.Contains(read(), "the faults begin") {
		select {
		case <-tick.C:
		case s := <-status:
			t.Fatalf("it ended by itself with %d: %s%s", s, read(), &errs)
		case <-limit:
			t.Fatalf("no fleet in time: %s", read())
		}
	}
	interrupt()
	select {
	case s := <-status:
		if s != exitKept || errs.String() != "" || !strings.Contains(read(), "interrupted") {
			t.Errorf("exit status %d, %s%s", s, read(), &errs)
		}
	case <-time.After(90 * time.Second):
		t.Fatal("it does not end")
	}
	if n := figure(t, read(), `chaos: (\d+) answers checked`); n == 0 {
		t.Error("nothing was checked")
	}
}

func TestProgressIsOneLineThatUpdatesItselfOnATerminalAndALineAMinuteElsewhere(t *testing.T) {
	p := chaos.Progress{Answers: 12, Faults: 3, Left: 90 * time.Second}
	var out bytes.Buffer
	s := &screen{out: &out, terminal: true}
	s.progress(p)
	s.progress(p)
	s.say("done")
	const line = "12 answers checked, 3 faults, 0 violations, 1m30s left"
	if want := line + "\r\x1b[K" + line + "\r\x1b[Kdone\n"; out.String() != want {
		t.Errorf("on a terminal %q", out.String())
	}
	out.Reset()
	s = &screen{out: &out}
	s.progress(p)
	s.progress(p)
	if out.Len() > 0 {
		t.Errorf("before a minute has passed: %q", out.String())
	}
	s.next = time.Now().Add(-time.Second)
	s.progress(p)
	s.progress(p)
	if out.String() != line+"\n" {
		t.Errorf("after a minute %q", out.String())
	}
}

func TestMistakesOnTheCommandLineAreOneSentence(t *testing.T) {
	for _, row := range []struct{ args, want string }{
		{"extra", `unexpected argument "extra"`},
		{"--nonsense", `unknown flag: --nonsense`},
		{"--for 0s", `--for 0s is not a time`},
		{"--runs 0", `--runs 0 would show nothing`},
		{"--ttl 1s", `--ttl 1s is not possible here: give whole seconds from 2s to 1m`},
		{"--ttl 2500ms", `--ttl 2.5s is not possible here`},
		{"--electors 2", `--electors 2 is not possible here: give 3, 4 or 5`},
		{"--members 2", `--members 2 is not possible here: give 1, 3 or 5`},
		{"--members 1 --scenario move", `--scenario move wants members that do not lead: give --members 3 or 5`},
		{"--kind other", `--kind "other" is not known: give elector or plain`},
		{"--kind plain", `--kind plain wants --program`},
		{"--links wires", `--links "wires" is not known: give namespaces or proxies`},
		{"--scenario calm", `--scenario "calm" is not known: give one of storm, delete, depose`},
		{"--scenario depose --links proxies", `--scenario depose cuts members off from each other: it wants --links namespaces`},
		{"--poll 0s", `--poll 0s is not possible here`},
		{"--replay=", `--replay is empty`},
		{"--beside other", `--beside other draws a second record`},
	} {
		status, out, errs := runToFile(t.Context(), t, strings.Fields(row.args)...)
		if status != exitUsage || !strings.HasPrefix(errs, "elector-chaos: "+row.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit status %d, %q, wants %q", row.args, status, errs, row.want)
		}
		if out != "" && !strings.HasPrefix(out, "--links proxies, since") {
			t.Errorf("%s: it says %q", row.args, out)
		}
	}
}

func TestHelpNamesEveryScenario(t *testing.T) {
	status, out, _ := runToFile(t.Context(), t, "--help")
	for _, name := range chaos.Scenarios() {
		if status != exitKept || !strings.Contains(out, name) {
			t.Errorf("exit status %d; %s is not in\n%s", status, name, out)
		}
	}
}

func TestTheCommandThatRepeatsARunHasItsSeedAndFlags(t *testing.T) {
	o, err := parse(strings.Fields("--seed 7 --ttl 5s --for 90s --electors 4 --links proxies --etcd bin/etcd-3.5 --members 5 --race"))
	if err != nil {
		t.Fatal(err)
	}
	again := o.again(9)
	for _, want := range []string{"--seed 9", "--ttl 5s", "--for 1m30s", "--electors 4", "--links proxies", "--etcd bin/etcd-3.5", "--members 5", "--race"} {
		if !strings.Contains(again, want) {
			t.Errorf("%q is not in %q", want, again)
		}
	}
	back, err := parse(strings.Fields(again)[3:])
	if err != nil || back.Seed != 9 || back.For != o.For {
		t.Errorf("it reads as %+v, %v", back, err)
	}
}

func TestTwoRecordsAreDrawnOneBelowTheOther(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for _, program := range []string{chaos.Elector, chaos.Plain} {
		h := &history.History{Run: history.Run{
			Program: program, Scenario: "pause", TTL: 4 * time.Second, Electors: []string{"w1"}, Members: []string{"m0"},
			Began: 1, Ended: history.Instant(time.Second),
		}}
		path := filepath.Join(dir, program)
		if err := history.SaveFile(path, h); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	picture := filepath.Join(dir, "picture.html")
	_, _, errs := runToFile(t.Context(), t, "--replay", paths[1], "--beside", paths[0], "--timeline", picture)
	page, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err, errs)
	}
	first, second := strings.Index(string(page), ">plain<"), strings.Index(string(page), ">elector<")
	if first < 0 || second < first {
		t.Errorf("headings at %d and %d", first, second)
	}
}

func TestARecordThatIsNoneIsOneSentence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, errs := runToFile(t.Context(), t, "--replay", path)
	if status != exitBroken || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit status %d, %q", status, errs)
	}
}
