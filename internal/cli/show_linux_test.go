package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/testenv"
)

// commands is a text that a terminal obeys.
const commands = "one\x1b]0;owned\a\r\u009b2J\u202e\x7ftwo"

// terminal is a pseudo-terminal: what is written to it can be read from the other.
func terminal(t *testing.T) (screen, outside *os.File) {
	t.Helper()
	outside, screen = testenv.Terminal(t)
	t.Cleanup(func() {
		screen.Close()
		outside.Close()
	})
	return screen, outside
}

func TestASharedValueIsPrintedByteForByteButToATerminal(t *testing.T) {
	value := commands + "\nthree\tü\n"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"7"`)
		_, _ = io.WriteString(w, value)
	}))
	defer srv.Close()
	get := func(w io.Writer) {
		t.Helper()
		if status := Run(t.Context(), []string{"value", "get", "--addr", srv.Listener.Addr().String()}, nil, nil, w, io.Discard); status != 0 {
			t.Fatalf("exit status %d", status)
		}
	}
	var pipe bytes.Buffer
	if get(&pipe); pipe.String() != value {
		t.Errorf("printed is %q", pipe.String())
	}
	screen, outside := terminal(t)
	get(screen)
	buffer := make([]byte, 1<<10)
	n, err := outside.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	if shown := string(buffer[:n]); shown != "one�]0;owned���2J��two\r\nthree\tü\r\n" { // the terminal adds the returns
		t.Errorf("a terminal is shown %q", shown)
	}
}

func TestJSONCommandsNoTerminalAndSaysTheSame(t *testing.T) {
	var out strings.Builder
	in := map[string]string{commands: "\U000e0001 <ü>"}
	if err := asJSON(&out, in); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.TrimSuffix(text, "\n") != plain(strings.TrimSuffix(text, "\n")) {
		t.Errorf("printed is %q", text)
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil || back[commands] != in[commands] {
		t.Errorf("%q, %v", back, err)
	}
}
