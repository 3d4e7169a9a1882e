package etcdstore

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// secrets are the files that etcd is reached with. Whoever rotates them replaces the files: each handshake and each
// authentication takes what they hold by then. Files that cannot be used, as one half of a pair while the other is
// still to come, leave in force what was there before. Methods may be called concurrently.
type secrets struct {
	cfg  Config
	now  func() time.Time
	news chan struct{} // holds a value when unfit may have changed, and nobody has looked

	alert atomic.Pointer[string] // why a member has closed a connection; nil: one has been of use since

	mu       sync.Mutex // guards the fields below, while files are read
	tls      *tls.Config
	ends     []Certificate
	stamp    string // of the files that tls was made of
	password string
	told     map[string]string // by what it is about: the complaint that was made last
	unfit    map[string]string // of these, what keeps a file from being used, as a sentence
}

// Certificate is a file of certificates and when it is of no use any more: the latest end of those in it.
type Certificate struct {
	File     string
	NotAfter time.Time

	soon time.Time // from when on its end is warned of
}

// certificate is one that lives from a time to another. It is warned of a day before its end, or for the last tenth of a
// shorter life.
func certificate(file string, from, to time.Time) Certificate {
	return Certificate{File: file, NotAfter: to, soon: to.Add(-min(24*time.Hour, to.Sub(from)/10))}
}

// newSecrets reads the files. Its errors are sentences about the settings.
func newSecrets(cfg Config) (*secrets, error) {
	s := &secrets{cfg: cfg, now: time.Now, password: cfg.Password, told: make(map[string]string), unfit: make(map[string]string), news: make(chan struct{}, 1)}
	var err error
	s.stamp = s.stampOf()
	if s.tls, s.ends, err = s.load(); err != nil {
		return nil, err
	}
	if cfg.PasswordFile != "" {
		if s.password, err = readPassword(cfg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// config is what the next handshake goes by.
func (s *secrets) config() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	return s.tls
}

// certificates lists the files of certificates with their ends.
func (s *secrets) certificates() []Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	return s.ends
}

// reread reads all files anew, and says again what cannot be used.
func (s *secrets) reread() {
	s.mu.Lock()
	s.stamp = ""
	clear(s.told)
	s.refresh()
	s.mu.Unlock()
	s.pass()
	s.hint()
}

// hint has whoever attends look now.
func (s *secrets) hint() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// files reports whether there are any.
func (s *secrets) files() bool {
	return s.cfg.PasswordFile+s.cfg.CACert+s.cfg.Cert+s.cfg.Key != ""
}

// look reads what has changed, and returns what keeps files from being used; empty when all can be.
func (s *secrets) look() string {
	s.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
	if err := s.ended(); err != nil {
		s.refuse(aboutTime, "the client certificate in use cannot be used any more", err)
	} else {
		s.accept(aboutTime)
	}
	var all []string
	for _, about := range slices.Sorted(maps.Keys(s.unfit)) {
		all = append(all, s.unfit[about])
	}
	return strings.Join(all, "; ")
}

// ended says that the client certificate in force is not valid now; nil: it is, or there is none. It wants mu held.
func (s *secrets) ended() error {
	if c := s.tls.Certificates; len(c) > 0 {
		return valid(s.cfg.Cert, c[0].Leaf, s.now())
	}
	return nil
}

// commonName is that of the client certificate; empty without one.
func (s *secrets) commonName() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.tls.Certificates; len(c) > 0 {
		return c[0].Leaf.Subject.CommonName
	}
	return ""
}

// outOfTime is ended for who does not hold mu.
func (s *secrets) outOfTime() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended()
}

