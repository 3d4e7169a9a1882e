package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/chaos"
)

// screen prints lines, and progress: on a terminal one line that updates itself, elsewhere a line a minute.
// It may be used concurrently.
type screen struct {
	out      io.Writer
	terminal bool

	mu    sync.Mutex // guards the fields below and the order of lines
	drawn bool       // a line of progress stands
	next  time.Time  // of the next line of progress where there is no terminal
}

func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// clear ends the line of progress.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.next = time.Time{}
}

// wipe wants the lock.
func (s *screen) wipe() {
	if s.drawn {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.drawn = false
	}
}

func (s *screen) progress(p chaos.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf("%d answers checked, %d faults, %d violations", p.Answers, p.Faults, p.Violations)
	if p.Left > 0 {
		line += fmt.Sprintf(", %v left", p.Left.Round(time.Second))
	}
	if s.terminal {
		s.wipe()
		fmt.Fprint(s.out, line)
		s.drawn = true
		return
	}
	at := time.Now()
	if s.next.IsZero() {
		s.next = at.Add(time.Minute)
	}
	if !at.Before(s.next) {
		fmt.Fprintln(s.out, line)
		s.next = at.Add(time.Minute)
	}
}
