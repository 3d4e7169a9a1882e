package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: drawn\n%s\nwant\n%s", name, got, want)
	}
}

func TestRenderedFrames(t *testing.T) {
	s := newScript()
	golden(t, "start", render(s.look(0), 80, 24, false))

	s.say(1, 200, 0, "follower", "registered")
	s.say(0, 210, 7, "leader", "won")
	s.say(2, 220, 0, "follower", "registered")
	s.lineUp([]string{"red", "green", "blue"})
	for i := range 3 {
		s.memberIs(memberName(i), running)
	}
	s.memberLeads(memberName(1))
	s.wrote(kindWrite, "red", 7, 41, 0)
	s.say(0, 1000, 7, "leader", "won")
	s.clock = ms(1300)
	golden(t, "leading", render(s.look(1), 80, 24, false))
	golden(t, "colour", render(s.look(1), 80, 24, true))
	s.page = "http://127.0.0.1:8080"
	golden(t, "tall", render(s.look(1), 80, 32, false))

	s.do(0, 1400, actFreeze)
	s.memberIs(memberName(1), ended)
	s.memberLeads(memberName(2))
	s.clock = ms(2400)
	golden(t, "frozen", render(s.look(0), 80, 24, false))

	s.say(1, 3500, 9, "leader", "won")
	s.lineUp([]string{"green", "blue"})
	s.do(1, 4000, actKill)
	s.ended(1, 101, "signal: killed", "")
	golden(t, "killed", render(s.look(1), 80, 24, false))

	s.say(2, 4100, 12, "leader", "won") // too early: green's yes runs until 5000
	golden(t, "broken", render(s.look(2), 80, 24, false))
}

func TestFramesFitAnyTerminal(t *testing.T) {
	s := newScript()
	for i := range 40 {
		s.say(i%3, int64(i)*2000, int64(i+1), "leader", "won")
		s.say(i%3, int64(i)*2000+1, 0, "follower", strings.Repeat("long ", 30))
	}
	for width := 1; width <= 200; width += 7 {
		for height := 1; height <= 60; height++ {
			lines := render(s.look(2), width, height, false)
			if len(lines) > height {
				t.Fatalf("%dx%d: %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if utf8.RuneCountInString(line) > width {
					t.Fatalf("%dx%d: too wide: %q", width, height, line)
				}
			}
		}
	}
}
