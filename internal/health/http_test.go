package health

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// expect looks once, and wants an error with a text, or none for "".
func expect(t *testing.T, c Check, want string) {
	t.Helper()
	err := c.Probe(t.Context())
	if (err == nil) != (want == "") || err != nil && err.Error() != want {
		t.Errorf("%s:\n got %v\nwant %s", c.Name, err, want)
	}
}

func mustHTTP(t *testing.T, rawURL string) Check {
	t.Helper()
	c, err := HTTP(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestHTTPPassesOnSuccessAlone(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("User-Agent") != "elector" || !r.Close {
			t.Errorf("asked with %s %v, close %t", r.Method, r.Header, r.Close)
		}
		switch r.URL.Path {
		case "/ok":
			fmt.Fprint(w, "fine")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/same":
			w.WriteHeader(http.StatusNotModified)
		case "/ill":
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, "\r\n\x1b[2Jthe disk\tis \xff\u202efull\r\nand more")
		case "/long":
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "x", strings.Repeat("é", 5000))
		case "/teapot":
			w.WriteHeader(599)
		}
	})
	for path, want := range map[string]string{
		"/ok":     "",
		"/none":   "",
		"/moved":  "answered 302 Found, which leads to /ok: redirects are not followed, name the URL that answers",
		"/same":   "answered 304 Not Modified",
		"/ill":    "answered 500 Internal Server Error: \uFFFD[2Jthe disk is \uFFFD\uFFFDfull",
		"/long":   "answered 503 Service Unavailable: x" + strings.Repeat("é", 99), // and not half of the next
		"/teapot": "answered 599",
	} {
		c := mustHTTP(t, s.URL+path)
		if c.Name != "http "+s.URL+path {
			t.Errorf("its name is %q", c.Name)
		}
		expect(t, c, want)
	}
}

// A worker that writes without end must not keep the elector reading.
func TestHTTPReadsNoMoreThanTheReason(t *testing.T) {
	gone := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.WriteHeader(http.StatusInternalServerError)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "ill\n"+strings.Repeat("x", maxBody))
		}
	})
	expect(t, mustHTTP(t, s.URL), "answered 500 Internal Server Error: ill")
	<-gone
}

func TestHTTPEndsWithItsContext(t *testing.T) {
	asked, gone := make(chan struct{}), make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if err := mustHTTP(t, s.URL).Probe(ctx); err == nil {
		t.Error("a server that does not answer passes")
	}
	<-gone // the connection is not kept either
}

func TestHTTPTellsWhyThereIsNoAnswer(t *testing.T) {
	address := refused(t)
	expect(t, mustHTTP(t, "http://"+address), "get: dial tcp "+address+": connect: connection refused")

	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.(*net.TCPConn).SetLinger(0) // it ends with a reset
			_ = conn.Close()
		}
	}()
	expect(t, mustHTTP(t, "http://"+l.Addr().String()), "get: read tcp "+l.Addr().String()+": read: connection reset by peer")

	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	expect(t, mustHTTP(t, secure.URL), "get: tls: failed to verify certificate: x509: certificate signed by unknown authority")
	plain := serve(t, http.NotFound)
	expect(t, mustHTTP(t, strings.Replace(plain.URL, "http", "https", 1)), "get: http: server gave HTTP response to HTTPS client")
}

func TestHTTPGoesPastTheEnvironmentsProxy(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	// This host by a name that, unlike its others, net/http would ask a proxy about; TestMain names one.
	expect(t, mustHTTP(t, strings.Replace(s.URL, "127.0.0.1", "0.0.0.0", 1)), "")
}

func TestHTTPNamesNoPassword(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	c := mustHTTP(t, strings.Replace(s.URL, "//", "//worker:secret@", 1))
	expect(t, c, "")
	if strings.Contains(c.Name, "secret") {
		t.Errorf("its name is %q", c.Name)
	}
	for _, wrong := range []string{"http://a:secret@host:port/", "ftp://a:secret@host/", "http://a:secret@/", "http://a:secret@b:0"} {
		if _, err := HTTP(wrong); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestHTTPRefusesOtherURLs(t *testing.T) {
	for _, wrong := range []string{
		"", "127.0.0.1:8080", "localhost/healthz", "http://", "http:///healthz", "http://:8080", "http:host", "//host/",
		"unix:///run/worker", "http+unix://x", "http://host:0", "http://host:65536", "http://a b/", "http://host/%zz",
	} {
		if c, err := HTTP(wrong); err == nil {
			t.Errorf("%q is %q", wrong, c.Name)
		}
	}
	for _, right := range []string{"http://host", "https://host:1/?a=b", "http://[::1]:8080/healthz", "HTTP://host"} {
		if _, err := HTTP(right); err != nil {
			t.Errorf("%q: %v", right, err)
		}
	}
}

// Else a check that is down would have another reason at each look, and Changed would be told of each.
func TestReasonsStayTheSame(t *testing.T) {
	for want, err := range map[string]error{
		"lookup db on 10.0.0.2:53: read udp 10.0.0.2:53: i/o timeout": &net.DNSError{
			Name: "db", Server: "10.0.0.2:53", Err: "read udp 10.0.0.1:43211->10.0.0.2:53: i/o timeout",
		},
		"the certificate has expired or is not yet valid": fmt.Errorf("tls: %w", x509.CertificateInvalidError{
			Reason: x509.Expired, Detail: "current time 2026-01-02T15:04:05Z is after 2026-01-01T00:00:00Z",
		}),
	} {
		if got := steady(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
