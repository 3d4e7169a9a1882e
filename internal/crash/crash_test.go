package crash

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// asVictim makes this test binary a server that is asked for a path.
const asVictim = "ELECTOR_TEST_AS_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(asVictim); path != "" {
		victim(path)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func victim(path string) {
	s := httptest.NewServer(Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			breakDown()
		case "/cut":
			panic(http.ErrAbortHandler)
		}
	})))
	defer s.Close()
	resp, err := s.Client().Get(s.URL + path)
	if err != nil {
		println("no answer")
		return
	}
	resp.Body.Close()
	println("answered")
}

func breakDown() { panic(errors.New("nothing is known any more")) }

func TestPanicOfAHandlerEndsTheProcess(t *testing.T) {
	for path, want := range map[string]struct {
		dies bool
		said string
	}{
		"/":       {false, "answered"},
		"/cut":    {false, "no answer"},
		"/broken": {true, "panic: nothing is known any more"},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asVictim+"="+path, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		if dies := err != nil; dies != want.dies || !strings.Contains(string(out), want.said) {
			t.Errorf("%s: %v, said:\n%s", path, err, out)
		}
		if want.dies && !strings.Contains(string(out), "crash.breakDown(") {
			t.Errorf("%s: it does not say where:\n%s", path, out)
		}
	}
}
