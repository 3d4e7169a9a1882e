package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tree is what the documents can name of the repository.
type tree struct {
	declared map[string][]string // names by file: functions, Type.Method, types, constants and variables
	tests    map[string]bool     // functions whose name begins with Test
	text     map[string]string   // of each Go file
}

// theTree is read once for all tests.
var theTree = sync.OnceValues(readTree)

func readTree() (*tree, error) {
	all := &tree{map[string][]string{}, map[string]bool{}, map[string]string{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all.text[name], all.declared[name] = string(text), namesOf(file)
		if strings.HasSuffix(path, "_test.go") {
			for _, n := range all.declared[name] {
				all.tests[n] = all.tests[n] || strings.HasPrefix(n, "Test")
			}
		}
		return nil
	})
	return all, err
}

// namesOf lists what a file declares.
func namesOf(file *ast.File) (names []string) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				on := d.Recv.List[0].Type
				if star, ok := on.(*ast.StarExpr); ok {
					on = star.X
				}
				name = fmt.Sprint(on) + "." + name
			}
			names = append(names, name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// says reports whether a string is written, between quotation marks, in a Go file whose path begins so.
func (all *tree) says(under, what string) bool {
	for name, text := range all.text {
		if strings.HasPrefix(name, under) && strings.Contains(text, `"`+what+`"`) {
			return true
		}
	}
	return false
}

// proofs are the kinds of things besides tests that a review's row can name, by their first word.
var proofs = map[string]func(all *tree, name string) bool{
	"conformance": func(all *tree, name string) bool { return all.says("internal/electiontest/", name) },
	"scope":       func(all *tree, name string) bool { return all.says("internal/election/model_scopes_test.go", name) },
	"invariant":   func(all *tree, name string) bool { return all.says("internal/election/model_", name) },
	"mutant":      func(all *tree, name string) bool { return all.says("internal/chaos/mutants/", name) },
	"rule":        func(all *tree, name string) bool { return all.says("internal/chaos/check/", name) },
	"spin": func(_ *tree, name string) bool {
		model, err := os.ReadFile(filepath.Join(root, "test/spin/lease.pml"))
		return err == nil && regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`\b`).Match(model)
	},
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// rows of a document's tables, by cells, with the line of each.
func rowsOf(t *testing.T, file string) (rows [][]string, lines []int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	must(t, err)
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "|---") {
			rows, lines = append(rows, strings.Split(strings.Trim(line, "| "), " | ")), append(lines, i+1)
		}
	}
	return rows, lines
}

// A review that names what is there no more has not been read since.
func TestReviewNamesWhatIsThere(t *testing.T) {
	all, err := theTree()
	must(t, err)
	rows, lines := rowsOf(t, "docs/safety-review.md")
	seen := 0
	for i, cells := range rows {
		if len(cells) != 4 {
			t.Errorf("line %d: %d cells, not 4", lines[i], len(cells))
			continue
		}
		if cells[0] == "claim" || cells[0] == "attack" {
			continue
		}
		seen++
		if err := all.place(cells[1]); err != nil {
			t.Errorf("line %d: %v", lines[i], err)
		}
		if err := all.shown(cells[2]); err != nil {
			t.Errorf("line %d: %v", lines[i], err)
		}
	}
	if seen < 50 {
		t.Errorf("%d rows: the tables are not read", seen)
	}
}

// place wants a cell's code to be files, and what one of these declares.
func (all *tree) place(cell string) error {
	var declared []string
	spans := codeSpan.FindAllStringSubmatch(cell, -1)
	if len(spans) == 0 {
		return fmt.Errorf("no code is named in %q", cell)
	}
	for _, m := range spans {
		if name := m[1]; strings.Contains(name, "/") {
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				return fmt.Errorf("no file %s", name)
			}
			declared = append(declared, all.declared[name]...)
		} else if !slices.Contains(declared, name) {
			return fmt.Errorf("%s is declared in none of the files before it", name)
		}
	}
	return nil
}

// shown wants a cell's code to be tests or other proofs.
func (all *tree) shown(cell string) error {
	spans := codeSpan.FindAllStringSubmatch(cell, -1)
	if len(spans) == 0 {
		return fmt.Errorf("nothing shows it in %q", cell)
	}
	for _, m := range spans {
		kind, name, ok := strings.Cut(m[1], " ")
		switch is := proofs[kind]; {
		case !ok && all.tests[m[1]]:
		case is != nil && is(all, name):
		default:
			return fmt.Errorf("there is no %s", m[1])
		}
	}
	return nil
}

// The table of defences names tests by their names alone.
func TestTestsThatTheDocumentsNameAreThere(t *testing.T) {
	all, err := theTree()
	must(t, err)
	for _, file := range documents(t) {
		text, err := os.ReadFile(filepath.Join(root, file))
		must(t, err)
		for _, m := range regexp.MustCompile("`(Test[A-Z]\\w+)`").FindAllStringSubmatch(string(text), -1) {
			if !all.tests[m[1]] {
				t.Errorf("%s: there is no test %s", file, m[1])
			}
		}
	}
}

var spaces = regexp.MustCompile(`[\s/*]+`)

// What is promised is said in the same words wherever it is said.
func TestPromiseOfSafetyIsThatOfTheCode(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "internal/election/doc.go"))
	must(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs/safety.md"))
	must(t, err)
	code, said := promise(string(doc), "# What is promised", "# How it is kept"), promise(string(page), "## 2. What is promised", "Points 1 to 3")
	if code == "" || code != said {
		t.Errorf("docs/safety.md, section 2:\n%s\ninternal/election/doc.go:\n%s", said, code)
	}
}

// promise is the numbered points between two lines, as one line of words.
func promise(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	_, text, _ = strings.Cut(text, "1. ")
	return strings.TrimSpace(spaces.ReplaceAllString(text, " "))
}
