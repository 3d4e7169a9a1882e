package webconfig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// authority signs certificates into a directory.
type authority struct {
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca")
	return a
}

// issue makes a certificate for the loopback and for a name, and writes it and its key to <name>.crt and .key.
func (a *authority) issue(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{name},
		IsCA: a.cert == nil, BasicConstraintsValid: true,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	a.put(t, name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	a.put(t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert, key
}

func (a *authority) put(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// serve serves a word as the file says, and returns the address.
func serve(t *testing.T, file string) string {
	t.Helper()
	must(t, Check(file))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Proto", r.Proto) }),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	ended := make(chan error, 1)
	go func() { ended <- Serve(server, l, file, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// ask gets / and returns the answer; nil: none came.
func (a *authority) ask(t *testing.T, url, user, password string, client ...tls.Certificate) *http.Response {
	t.Helper()
	trust := x509.NewCertPool()
	trust.AddCert(a.cert)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trust, Certificates: client}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return nil
	}
	resp.Body.Close()
	return resp
}

func (a *authority) status(t *testing.T, url, user, password string, client ...tls.Certificate) int {
	t.Helper()
	if resp := a.ask(t, url, user, password, client...); resp != nil {
		return resp.StatusCode
	}
	return 0
}

// The passwords are "scrape" and "probe", with the least cost there is.
const (
	hashScrape = "$2a$04$AYB/EGXEONqMNTdQm61ifOEmXYmETBCvWiYn1jtVIferOlihVVPKe"
	serverPart = "tls_server_config: {cert_file: server.crt, key_file: server.key"
)

func TestPasswordsAreReadAnewForEachRequest(t *testing.T) {
	a := newAuthority(t)
	file := a.put(t, "web.yaml", "basic_auth_users: {prometheus: "+hashScrape+"}\nhttp_server_config: {headers: {X-Frame-Options: deny}}\n")
	url := "http://" + serve(t, file)
	for range 2 { // the second time from memory
		for _, c := range []struct {
			user, password string
			want           int
		}{{"", "", 401}, {"prometheus", "wrong", 401}, {"somebody", "scrape", 401}, {"prometheus", "scrape", 200}} {
			if got := a.status(t, url, c.user, c.password); got != c.want {
				t.Errorf("%q with %q: %d, want %d", c.user, c.password, got, c.want)
			}
		}
	}
	if got := a.ask(t, url, "prometheus", "scrape").Header.Get("X-Frame-Options"); got != "deny" {
		t.Errorf("header %q", got)
	}
	a.put(t, "web.yaml", "basic_auth_users: {other: "+hashScrape+"}\n")
	if got := a.status(t, url, "prometheus", "scrape"); got != 401 {
		t.Errorf("who was taken out is answered %d", got)
	}
	a.put(t, "web.yaml", "basic_auth_users: [\n")
	if got := a.status(t, url, "other", "scrape"); got != 500 {
		t.Errorf("with a broken file: %d", got)
	}
}

func TestCertificatesAreReadAnewForEachConnection(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server")
	file := a.put(t, "web.yaml", serverPart+"}\n")
	url := "https://" + serve(t, file)
	first := a.ask(t, url, "", "")
	if first == nil || first.Header.Get("Proto") != "HTTP/2.0" {
		t.Fatalf("first answer %+v", first)
	}
	a.issue(t, "server")
	second := a.ask(t, url, "", "")
	if second == nil || second.TLS.PeerCertificates[0].Equal(first.TLS.PeerCertificates[0]) {
		t.Errorf("the old certificate is still used, or none: %+v", second)
	}
	a.put(t, "server.key", "nothing")
	if got := a.status(t, url, "", ""); got != 0 {
		t.Errorf("with a broken key: %d", got)
	}
	a.issue(t, "server")
	a.put(t, "web.yaml", "http_server_config: {http2: true}\n")
	if got := a.status(t, url, "", ""); got != 0 {
		t.Errorf("without TLS in the file: %d", got)
	}
}

func TestHTTP2AndVersionsCanBeLimited(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server")
	url := "https://" + serve(t, a.put(t, "web.yaml", serverPart+
		", min_version: TLS12, max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]}\nhttp_server_config: {http2: false}\n"))
	resp := a.ask(t, url, "", "")
	if resp == nil || resp.Header.Get("Proto") != "HTTP/1.1" || resp.TLS.Version != tls.VersionTLS12 || resp.TLS.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
		t.Errorf("%+v", resp)
	}
}

func TestClientsCanBeAskedForCertificates(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server")
	pair := func(name string) tls.Certificate {
		a.issue(t, name)
		c, err := tls.LoadX509KeyPair(filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key"))
		must(t, err)
		return c
	}
	good, wrong := pair("scraper"), pair("other")
	url := "https://" + serve(t, a.put(t, "web.yaml",
		serverPart+", client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [scraper]}\n"))
	if got := a.status(t, url, "", "", good); got != 200 {
		t.Errorf("the right one: %d", got)
	}
	if got := a.status(t, url, "", "", wrong); got != 0 {
		t.Errorf("another one: %d", got)
	}
	if got := a.status(t, url, "", ""); got != 0 {
		t.Errorf("without: %d", got)
	}
}

func TestMistakesAreToldInOneLine(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server")
	a.put(t, "empty", "")
	for text, want := range map[string]string{
		"rate_limit: {burst: 1}\n":                                                           "rate_limit",
		"basic_auth_users: {a: secret}\n":                                                    `"a" is no hash of bcrypt`,
		"http_server_config: {headers: {Server: x}}\n":                                       `"Server" cannot be set`,
		"http_server_config: {headers: {X-Frame-Options: x}}\n":                              "write deny or sameorigin",
		"http_server_config: {headers: {Content-Security-Policy: \"a\\nb\"}}\n":              "line break",
		"tls_server_config: {cert_file: server.crt}\n":                                       "both cert_file and key_file",
		"tls_server_config: {cert_file: server.crt, key_file: nowhere}\n":                    "nowhere",
		serverPart + ", min_version: TLS10}\n":                                               `"TLS10" is no version`,
		serverPart + ", min_version: TLS13, max_version: TLS12}\n":                           "nothing is between",
		serverPart + ", cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}\n":                        "TLS_RSA_WITH_RC4_128_SHA",
		serverPart + ", client_auth_type: Always}\n":                                         `"Always" is not known`,
		serverPart + ", client_auth_type: RequireAndVerifyClientCert}\n":                     "client_ca_file is what",
		serverPart + ", client_ca_file: ca.crt}\n":                                           "set both or neither",
		serverPart + ", client_auth_type: RequestClientCert, client_allowed_sans: [x]}\n":    "client_allowed_sans needs",
		serverPart + ", client_auth_type: VerifyClientCertIfGiven, client_ca_file: empty}\n": "no certificate is in",
		"- a\n- b\n": "cannot unmarshal",
	} {
		err := Check(a.put(t, "web.yaml", text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a secret is told: %v", err)
		}
	}
	for _, text := range []string{"", "{}\n", "basic_auth_users: {}\n", serverPart + ", min_version: TLS13, prefer_server_cipher_suites: true}\n"} {
		if err := Check(a.put(t, "web.yaml", text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
