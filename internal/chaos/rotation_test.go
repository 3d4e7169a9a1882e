package chaos

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/devetcd"
)

// pool is the authorities in a text.
func pool(t *testing.T, text string) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM([]byte(text)) {
		t.Fatalf("no authority in %q", text)
	}
	return p
}

// trusted verifies a certificate by authorities.
func trusted(t *testing.T, certificate, authorities string) error {
	t.Helper()
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		t.Fatalf("no certificate in %q", certificate)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: pool(t, authorities), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

func TestWhileSecretsAreRotatedEachSideTrustsWhatTheOtherShows(t *testing.T) {
	dir := t.TempDir()
	files, err := devetcd.NewTLSFiles(dir, "elector", "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSecrets(dir, files, []string{"10.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	old := read(s.path(certFile))
	r, err := s.next()
	if err != nil {
		t.Fatal(err)
	}
	// Before the authority of old goes, both certificates are good by both; afterwards the new one alone.
	for _, row := range []struct {
		certificate, authorities string
		good                     bool
	}{
		{old, r.both, true}, {r.client[certFile], r.both, true}, {r.server[files.ServerCert], r.both, true},
		{r.client[certFile], r.authority, true}, {r.server[files.ServerCert], r.authority, true},
		{old, r.authority, false}, {r.client[certFile], read(s.path(caFile)), false},
	} {
		if err := trusted(t, row.certificate, row.authorities); (err == nil) != row.good {
			t.Errorf("good: %v: %v", row.good, err)
		}
	}
	if err := s.swap(r.client); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(s.path(certFile), s.path(keyFile)); err != nil || read(s.path(certFile)) == old {
		t.Errorf("the pair was not swapped: %v", err)
	}
	if read(s.path(passwordFile)) != "secret" || r.password[passwordFile] == "secret" {
		t.Errorf("password %q, next %q", read(s.path(passwordFile)), r.password[passwordFile])
	}
	if left, _ := filepath.Glob(s.path("..[0-9]*")); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "rotated-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestALogIsReadForRacesAndPanicsAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"w1-1.log": "{\"msg\":\"panic: not one, WARNING: DATA RACE\"}\n" + strings.Repeat("x", 70_000) + "\n==================\nWARNING: DATA RACE\nRead at 0x\n",
		"w2-1.log": "fine\npanic: assignment to entry in nil map",
		"m0.log":   "{\"level\":\"warn\",\"msg\":\"apply request took too long\"}\n{\"level\":\"panic\",\"msg\":\"tocommit is out of range\"}\nfatal error: all goroutines are asleep\n",
		"w3.txt":   "panic: in no log\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := outcries(dir)
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, o := range got {
		at = append(at, o.Process+":"+string(rune('0'+o.Line)))
	}
	if strings.Join(at, " ") != "m0:2 m0:3 w1-1:4 w2-1:2" {
		t.Errorf("found %+v", got)
	}
}
