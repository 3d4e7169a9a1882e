package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bench is a test binary with all mutants in it.
type bench struct {
	binary  string
	dir     string // of the package, where its tests run
	scratch string
	tests   []test
}

// test is what can be run by itself: a test, or a part of a long one.
type test struct {
	name    string // with slashes, as go test shows it
	took    time.Duration
	reaches map[int]bool // places
}

// build compiles the package's tests with the overlay.
func build(ctx context.Context, src *source, overlay, scratch string) (*bench, error) {
	b := &bench{binary: filepath.Join(scratch, "mutants.test"), dir: src.dir, scratch: scratch}
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", b.binary, src.path).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the mutants: %w: %s", err, out)
	}
	return b, nil
}

// pattern is what -test.run takes for certain tests.
func pattern(names ...string) string {
	var all []string
	for _, name := range names {
		parts := strings.Split(name, "/")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		all = append(all, "^"+strings.Join(parts, "$/^")+"$")
	}
	return strings.Join(all, "|")
}

var errTooLong = errors.New("it does not end")

// run runs tests in one process, until the first that fails.
func (b *bench) run(ctx context.Context, limit time.Duration, env []string, names ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	dir, err := os.MkdirTemp(b.scratch, "run-") // what a process that is killed leaves
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, b.binary, "-test.short", "-test.failfast", "-test.v", "-test.timeout=0", "-test.run="+pattern(names...))
	cmd.Dir, cmd.Env = b.dir, slices.Concat(os.Environ(), env, []string{"TMPDIR=" + dir})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // etcd members are processes of their own
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	return out, err
}

var (
	subtestLine = regexp.MustCompile(`(?m)^    --- (?:PASS|SKIP): (\S+) \((\S+)s\)`)
	failedLine  = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)
)

// A test that takes longer than this is taken apart into its own tests, where it has some.
const longTest = time.Second

// patience bounds one run of one test with no mutant active.
const patience = 5 * time.Minute

// record runs each test alone with no mutant active, and learns how long it takes and which places it reaches.
func (b *bench) record(ctx context.Context, workers int, leaveOut *regexp.Regexp) error {
	out, err := exec.CommandContext(ctx, b.binary, "-test.list=^Test").Output()
	if err != nil {
		return fmt.Errorf("list the tests: %w", err)
	}
	var mu sync.Mutex // guards tests and failed
	var failed error
	var look func(name string)
	look = func(name string) {
		if leaveOut.MatchString(name) {
			return
		}
		t, inner, err := b.recordOne(ctx, name)
		for again := 0; err != nil && again < 2; again++ { // a test with a clock of its own may fail on a busy machine
			t, inner, err = b.recordOne(ctx, name)
		}
		if err == nil && t.took > longTest && len(inner) > 1 && !strings.Contains(name, "/") {
			for _, i := range inner {
				look(i)
			}
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = errors.Join(failed, err)
			return
		}
		b.tests = append(b.tests, t)
	}
	each(workers, strings.Fields(string(out)), look)
	slices.SortFunc(b.tests, func(x, y test) int { return int(x.took - y.took) })
	return failed
}

func (b *bench) recordOne(ctx context.Context, name string) (test, []string, error) {
	log := filepath.Join(b.scratch, "reached-"+strings.ReplaceAll(name, "/", "_"))
	began := time.Now()
	out, err := b.run(ctx, patience, []string{reachedEnv + "=" + log}, name)
	t := test{name: name, took: time.Since(began), reaches: map[int]bool{}}
	if err != nil {
		return t, nil, fmt.Errorf("%s fails with no mutant active: %w: %s", name, err, tail(out))
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return t, nil, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return t, nil, fmt.Errorf("places that %s reaches: %w", name, err)
		}
		t.reaches[n] = true
	}
	var inner []string
	for _, m := range subtestLine.FindAllSubmatch(out, -1) {
		inner = append(inner, string(m[1]))
	}
	return t, inner, nil
}

// verdict is what became of a mutant.
type verdict struct {
	mutant
	by      string // the test that failed; empty: it survived
	reached bool
	took    time.Duration
}

// batches are the tests that reach a place, in the order and the company in which they are run: the quick ones
// in one process, which costs more than they do, the others in growing groups.
func (b *bench) batches(place int) [][]test {
	var all [][]test
	var sum time.Duration
	bound := time.Second
	for _, t := range b.tests {
		if !t.reaches[place] {
			continue
		}
		if len(all) == 0 || sum+t.took > bound {
			if len(all) > 0 {
				bound = max(4*bound, t.took)
			}
			all, sum = append(all, nil), 0
		}
		all[len(all)-1] = append(all[len(all)-1], t)
		sum += t.took
	}
	return all
}

// judge runs a mutant against the tests that reach it until one notices. With twice, that one must notice again when it
// runs alone: where tests live by the clock, a busy machine fails some of them too.
func (b *bench) judge(ctx context.Context, m mutant, twice bool) verdict {
	began := time.Now()
	v := verdict{mutant: m}
	for _, batch := range b.batches(m.place) {
		v.reached = true
		var usual time.Duration
		var names []string
		for _, t := range batch {
			usual += t.took
			names = append(names, t.name)
		}
		active := []string{activeEnv + "=" + strconv.Itoa(m.number)}
		limit := 4*usual + 10*time.Second
		for len(names) > 0 && v.by == "" {
			out, err := b.run(ctx, limit, active, names...)
			doubtful := -1
			if failed := failedLine.FindSubmatch(out); err != nil && twice && failed != nil {
				doubtful = slices.IndexFunc(names, func(name string) bool { return within(name, string(failed[1])) || within(string(failed[1]), name) })
			}
			if doubtful >= 0 {
				out, err = b.run(ctx, limit, active, names[doubtful])
			}
			if ctx.Err() != nil {
				return v
			}
			if err != nil {
				v.by = noticedBy(out, err)
			}
			if doubtful < 0 {
				break
			}
			names = slices.Delete(names, doubtful, doubtful+1) // the others have not run
		}
		if v.by != "" {
			break
		}
	}
	v.took = time.Since(began)
	return v
}

// within reports whether a test is another, or a part of it.
func within(name, other string) bool { return name == other || strings.HasPrefix(name, other+"/") }

// noticedBy is who noticed.
func noticedBy(out []byte, err error) string {
	if errors.Is(err, errTooLong) {
		return "time"
	}
	if m := failedLine.FindAllSubmatch(out, -1); m != nil {
		return string(m[len(m)-1][1])
	}
	if running := regexp.MustCompile(`(?m)^=== RUN +(\S+)`).FindAllSubmatch(out, -1); running != nil {
		return string(running[len(running)-1][1]) + " (the process ends)"
	}
	return err.Error()
}

// each has so many workers do something with each item.
func each[T any](workers int, items []T, do func(T)) {
	todo := make(chan T)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for item := range todo {
				do(item)
			}
		})
	}
	for _, item := range items {
		todo <- item
	}
	close(todo)
	all.Wait()
}

// tail is the end of an output.
func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n\t")
}
