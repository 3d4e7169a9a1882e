package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheCounterRefusesWhatIsLate(t *testing.T) {
	s := newScript()
	c := &counter{journal: s.journal}
	post := func(who, token string) int {
		r := httptest.NewRequest(http.MethodPost, "/counter?who="+who, nil)
		r.Header.Set("Elector-Token", token)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w.Code
	}
	for _, step := range []struct {
		who, token string
		want       int
	}{
		{"red", "4", 200}, {"red", "4", 200}, {"green", "7", 200}, {"red", "4", 412}, {"green", "7", 200},
		{"nobody", "9", 400}, {"red", "", 400}, {"red", "x", 400},
	} {
		if got := post(step.who, step.token); got != step.want {
			t.Errorf("%s with token %s: %d, want %d", step.who, step.token, got, step.want)
		}
	}
	if v := s.look(0); v.taken != 4 || v.refused != 1 {
		t.Errorf("%d taken, %d refused", v.taken, v.refused)
	}
}

func TestARecordedRunIsShownAsItWas(t *testing.T) {
	s := newScript()
	s.tape = newTape(setup{Electors: names, Members: []string{"etcd-1"}, TTLMs: 3000})
	s.say(0, 1, 7, "leader", "won")
	s.do(0, 2, actKill)
	file := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is on the tape is written all the same
	if err := record(ctx, file, s.tape); !isEnd(err) {
		t.Fatal(err)
	}
	plan, moments, err := load(file)
	if err != nil || plan.TTLMs != 3000 || !slices.Equal(plan.Electors, names) {
		t.Fatalf("%+v %v", plan, err)
	}
	want, _, _ := s.tape.from(0)
	if !slices.Equal(moments, want) || len(want) < 3 {
		t.Errorf("read %+v, want %+v", moments, want)
	}
	again := newTape(plan)
	if err := rewind(t.Context(), moments, again); err != errOver {
		t.Fatal(err)
	}
	if got, _, _ := again.from(0); !slices.Equal(got, want) {
		t.Errorf("played %+v, want %+v", got, want)
	}
}

func TestATapeForgetsItsOldestMoments(t *testing.T) {
	tape := newTape(setup{})
	for i := range tapeLength + 10 {
		tape.add(moment{At: int64(i)})
	}
	moments, next, _ := tape.from(0)
	if last := moments[len(moments)-1]; next != tapeLength+10 || last.At != tapeLength+9 || len(moments) > tapeLength {
		t.Errorf("%d moments are left, up to %d; the next is %d", len(moments), last.At, next)
	}
}

func TestAFileThatHoldsNoRunIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run")
	for name, text := range map[string]string{"empty": "", "other JSON": `{"a":1}`, "cut off": `{"kind":"setup","setup":{}}` + "\n" + `{"at":`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, errs := runToFile(t.Context(), t, "--replay", file)
		if status != exitFailed || !strings.Contains(errs, "--replay "+file) {
			t.Errorf("%s: exit status %d, %q", name, status, errs)
		}
	}
}

func TestEveryScenarioIsShownAndBreaksNothing(t *testing.T) {
	for _, args := range []string{"--scenario cut --ttl 2s", "--scenario member", "--scenario freeze --members 1 --ttl 2s"} {
		status, out, errs := runToFile(t.Context(), t, append(strings.Fields(args), "--for", "12s")...)
		if status != exitShown || !strings.Contains(out, "two yes at once   never") {
			t.Errorf("%s: exit status %d, %s\n%s", args, status, errs, out)
		}
	}
}
