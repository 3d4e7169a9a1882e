package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command: 0 when every removal is noticed, 1 when not, 2 for a mistake on the command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := pflag.NewFlagSet("mutants", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "the one defence to take out")
	table := flags.Bool("markdown", false, "print the table of docs/proof.md and run nothing")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		fmt.Fprintln(stderr, "mutants:", err)
		return 2
	}
	todo := mutants()
	if *only != "" {
		todo = nil
		for _, m := range mutants() {
			if m.name == *only {
				todo = []mutant{m}
			}
		}
		if todo == nil {
			fmt.Fprintf(stderr, "mutants: there is no defence %q: mutants --markdown lists them\n", *only)
			return 2
		}
	}
	if *table {
		fmt.Fprint(stdout, markdown(todo))
		return 0
	}
	top, err := repository()
	if err != nil {
		fmt.Fprintln(stderr, "mutants:", err)
		return 1
	}
	if missed := gate(ctx, top, todo, stdout); missed > 0 {
		return 1
	}
	return 0
}

// repository goes to the top of the repository, which the commands of the gate are run from.
func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	top := filepath.Dir(strings.TrimSpace(string(out)))
	return top, os.Chdir(top)
}

// gate runs every mutant and tells what came of it: first what only computes, two at a time, then what lives by the clock,
// four at a time, since that mostly waits.
func gate(ctx context.Context, top string, todo []mutant, out io.Writer) (missed int) {
	began := time.Now()
	var mu sync.Mutex // guards missed and out
	judge := func(m mutant, c catcher) {
		start := time.Now()
		broken, err := m.judge(ctx, top, c)
		mu.Lock()
		defer mu.Unlock()
		took := time.Since(start).Round(100 * time.Millisecond)
		if err != nil {
			missed++
			fmt.Fprintf(out, "MISSED  %-40s not noticed by %s: %v\n", m.name, c.by, err)
			return
		}
		fmt.Fprintf(out, "caught  %-40s by %s: %s, %v\n", m.name, c.by, broken, took)
	}
	for _, slow := range []bool{false, true} {
		var all sync.WaitGroup
		slots := make(chan struct{}, 2)
		if slow {
			slots = make(chan struct{}, 4)
		}
		for _, m := range todo {
			for _, c := range m.caught {
				if c.slow == slow {
					all.Go(func() {
						slots <- struct{}{}
						defer func() { <-slots }()
						judge(m, c)
					})
				}
			}
		}
		all.Wait()
	}
	fmt.Fprintf(out, "mutants: %d defences taken out, %d times not noticed, %.0f s\n", len(todo), missed, time.Since(began).Seconds())
	return missed
}

// judge has a catcher look at a mutant and returns what it found broken.
func (m mutant) judge(ctx context.Context, top string, c catcher) (string, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(top, dir)
	if err != nil {
		return "", err
	}
	return c.run(ctx, overlay, dir)
}

// overlay writes the changed files into dir and the list of them that the go command takes.
func (m mutant) overlay(top, dir string) (string, error) {
	texts := map[string]string{}
	for _, e := range m.edits {
		text, ok := texts[e.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(top, e.file))
			if err != nil {
				return "", err
			}
			text = string(b)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("%s has %d places that read %q, want one: the table of mutants is behind the code", e.file, n, e.old)
		}
		texts[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	list := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		changed := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			return "", err
		}
		list.Replace[filepath.Join(top, file)] = changed
	}
	b, err := json.Marshal(list)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

// markdown is the table of docs/proof.md.
func markdown(all []mutant) string {
	var b strings.Builder
	b.WriteString("| taken out | so that this no longer holds | noticed by |\n|---|---|---|\n")
	for _, m := range all {
		var by []string
		for _, c := range m.caught {
			by = append(by, c.by)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.name, m.defence, strings.Join(by, "; "))
	}
	return b.String()
}
