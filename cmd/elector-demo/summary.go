package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// summary is what is left to say when a run is over.
type summary struct {
	length    time.Duration
	leaders   []string // each once, in order of appearance
	tokens    []int64
	handovers []handover
	answers   int
	yeses     int
	rounds    int
	broken    string
	faults    []string
	byUser    bool // somebody ended it
}

// handover is one change of leader.
type handover struct {
	from, to string
	after    action
	took     time.Duration
}

// summary returns it; call it after end.
func (j *journal) summary() summary {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := summary{
		length: j.over - j.begun, answers: j.answers, yeses: j.yeses, rounds: j.rounds,
		broken: j.check.broken, faults: j.faults,
		byUser: errors.Is(j.ending, errQuit) || errors.Is(j.ending, context.Canceled),
	}
	for i, t := range j.terms {
		name := j.rows[t.elector].name
		if !slices.Contains(s.leaders, name) {
			s.leaders = append(s.leaders, name)
		}
		s.tokens = append(s.tokens, t.token)
		if i > 0 {
			s.handovers = append(s.handovers, handover{from: j.rows[j.terms[i-1].elector].name, to: name, after: t.after, took: t.took})
		}
	}
	return s
}

// text is for people.
func (s summary) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nIn %.0f s:\n", s.length.Seconds())
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-17s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("leaders", "%s", orNone(strings.Join(s.leaders, ", ")))
	line("tokens", "%s", orNone(joinTokens(s.tokens)))
	line("handovers", "%d", len(s.handovers))
	for _, what := range []action{actStop, actKill, actFreeze, ""} {
		var took []string
		for _, h := range s.handovers {
			if h.after == what {
				took = append(took, fmt.Sprintf("%.1fs", h.took.Seconds()))
			}
		}
		if len(took) > 0 {
			line("  after "+orNone(string(what)), "%s", strings.Join(took, ", "))
		}
	}
	line("answers", "%d, of which yes %d", s.answers, s.yeses)
	line("two yes at once", "%s", verdict(s.broken))
	return b.String()
}

// problem is why the run was not a success, in one sentence; empty if it was one.
func (s summary) problem(scenario string) string {
	switch {
	case s.broken != "":
		return "the promise was broken: " + s.broken
	case len(s.faults) > 0:
		return strings.Join(s.faults, "; ")
	case s.byUser:
		return ""
	case len(s.leaders) == 0:
		return fmt.Sprintf("nobody came to lead in %.0f s: give it longer with --for", s.length.Seconds())
	case scenario != "" && s.rounds == 0:
		return fmt.Sprintf("%.0f s were too short to show the scenario %s: give it longer with --for", s.length.Seconds(), scenario)
	}
	return ""
}

func verdict(broken string) string {
	if broken != "" {
		return "BROKEN: " + broken
	}
	return "never"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// joinTokens writes tokens so that one sees that they grow.
func joinTokens(tokens []int64) string {
	words := make([]string, len(tokens))
	for i, t := range tokens {
		words[i] = fmt.Sprint(t)
	}
	return strings.Join(words, " < ")
}
