package cli

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTheDaemonTellsItsStreamsOfItsEndBeforeItStops(t *testing.T) {
	log := newLogged(t)
	stop, stopped := start(t, log, nil, "--election=orders", nowhere)
	main := log.address()
	var bodies []*bufio.Reader
	for _, path := range []string{"/events", "/sse"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, main+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := fetcher.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body := bufio.NewReader(resp.Body)
		if _, err := body.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	stop()
	for i, body := range bodies {
		rest, err := io.ReadAll(body)
		if err != nil {
			t.Errorf("stream %d is cut: %v", i, err)
		}
		if told := strings.HasSuffix(string(rest), "event: end\ndata: {\"reason\":\"shutdown\"}\n\n"); told != (i == 0) {
			t.Errorf("stream %d ends with %q", i, rest)
		}
	}
	if status := <-stopped; status != 0 {
		t.Errorf("exit status %d", status)
	}
}
