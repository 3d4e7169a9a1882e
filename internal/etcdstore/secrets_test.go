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
	"testing/synctest"
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
	if log := r.log.String(); strings.Count(log, "were read anew") != 1 || strings.Contains(log, "ends soon") {
		t.Errorf("log %s", log)
	}
}

func TestWhoAsksIsToldAgainWhatCannotBeUsed(t *testing.T) {
	r := newRotation(t)
	r.cfg.CACert, r.cfg.Cert, r.cfg.Key = r.cert, "", ""
	r.cfg.PasswordFile = filepath.Join(t.TempDir(), "password")
	r.put(r.cfg.PasswordFile, "one\n")
	r.write(r.cert, r.key, noon, noon.Add(time.Hour))
	s, err := newSecrets(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s.config(); strings.Contains(r.log.String(), "were read anew") {
		t.Errorf("what was read as it began is read anew: %s", &r.log)
	}
	s.reread()
	if n := strings.Count(r.log.String(), "were read anew"); n != 1 || len(s.news) != 1 {
		t.Errorf("read anew %d times, news for who attends: %d: %s", n, len(s.news), &r.log)
	}
	for _, file := range []string{r.cert, r.cfg.PasswordFile} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	look := func() { s.look() }
	backAndAway := func() {
		r.write(r.cert, r.key, noon, noon.Add(time.Hour))
		r.put(r.cfg.PasswordFile, "two\n")
		look()
		for _, file := range []string{r.cert, r.cfg.PasswordFile} {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		look()
	}
	for step, do := range []func(){look, look, (&Store{secrets: s}).Reread, look, backAndAway} {
		do()
		want := 1 + step/2
		for _, says := range []string{"certificates for etcd cannot be used", "password for etcd cannot be read anew"} {
			if n := strings.Count(r.log.String(), says); n != want {
				t.Errorf("step %d: told %d times that %s, want %d: %s", step, n, says, want, &r.log)
			}
		}
	}
}

// A file that replaces another may be as long, and as old where times are coarse or are kept.
func TestAFileOfTheSameSizeAndTimeIsAnother(t *testing.T) {
	r := newRotation(t)
	r.put(r.key, "")
	was := ""
	for _, text := range []string{"one", "two"} {
		r.put(r.cert, text)
		if err := os.Chtimes(r.cert, noon, noon); err != nil {
			t.Fatal(err)
		}
		now := (&secrets{cfg: r.cfg}).stampOf()
		if now == was {
			t.Errorf("both are %s", now)
		}
		was = now
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

// put writes a file in the place of another one.
func (r *rotation) put(file, text string) {
	r.t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		r.t.Fatal(err)
	}
}

func TestWhatKeepsFilesFromBeingUsedIsToldUntilTheyCanBe(t *testing.T) {
	r := newRotation(t)
	r.cfg.PasswordFile = filepath.Join(t.TempDir(), "password")
	r.put(r.cfg.PasswordFile, "one\n")
	good := func() { r.write(r.cert, r.key, noon.Add(-time.Hour), noon.Add(90*24*time.Hour)) }
	good()
	s, err := r.open()
	if err != nil {
		t.Fatal(err)
	}
	s.news = make(chan struct{}, 1)
	now := noon
	s.now = func() time.Time { return now }
	for _, step := range []struct {
		what     string
		do       func()
		says     string
		hint     bool // whoever attends is to look
		password string
	}{
		{"nothing", func() {}, "", false, "one"},
		{"a clock that is set past the end", func() { now = noon.Add(91 * 24 * time.Hour) }, "the client certificate in use cannot be used any more", true, "one"},
		{"the clock set right", func() { now = noon }, "", true, "one"},
		{"half a pair", func() { r.write("", r.key, noon, noon) }, "new certificates for etcd cannot be used", true, "one"},
		{"still half", func() {}, "new certificates for etcd cannot be used", false, "one"},
		{"a pair", good, "", true, "one"},
		{"another password", func() { r.put(r.cfg.PasswordFile, "two\n") }, "", false, "two"},
		{"no password", func() {
			if err := os.Remove(r.cfg.PasswordFile); err != nil {
				t.Fatal(err)
			}
		}, "the password for etcd cannot be read anew", true, "two"},
		{"a password again", func() { r.put(r.cfg.PasswordFile, "three") }, "", true, "three"},
	} {
		step.do()
		says := s.look()
		if step.says == "" && says != "" || !strings.Contains(says, step.says) {
			t.Errorf("%s: %q, want %q", step.what, says, step.says)
		}
		if got := s.pass(); got != step.password {
			t.Errorf("%s: the password is %q, want %q", step.what, got, step.password)
		}
		hint := false
		select {
		case <-s.news:
			hint = true
		default:
		}
		if hint != step.hint {
			t.Errorf("%s: a hint %v, want %v", step.what, hint, step.hint)
		}
	}
}

func TestABundlesLifeIsThatOfTheCertificateThatEndsLast(t *testing.T) {
	r := newRotation(t)
	r.write(r.cert, r.key, noon.Add(-time.Hour), noon.Add(90*24*time.Hour))
	old, next := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "new")
	from, to := noon.Add(-time.Minute), noon.Add(60*24*time.Hour)
	r.write(old, "", noon.Add(-time.Hour), noon.Add(time.Hour))
	r.write(next, "", from, to)
	var both [2]string
	for i, file := range []string{old, next} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		both[i] = string(text)
	}
	r.cfg.CACert = filepath.Join(t.TempDir(), "ca")
	key, err := os.ReadFile(r.key) // which is no certificate
	if err != nil {
		t.Fatal(err)
	}
	for _, bundle := range []string{both[0] + both[1], both[1] + both[0], both[0] + string(key) + both[1]} {
		if begins, ends := lastOf([]byte(bundle)); !begins.Equal(from) || !ends.Equal(to) {
			t.Errorf("from %v to %v, want %v and %v", begins, ends, from, to)
		}
		r.put(r.cfg.CACert, bundle)
		s, err := r.open()
		if err != nil {
			t.Fatal(err)
		}
		_ = s.certificates() // whoever asks once may ask again
		if got := s.certificates(); len(got) != 2 || got[0].File != r.cfg.CACert || !got[0].NotAfter.Equal(to) || got[1].File != r.cert {
			t.Errorf("certificates %+v", got)
		}
		r.put(r.cfg.CACert, both[0])
		if got := (&Store{secrets: s}).Certificates(); !got[0].NotAfter.Equal(noon.Add(time.Hour)) {
			t.Errorf("those before are told of: %+v", got)
		}
	}
	if _, err := readFile("etcd-cacert", r.cfg.CACert+"/in-a-file"); err == nil || !strings.Contains(err.Error(), "look at its disk") {
		t.Errorf("a file in a file: %v", err)
	}
	for _, missing := range []struct{ setting, file string }{{"--etcd-key", r.key}, {"--etcd-cert", r.cert}} {
		if err := os.Remove(missing.file); err != nil {
			t.Fatal(err)
		}
		if _, err := r.open(); err == nil || !strings.Contains(err.Error(), missing.setting) || !strings.Contains(err.Error(), "put it there, or name another") {
			t.Errorf("without the file of %s: %v", missing.setting, err)
		}
	}
	if err := os.Mkdir(r.cert, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.open(); err == nil || !strings.Contains(err.Error(), "name a file in it") {
		t.Errorf("with a folder for a certificate: %v", err)
	}
}

func TestFilesAreLookedAtMoreOftenWhileSomethingIsAmissWithThem(t *testing.T) {
	r := newRotation(t)
	good := func() { r.write(r.cert, r.key, noon.Add(-time.Hour), noon.Add(90*24*time.Hour)) }
	good()
	synctest.Test(t, func(t *testing.T) {
		secrets, err := r.open()
		if err != nil {
			t.Fatal(err)
		}
		secrets.news = make(chan struct{}, 1)
		s := &Store{cfg: r.cfg, secrets: secrets}
		ended, done := make(chan struct{}), make(chan struct{})
		told := make(chan string, 9)
		go func() {
			defer close(done)
			s.Attend(ended, func(why string) { told <- why })
		}()
		synctest.Wait()
		for i, step := range []struct {
			do    func()
			after time.Duration
			says  string
		}{
			{func() { r.write("", r.key, noon, noon) }, attendEvery, "cannot be used"}, {good, attendTrouble, ""},
			{func() { r.write("", r.key, noon, noon) }, attendEvery, "cannot be used"},
		} {
			step.do()
			time.Sleep(step.after - time.Millisecond)
			synctest.Wait()
			if len(told) != 0 {
				t.Fatalf("step %d: told too soon: %q", i, <-told)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if len(told) != 1 {
				t.Fatalf("step %d: told %d times", i, len(told))
			}
			if says := <-told; step.says == "" && says != "" || !strings.Contains(says, step.says) {
				t.Errorf("step %d: told %q, want %q", i, says, step.says)
			}
			time.Sleep(time.Nanosecond) // the look that the hint asks for is over
			synctest.Wait()
		}
		good()
		secrets.hint()
		synctest.Wait()
		if len(told) != 1 {
			t.Error("a hint is not followed at once")
		}
		close(ended)
		<-done
	})
}
