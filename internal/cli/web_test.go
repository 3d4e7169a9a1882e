package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate puts a certificate for the loopback and its key into a directory, and returns who trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return pool
}

func TestProbeListenerMayHaveTLSAndBasicAuth(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	file := filepath.Join(dir, "web.yaml")
	// The password is "scrape".
	config := "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n" +
		"basic_auth_users: {prometheus: $2a$04$AYB/EGXEONqMNTdQm61ifOEmXYmETBCvWiYn1jtVIferOlihVVPKe}\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log := newLogged(t)
	start(t, log, nil, "--election=orders", "--probe-http=127.0.0.1:0", "--probe-http-web-config="+file, nowhere)
	main, probe := log.address(), strings.Replace(log.address(), "http://", "https://", 1)
	wantStatus(t, main+"/livez", http.StatusOK)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for password, want := range map[string]int{"": 401, "wrong": 401, "scrape": 200} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, probe+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth("prometheus", password)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("password %q: %d, want %d", password, resp.StatusCode, want)
		}
	}
	if got := run(t, "", "--election=orders", "--probe-http=:0", "--probe-http-web-config=/nowhere", nowhere); got.status != 2 || !strings.Contains(got.stderr, "--probe-http-web-config") {
		t.Errorf("%+v", got)
	}
}
