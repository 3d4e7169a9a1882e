package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is a journal whose clock the test sets.
type script struct {
	*journal
	clock time.Duration
}

func newScript() *script {
	s := &script{journal: newJournal(3*time.Second, "http://127.0.0.1:2379")}
	s.begun = 0
	s.now = func() time.Duration { return s.clock }
	for i, name := range names {
		s.introduce(i, name, "http://127.0.0.1:404"+string(rune('1'+i)))
		s.started(i, 100+i)
	}
	return s
}

// say lets an elector answer at an instant in milliseconds; a token means yes for 1.5 s.
func (s *script) say(elector int, at, token int64, state, cause string) {
	s.clock = ms(at)
	answer := yes(elector, token, at, at, 1500)
	answer.pid = s.pid(elector)
	answer.status.Leading, answer.status.State, answer.status.Cause, answer.status.Registered = token != 0, state, cause, true
	s.observe(answer)
}

func (s *script) do(elector int, at int64, what action) {
	s.clock = ms(at)
	s.acted(elector, what)
}

func (s *script) texts() []string {
	events, _ := s.eventsFrom(0)
	var texts []string
	for _, e := range events {
		texts = append(texts, e.text)
	}
	return texts
}

func TestJournalTellsWhyAndHowLongAfterALeaderChanged(t *testing.T) {
	s := newScript()
	s.say(0, 100, 7, "leader", "won")
	s.say(1, 150, 0, "follower", "registered")
	s.do(0, 1000, actStop)
	s.say(0, 1200, 0, "stepping-down", "shutdown")
	s.say(1, 3100, 9, "leader", "won")
	s.clock = ms(3200)
	s.ended(0, 100, "exit status 0", "")
	s.say(1, 4000, 0, "connecting", "key-deleted")
	s.say(2, 4700, 11, "leader", "won")

	want := []string{
		"red leads with token 7",
		"green stands in the queue",
		"SIGTERM to red, which leads",
		"red leads no longer: shutdown",
		"green leads with token 9, 2.1s after red was asked to stop",
		"red has ended: exit status 0",
		"green leads no longer: key-deleted",
		"blue leads with token 11, 1.6s after green said yes for the last time",
	}
	if got := s.texts()[3:]; !slices.Equal(got, want) {
		t.Errorf("the journal says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s.end(errTimeIsUp)
	sum := s.summary()
	if p := sum.problem(""); p != "" {
		t.Errorf("the problem is %q, want none", p)
	}
	if text := sum.text(); !strings.Contains(text, "7 < 9 < 11") || !strings.Contains(text, "after SIGTERM   2.1s") {
		t.Errorf("the summary is\n%s", text)
	}
}

func TestAnElectorThatWasLetGoOnInTimeIsNotSaidToHaveBeenReplaced(t *testing.T) {
	s := newScript()
	s.say(0, 100, 7, "leader", "won")
	s.do(0, 200, actFreeze)
	s.do(0, 400, actThaw)
	s.say(0, 500, 7, "leader", "won")
	s.say(0, 5000, 0, "connecting", "key-deleted")
	s.say(1, 6000, 8, "leader", "won")
	if last := s.texts()[len(s.texts())-1]; last != "green leads with token 8, 5.5s after red said yes for the last time" {
		t.Errorf("the journal says %q", last)
	}
}

func TestProblemsInOrderOfWeight(t *testing.T) {
	for _, tc := range []struct {
		s    summary
		want string
	}{
		{summary{broken: "a and b", faults: []string{"c"}}, "the promise was broken: a and b"},
		{summary{faults: []string{"c"}, byUser: true}, "c"},
		{summary{byUser: true}, ""},
		{summary{length: time.Second}, "nobody came to lead"},
		{summary{leaders: []string{"red"}}, "too short to show"},
		{summary{leaders: []string{"red"}, rounds: 1}, ""},
	} {
		if got := tc.s.problem("crash"); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.s, got, tc.want)
		}
	}
}

func TestAStopThatIsNotCleanIsAFaultAndASecondSIGTERMIsNone(t *testing.T) {
	for stops, faults := range map[int]int{1: 1, 2: 0} {
		s := newScript()
		s.say(0, 100, 7, "leader", "won")
		for range stops {
			s.do(0, 200, actStop)
		}
		s.ended(0, 100, "exit status 1", "gone")
		if len(s.faults) != faults {
			t.Errorf("after %d SIGTERM: faults %q", stops, s.faults)
		}
	}
}

func TestSilenceIsToldOnceAndOnlyOfElectorsThatRun(t *testing.T) {
	s := newScript()
	silent := sample{elector: 0, pid: 100, err: errors.New("timeout")}
	s.observe(silent) // still starting
	s.say(0, 100, 0, "follower", "registered")
	s.observe(silent)
	s.observe(silent)
	s.say(1, 100, 0, "follower", "registered")
	s.do(1, 200, actFreeze)
	s.observe(sample{elector: 1, pid: 101, err: errors.New("timeout")})
	n := 0
	for _, text := range s.texts() {
		if strings.HasSuffix(text, "does not answer") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("told %d times:\n%s", n, strings.Join(s.texts(), "\n"))
	}
}

func TestAnswersOfAnEndedProcessAreCheckedAndNotShown(t *testing.T) {
	s := newScript()
	late := yes(0, 7, 100, 200, 1500)
	late.pid = 99
	s.observe(late)
	if v := s.look(0); v.rows[0].leads || s.yeses != 1 {
		t.Errorf("row %+v, %d yes", v.rows[0], s.yeses)
	}
}

func TestAwaitEndsWithTheContext(t *testing.T) {
	s := newScript()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errQuit)
	if err := s.await(ctx, func([]row) bool { return false }); !errors.Is(err, errQuit) {
		t.Errorf("await returned %v", err)
	}
}

func TestTextFromEtcdCannotSteerTheTerminal(t *testing.T) {
	s := newScript()
	s.say(0, 100, 0, "fol\x1b[2Jlower", "")
	s.lineUp([]string{"a\x1b]0;b\a", "\u202egreen"})
	for _, line := range render(s.look(0), 80, 24, false) {
		if strings.ContainsAny(line, "\x1b\a\u202e") {
			t.Errorf("passed through: %q", line)
		}
	}
}
