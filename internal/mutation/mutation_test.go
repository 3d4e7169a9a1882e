package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the tests of the sample notice, and what they do not.
func TestEveryKindOfMutantIsKilledByTheTestsThatReachIt(t *testing.T) {
	var out bytes.Buffer
	unexplained := options{workers: 2, share: 1, bound: patience, leaveOut: regexp.MustCompile("^$")}
	well, err := attack(t.Context(), "./testdata/sample", regexp.MustCompile(""), unexplained, "", &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if well {
		t.Error("all is well, though something survives")
	}
	got := out.String()
	for _, want := range []string{
		"killed     sample.go Account.take: n > 10 → with >= |",
		"killed     sample.go Account.take: n > 10 → false |",
		"killed     sample.go Account.take: !a.Open || n > 10 → with && |",
		"killed     sample.go Account.take: !a.Open || n > 10 → true |",
		"killed     sample.go Account.take: now.Before(a.Until) → or at it |",
		"killed     sample.go Account.take: errNone → no error |",
		"killed     sample.go Account.take: a.count += n → left out |",
		"killed     sample.go Account.take: a.touch() → left out |",
		"killed     sample.go Account.take: a.count → zero |",
		"killed     sample.go Account.take: 1 → -1 |",
		"killed     sample.go Account.empty: a.count == 0 → negated |",
		"killed     sample.go Account.empty: 0 → +1 |",
		"killed     sample.go open: true → negated |",
		"killed     sample.go open: until → zero |",
		"killed     sample.go patience: min(5*time.Second, time.Duration(tries)*time.Second) → with max |",
		"killed     sample.go patience: 5*time.Second → halved |",
		"killed     sample.go patience: time.Duration(tries)*time.Second → with / |",
		"killed     sample.go kind: case 1 → does nothing |",
		"killed     sample.go firstEven: continue → break |",
		"killed     sample.go firstEven: break → continue |",
		"killed     sample.go next: case n := <-ch → never ready | by TestRest (the process ends)",
		"killed     sample.go back: -d → without its sign |",
		"NO TEST    sample.go hint: n / 2 → with * |",
		"left alone by rule: logging, ",
		"left alone by rule: text for people, ",
		"left alone by rule: text of errors, ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not told: %s", want)
		}
	}
	if survivors := regexp.MustCompile(`(?m)^(SURVIVES|NO TEST) +(\S+ \S+)`).FindAllStringSubmatch(got, -1); slices.ContainsFunc(survivors, func(m []string) bool { return m[2] != "sample.go hint:" }) {
		t.Errorf("survivors outside of what has no test: %q", survivors)
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestBehindATestThatFailsOnlyInCompanyTheOthersAreTried(t *testing.T) {
	src, err := load("./testdata/sample")
	if err != nil {
		t.Fatal(err)
	}
	f, dir := src.find(), t.TempDir()
	i := slices.IndexFunc(f.mutants, func(m mutant) bool { return m.key == "sample.go Account.take: n > 10 → false" })
	overlay, err := src.instrument(f.edits, len(f.mutants), dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := build(t.Context(), src, overlay, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TestCompanyOne", "TestCompanyTwo", "TestTake"} { // as they stand in the file, and run
		b.tests = append(b.tests, test{name: name, reaches: map[int]bool{f.mutants[i].place: true}})
	}
	if v := b.judge(t.Context(), f.mutants[i], true); v.by != "TestTake" {
		t.Errorf("noticed by %q", v.by)
	}
}

func TestExplanations(t *testing.T) {
	const text = `# a comment

package a
x.go f: a → b
	It is
	so.

package b
x.go f: a → b
	It is otherwise.
`
	got, err := explanations(text, "a")
	if want := "It is so."; err != nil || len(got) != 1 || got["x.go f: a → b"] != want {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"package a\nkey\n", "package a\n\treason\n", "package a\nkey\n\tr\nkey\n\tr\n"} {
		if got, err := explanations(bad, "a"); err == nil {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

// An explanation whose mutant has gone would be missed only when the command runs, which takes an hour. So
// would a mutant that does not compile.
func TestMutantsOfTheProductCompileAndTheExplainedOnesAreThere(t *testing.T) {
	for _, name := range []string{"internal/election", "internal/etcdstore"} {
		src, err := load("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		f := src.find()
		var keys []string
		for _, m := range f.mutants {
			keys = append(keys, m.key)
		}
		reasons, err := explanations(explainedText, name)
		if err != nil {
			t.Fatal(err)
		}
		for key := range reasons {
			if !slices.Contains(keys, key) {
				t.Errorf("%s: there is no mutant %q", name, key)
			}
		}
		overlay, err := src.instrument(f.edits, len(f.mutants), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("go", "build", "-overlay", overlay, src.path).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

func TestSamplesAreAllMutantsTogetherAndStayWhatTheyAre(t *testing.T) {
	src, err := load("../../internal/etcdstore")
	if err != nil {
		t.Fatal(err)
	}
	all, every := src.find().mutants, regexp.MustCompile("")
	times := map[string]int{}
	for part := range uint64(10) {
		sample := choose(all, every, options{share: 10, part: part})
		if n := len(sample); n < len(all)/20 || n > len(all)/5 {
			t.Errorf("part %d of %d has %d", part, len(all), n)
		}
		for _, m := range sample {
			times[m.key]++
		}
		without := slices.DeleteFunc(slices.Clone(all), func(m mutant) bool { return m.key == all[0].key })
		left := slices.DeleteFunc(sample, func(m mutant) bool { return m.key == all[0].key })
		if got := choose(without, every, options{share: 10, part: part}); !slices.Equal(got, left) {
			t.Errorf("part %d is another one without the first of all", part)
		}
	}
	for _, m := range all {
		if times[m.key] != 1 {
			t.Errorf("%s is in %d samples", m.key, times[m.key])
		}
	}
}

// A run that was killed must leave nothing that the compiler would take for the package's own.
func TestTheTreeIsNotTouched(t *testing.T) {
	for _, dir := range []string{"../election", "../etcdstore", "testdata/sample"} {
		if _, err := os.Stat(filepath.Join(dir, supportFile)); err == nil {
			t.Errorf("%s has %s", dir, supportFile)
		}
	}
}

func TestAMistakeOnTheCommandLineIsOneSentence(t *testing.T) {
	for _, args := range [][]string{{}, {"a", "b"}, {"--only", "("}, {"--nonsense"}} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), args, &out, &errs); status != 2 || strings.Count(errs.String(), "mutation: ") != 1 {
			t.Errorf("%q: exit status %d, %q", args, status, errs.String())
		}
	}
}
