package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// frameEvery is how often the countdown moves.
const frameEvery = 100 * time.Millisecond

const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // the other screen, without cursor, without wrapping
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	eraseLine   = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// draw shows the journal on the terminal and obeys keys until the context ends or the key q is
// pressed. The terminal is as before when it returns.
func draw(ctx context.Context, stdin, stdout *os.File, keys <-chan byte, targets []target, j *journal) (err error) {
	before, err := term.MakeRaw(int(stdin.Fd()))
	if err != nil {
		return err
	}
	defer func() {
		_, _ = stdout.WriteString(leaveScreen)
		_ = term.Restore(int(stdin.Fd()), before)
	}()
	if _, err := stdout.WriteString(enterScreen); err != nil {
		return err
	}
	tick := time.NewTicker(frameEvery)
	defer tick.Stop()
	colour := os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	var last []string
	chosen := 0
	for {
		width, height, err := term.GetSize(int(stdout.Fd()))
		if err != nil || width < 1 || height < 1 {
			width, height = 80, 24
		}
		if lines := render(j.look(chosen), width, height, colour); !slices.Equal(lines, last) {
			if _, err := stdout.WriteString(paint(lines)); err != nil {
				return err
			}
			last = lines
		}
		select {
		case <-tick.C:
		case k := <-keys:
			if chosen, err = press(k, chosen, targets); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// paint rewrites the screen line by line, without clearing it first, so that nothing flickers.
func paint(lines []string) string {
	var b strings.Builder
	b.WriteString(home)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + eraseLine)
	}
	b.WriteString(eraseBelow)
	return b.String()
}