// refresh reads the files anew if they have changed, and tells of what that brings. It wants mu held.
func (s *secrets) refresh() {
	if stamp := s.stampOf(); stamp != s.stamp {
		t, ends, err := s.load()
		if err != nil {
			s.refuse(aboutCertificates, "new certificates for etcd cannot be used; going on with those before", err)
		} else {
			s.tls, s.ends, s.stamp = t, ends, stamp
			s.accept(aboutCertificates)
			s.cfg.Logger.Info("certificates for etcd were read anew")
		}
	}
	for _, c := range s.ends {
		if s.now().After(c.soon) {
			s.complain(c.File, "a certificate for etcd ends soon: renew it", fmt.Errorf("%s ends at %s", c.File, c.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
}

// What is complained about, besides files by their names.
const (
	aboutCertificates = "certificates"
	aboutPassword     = "password"
	aboutTime         = "time"
)

// refuse complains of a file that cannot be used. It wants mu held.
func (s *secrets) refuse(about, msg string, err error) {
	s.complain(about, msg, err)
	if why := msg + ": " + err.Error(); s.unfit[about] != why {
		s.unfit[about] = why
		s.hint()
	}
}

// accept takes that back. It wants mu held.
func (s *secrets) accept(about string) {
	delete(s.told, about)
	if s.unfit[about] != "" {
		delete(s.unfit, about)
		s.hint()
	}
}

// complain warns of something once, until it is another thing.
func (s *secrets) complain(about, msg string, err error) {
	if s.told[about] != err.Error() {
		s.told[about] = err.Error()
		s.cfg.Logger.Warn(msg, "err", err)
	}
}

// stampOf tells the files from others in their place. A link that is swapped leads to another file.
func (s *secrets) stampOf() string {
	var b strings.Builder
	for _, file := range []string{s.cfg.CACert, s.cfg.Cert, s.cfg.Key} {
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintf(&b, "%v;", err)
			continue
		}
		fmt.Fprintf(&b, "%d,%d,%s;", info.Size(), info.ModTime().UnixNano(), inode(info))
	}
	return b.String()
}

// load makes the configuration of handshakes from the files.
func (s *secrets) load() (*tls.Config, []Certificate, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	var ends []Certificate
	if file := s.cfg.CACert; file != "" {
		text, err := readFile("etcd-cacert", file)
		if err != nil {
			return nil, nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return nil, nil, fmt.Errorf("--etcd-cacert %q holds no certificate in PEM form: put the authority that signs the members' certificates into it", file)
		}
		from, to := lastOf(text)
		ends = append(ends, certificate(file, from, to))
	}
	if s.cfg.Cert != "" || s.cfg.Key != "" {
		cert, err := readFile("etcd-cert", s.cfg.Cert)
		if err != nil {
			return nil, nil, err
		}
		key, err := readFile("etcd-key", s.cfg.Key)
		if err != nil {
			return nil, nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, nil, fmt.Errorf("--etcd-cert %q and --etcd-key %q are not a pair: put in a certificate and the key that it was made for, in PEM form (%w)", s.cfg.Cert, s.cfg.Key, err)
		}
		if err := valid(s.cfg.Cert, pair.Leaf, s.now()); err != nil {
			return nil, nil, err
		}
		t.Certificates = []tls.Certificate{pair}
		ends = append(ends, certificate(s.cfg.Cert, pair.Leaf.NotBefore, pair.Leaf.NotAfter))
	}
	return t, ends, nil
}

// valid refuses a client certificate that no member would take.
func valid(file string, leaf *x509.Certificate, now time.Time) error {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("--etcd-cert %q has ended at %s: renew it", file, at(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("--etcd-cert %q is not valid before %s, and it is %s: wait, or set this host's clock", file, at(leaf.NotBefore), at(now))
	}
	return nil
}

// lastOf is the life of that certificate in a bundle, which may hold old and new ones, that ends last.
func lastOf(bundle []byte) (from, to time.Time) {
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			return from, to
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && c.NotAfter.After(to) {
			from, to = c.NotBefore, c.NotAfter
		}
	}
}

// pass is the password of the next authentication.
func (s *secrets) pass() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.PasswordFile == "" {
		return s.password
	}
	p, err := readPassword(s.cfg)
	if err != nil {
		s.refuse(aboutPassword, "the password for etcd cannot be read anew; going on with the one before", err)
		return s.password
	}
	s.accept(aboutPassword)
	s.password = p
	return p
}

// readFile reads the file of a setting. The error says what to do.
func readFile(setting, path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return b, nil
	}
	remedy := "look at its disk"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		remedy = "put it there, or name another"
	case errors.Is(err, fs.ErrPermission):
		remedy = "let the user that elector runs as read it"
	case errors.Is(err, syscall.EISDIR):
		remedy = "name a file in it"
	}
	cause := err
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		cause = p.Err
	}
	return nil, fmt.Errorf("--%s %q cannot be read: %w: %s", setting, path, cause, remedy)
}

func readPassword(cfg Config) (string, error) {
	b, err := readFile("etcd-password-file", cfg.PasswordFile)
	if err != nil {
		return "", err
	}
	p := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if p == "" {
		return "", fmt.Errorf("--etcd-password-file %q is empty: put the password of user %q into it", cfg.PasswordFile, cfg.User)
	}
	return p, nil
}
