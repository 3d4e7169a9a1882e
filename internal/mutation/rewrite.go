package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"slices"
)

// edit puts text before and after a stretch of a file. What stands there is kept, so edits nest.
type edit struct {
	file          string
	from, to      int // offsets
	before, after string
}

// apply returns the text with the edits of its file made. Edits are in the order in which a walk of the syntax tree
// comes to them, the outer before the inner.
func apply(text []byte, edits []edit) []byte {
	type insertion struct {
		at   int
		rank int // at one place: what ends goes first and the innermost of it before the others; what begins follows
		text string
	}
	var all []insertion
	for i, e := range edits {
		all = append(all, insertion{e.from, i + 1, e.before}, insertion{e.to, -i - 1, e.after})
	}
	slices.SortFunc(all, func(a, b insertion) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.rank, b.rank)) })
	var out bytes.Buffer
	done := 0
	for _, ins := range all {
		out.Write(text[done:ins.at])
		out.WriteString(ins.text)
		done = ins.at
	}
	out.Write(text[done:])
	return out.Bytes()
}

// The environment of a process with mutants in it.
const (
	activeEnv  = "ELECTOR_MUTANT"         // the number of the one that is active
	reachedEnv = "ELECTOR_MUTANT_REACHED" // a file that takes the numbers of the places that are reached, a line each
)

// supportFile is added to the package. Its functions are called from wherever there is a mutant.
const supportFile = "zz_mutation.go"

const support = `package %s

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

var (
	mutantActive, _ = strconv.Atoi(os.Getenv(%q))
	mutantReached   = func() *os.File {
		f, _ := os.OpenFile(os.Getenv(%q), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		return f
	}()
	mutantSeen [%d]atomic.Bool
)

// mutant returns which of a place's n mutants is active, counted from 1, or 0. Their numbers go on from first.
func mutant(first, n int) int {
	if mutantReached != nil && !mutantSeen[first].Swap(true) {
		fmt.Fprintln(mutantReached, first)
	}
	if mutantActive >= first && mutantActive < first+n {
		return mutantActive - first + 1
	}
	return 0
}

// mutantZero loses a value.
func mutantZero[T any](number int, v T) T {
	if mutant(number, 1) == 1 {
		var zero T
		return zero
	}
	return v
}
`

// instrument writes the package with all mutants into dir and returns the overlay for the go command.
func (s *source) instrument(edits []edit, mutants int, dir string) (string, error) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	write := func(name string, text []byte) error {
		changed := filepath.Join(dir, name)
		overlay.Replace[filepath.Join(s.dir, name)] = changed
		return os.WriteFile(changed, text, 0o600)
	}
	byFile := map[string][]edit{}
	for _, e := range edits {
		byFile[e.file] = append(byFile[e.file], e)
	}
	for file, edits := range byFile {
		text := apply(s.text[file], edits)
		if pretty, err := format.Source(text); err != nil {
			return "", fmt.Errorf("%s with mutants: %w", file, err)
		} else if err := write(file, pretty); err != nil {
			return "", err
		}
	}
	if err := write(supportFile, fmt.Appendf(nil, support, s.name, activeEnv, reachedEnv, mutants+1)); err != nil {
		return "", err
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}
