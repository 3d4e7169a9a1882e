package chaos

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// cries begin the lines that a Go program writes when its state is not to be trusted any more.
var cries = []string{"WARNING: DATA RACE", "panic: ", "fatal error: ", "unexpected fault address ", "==ERROR: ThreadSanitizer", "FATAL: ThreadSanitizer"}

// outcries reads the logs that all processes of a run have left in a directory.
func outcries(dir string) ([]history.Outcry, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, err
	}
	var all []history.Outcry
	var errs []error
	for _, path := range paths {
		found, err := outcriesIn(path)
		all, errs = append(all, found...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

func outcriesIn(path string) (all []history.Outcry, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	name := strings.TrimSuffix(filepath.Base(path), ".log")
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if cry := cryOf(line); cry != "" {
			all = append(all, history.Outcry{Process: name, Line: n, Text: cry})
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// cryOf is what a line says if it is one; empty: it is not. The logs of etcd have panics as a level, too.
func cryOf(line []byte) string {
	text := strings.TrimSpace(string(line[:min(len(line), 300)]))
	for _, cry := range cries {
		if strings.HasPrefix(text, cry) {
			return text
		}
	}
	if bytes.HasPrefix(line, []byte("{")) && (bytes.Contains(line, []byte(`"level":"panic"`)) || bytes.Contains(line, []byte(`"level":"fatal"`))) {
		return text
	}
	return ""
}
