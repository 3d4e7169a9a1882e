package etcdstore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// noon is now in these tests.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// write makes a pair that is valid for a time and puts it where the secrets look for it.
func (r *rotation) write(cert, key string, from, to time.Time) {
	r.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &x509.Certificate{Subject: pkix.Name{CommonName: "elector"}, SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		r.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		r.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if file == "" {
			continue
		}
		// A new file in the place of the old one, as whoever rotates does it.
		if err := os.WriteFile(file+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			r.t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			r.t.Fatal(err)
		}
	}
}

// rotation is secrets whose files change.
type rotation struct {
	t         *testing.T
	cert, key string
	log       bytes.Buffer
	cfg       Config
}

func newRotation(t *testing.T) *rotation {
	dir := t.TempDir()
	r := &rotation{t: t, cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	r.cfg = Config{Cert: r.cert, Key: r.key, Logger: slog.New(slog.NewTextHandler(&r.log, nil))}
	return r
}

func (r *rotation) open() (*secrets, error) {
	s := &secrets{cfg: r.cfg, now: func() time.Time { return noon }, told: make(map[string]string), unfit: make(map[string]string)}
	var err error
	s.stamp = s.stampOf()
	s.tls, s.ends, err = s.load()
	return s, err
}

func TestHalfARotationLeavesThePairBeforeInForce(t *testing.T) {
	r := newRotation(t)
	r.write(r.cert, r.key, noon.Add(-time.Hour), noon.Add(90*24*time.Hour))
	s, err := r.open()
	if err != nil {
		t.Fatal(err)
	}
	first := s.config().Certificates[0].Leaf
	r.write("", r.key, noon, noon) // its certificate is still to come
	for range 3 {
		if got := s.config().Certificates[0].Leaf; !got.Equal(first) {
			t.Error("half a pair is used")
		}
	}
	if n := strings.Count(r.log.String(), "cannot be used"); n != 1 {
		t.Errorf("told %d times of one half: %s", n, &r.log)
	}
	r.write(r.cert, r.key, noon.Add(-time.Minute), noon.Add(time.Hour))
	if got := s.config().Certificates[0].Leaf; got.Equal(first) {
		t.Error("the new pair is not used")
	}
	if got := s.certificates(); len(got) != 1 || got[0].File != r.cert || !got[0].NotAfter.Equal(noon.Add(time.Hour)) {
		t.Errorf("certificates %+v", got)
	}
	if log := r.log.String(); !strings.Contains(log, "were read anew") || strings.Contains(log, "ends soon") {
		t.Errorf("log %s", log)
	}
}

func TestCertificateThatNoMemberWouldTakeIsRefusedWithTheRemedy(t *testing.T) {
	for want, life := range map[string][2]time.Time{
		"has ended at 2026-06-01T11:00:00Z: renew it":                                                        {noon.Add(-2 * time.Hour), noon.Add(-time.Hour)},
		"is not valid before 2026-06-01T13:00:00Z, and it is 2026-06-01T12:00:00Z: wait, or set this host's": {noon.Add(time.Hour), noon.Add(2 * time.Hour)},
	} {
		r := newRotation(t)
		r.write(r.cert, r.key, life[0], life[1])
		if _, err := r.open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestCertificateIsWarnedOfBeforeItsEndOnce(t *testing.T) {
	for name, c := range map[string]struct {
		from, to time.Time
		warned   bool
	}{
		"long":         {noon.Add(-60 * 24 * time.Hour), noon.Add(30 * time.Hour), false},
		"its last day": {noon.Add(-60 * 24 * time.Hour), noon.Add(23 * time.Hour), true},
		"short":        {noon.Add(-time.Hour), noon.Add(time.Hour), false},
		"at its end":   {noon.Add(-time.Hour), noon.Add(5 * time.Minute), true},
	} {
		r := newRotation(t)
		r.write(r.cert, r.key, c.from, c.to)
		s, err := r.open()
		if err != nil {
			t.Fatal(err)
		}
		s.config()
		s.certificates()
		if n := strings.Count(r.log.String(), "ends soon"); n != map[bool]int{true: 1}[c.warned] {
			t.Errorf("%s: warned %d times: %s", name, n, &r.log)
		}
	}
}
