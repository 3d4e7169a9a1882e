package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// block is a fenced block of a document, or a comment that begins with "<!-- run": commands that prepare what the
// reader has already, and that a page does not show.
type block struct {
	file  string // from the root
	line  int    // of the first line of text
	lang  string // first word of the info string; "run" for a comment
	words []string
	text  []string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// shells are the languages whose blocks hold commands.
var shells = []string{"sh", "bash", "shell", "console", "run"}

func (b block) isShell() bool { return slices.Contains(shells, b.lang) }

// daemon marks a block whose last command goes on until the document ends, as a reader would leave it running.
const daemon = "daemon"

// lacks are the reasons for which a block is not run: what it needs that is not here. Each must show in the block, so
// that none is marked for convenience.
var lacks = map[string]*regexp.Regexp{
	"kubernetes": regexp.MustCompile(`\b(kubectl|kustomize)\b`),
	"systemd":    regexp.MustCompile(`\b(systemctl|journalctl|systemd-\w+|/etc/systemd)\b`),
	"docker":     regexp.MustCompile(`\bdocker\b`),
	"terminal":   regexp.MustCompile(`\belector-demo\b`),
	"minutes":    regexp.MustCompile(`\b(make|go test|elector-chaos)\b|\.ci/run`),
	"prometheus": regexp.MustCompile(`\bpromtool\b`),
	"elsewhere":  regexp.MustCompile(`\b(consul|patronictl|apt-get|git clone)\b`), // programs that are not this project's to bring
}

// lack is why the block is not run, or "".
func (b block) lack() string {
	for _, w := range b.words {
		if lacks[w] != nil {
			return w
		}
	}
	return ""
}

// documents returns the path of every document, from the root.
func documents(t *testing.T) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return err
	})
	must(t, err)
	return files
}

func read(t *testing.T, file string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	must(t, err)
	blocks, err := parse(file, string(text))
	must(t, err)
	return blocks
}

var fence = regexp.MustCompile("^( *)(```+|~~~+) *(.*)$")

// parse finds the blocks of a document.
func parse(file, text string) ([]block, error) {
	var blocks []block
	var b *block
	var indent, end string
	for i, line := range strings.Split(text, "\n") {
		switch m := fence.FindStringSubmatch(line); {
		case b != nil && strings.TrimSpace(line) == end:
			blocks, b = append(blocks, *b), nil
		case b != nil:
			b.text = append(b.text, strings.TrimPrefix(line, indent))
		case line == "<!-- run":
			b = &block{file: file, line: i + 2, lang: "run"}
			indent, end = "", "-->"
		case m != nil:
			b = &block{file: file, line: i + 2}
			indent, end = m[1], m[2]
			if words := strings.Fields(m[3]); len(words) > 0 {
				b.lang, b.words = words[0], words[1:]
			}
		}
	}
	if b != nil {
		return nil, fmt.Errorf("%v: the block that begins here does not end: close it with %s", b, end)
	}
	return blocks, nil
}

// step is a command, or a script without an output to compare.
type step struct {
	line    int // of the document
	command string
	want    []string // lines of output
	compare bool
}

// steps returns what a shell block has to run. In a console block that is each line after a "$ ", with the lines that
// continue it: those after a "\", and those that begin with "> ". What follows is the output.
func (b block) steps() ([]step, error) {
	if b.lang != "console" {
		s := step{line: b.line, command: strings.Join(b.text, "\n")}
		if slices.Contains(b.words, daemon) {
			s.command += " &"
		}
		return []step{s}, nil
	}
	var steps []step
	continued := false
	for i, line := range b.text {
		command, starts := strings.CutPrefix(line, "$ ")
		more, continues := strings.CutPrefix(line, "> ")
		switch last := len(steps) - 1; {
		case starts && !continued:
			steps = append(steps, step{line: b.line + i, command: command, compare: true})
		case last < 0:
			return nil, fmt.Errorf("%s:%d: a console block begins with a command: write \"$ \" before it", b.file, b.line+i)
		case continued || continues && len(steps[last].want) == 0:
			command = more
			steps[last].command += "\n" + command
		default:
			steps[last].want = append(steps[last].want, line)
			continue
		}
		continued = strings.HasSuffix(command, `\`)
	}
	for i := range steps {
		steps[i].want = linesOf(strings.Join(steps[i].want, "\n"))
		if strings.HasSuffix(strings.TrimSpace(steps[i].command), "&") {
			steps[i].compare = false // what a background process says comes whenever it likes
		}
	}
	return steps, nil
}
