package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/testenv"
)

func TestMain(m *testing.M) {
	if _, err := repository(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// A mutant whose text has gone from the code would be missed only when the gate runs, which takes minutes.
func TestEveryMutantStillFitsTheCode(t *testing.T) {
	top, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range mutants() {
		if names[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		names[m.name] = true
		if _, err := m.overlay(top, t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// It takes minutes too, but less than the gate, which finds the same and is a part of CI.
func TestEveryMutantCompiles(t *testing.T) {
	if testenv.CI() {
		t.Skip("the gate compiles every mutant, and runs next")
	}
	top, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			overlay, err := m.overlay(top, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			packages := map[string]bool{}
			for _, e := range m.edits {
				packages["./"+filepath.Dir(e.file)] = true
			}
			for p := range packages {
				if out, err := exec.Command("go", "build", "-overlay", overlay, p).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
}

func TestAMistakeOnTheCommandLineIsOneSentence(t *testing.T) {
	for _, args := range [][]string{{"--only", "gravity"}, {"--nonsense"}} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), args, &out, &errs); status != 2 || strings.Count(errs.String(), "mutants: ") != 1 {
			t.Errorf("%v: exit status %d, %q", args, status, errs.String())
		}
	}
}

// The table of the document is the table of the code.
func TestTheDocumentHasTheTableOfMutants(t *testing.T) {
	doc, err := os.ReadFile("docs/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	if table := markdown(mutants()); !strings.Contains(string(doc), table) {
		t.Errorf("docs/proof.md does not have this table, which `go run ./internal/chaos/mutants --markdown` prints:\n%s", table)
	}
}
