package webconfig

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
)

// file is what a file says.
type file struct {
	TLS  tlsPart `yaml:"tls_server_config"`
	HTTP struct {
		HTTP2   *bool             `yaml:"http2"` // nil: yes
		Headers map[string]string `yaml:"headers"`
	} `yaml:"http_server_config"`
	Users map[string]string `yaml:"basic_auth_users"` // the hash of each one's password, as bcrypt makes it
}

// tlsPart is how connections are encrypted. Relative paths begin at the file's own directory.
type tlsPart struct {
	Cert         string   `yaml:"cert_file"`
	Key          string   `yaml:"key_file"`
	ClientCA     string   `yaml:"client_ca_file"`
	ClientAuth   string   `yaml:"client_auth_type"`
	AllowedSANs  []string `yaml:"client_allowed_sans"`
	MinVersion   string   `yaml:"min_version"`
	MaxVersion   string   `yaml:"max_version"`
	CipherSuites []string `yaml:"cipher_suites"`
	Ignored      bool     `yaml:"prefer_server_cipher_suites"` // Go chooses by itself
}

// read reads a file and checks what it says, but for the files that it names.
func read(path string) (*file, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &file{}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(f); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " ")) // in one line
	}
	for name, value := range f.HTTP.Headers {
		if err := checkHeader(name, value); err != nil {
			return nil, err
		}
	}
	for user, hash := range f.Users {
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return nil, fmt.Errorf("basic_auth_users: what stands for %q is no hash of bcrypt: make one with htpasswd -nBC 10 %s", user, user)
		}
	}
	for _, name := range []*string{&f.TLS.Cert, &f.TLS.Key, &f.TLS.ClientCA} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(filepath.Dir(path), *name)
		}
	}
	return f, nil
}

// headers are those that may be set, and their values; none: any.
var headers = map[string][]string{
	"Strict-Transport-Security": nil,
	"X-Content-Type-Options":    {"nosniff"},
	"X-Frame-Options":           {"deny", "sameorigin"},
	"X-XSS-Protection":          nil,
	"Content-Security-Policy":   nil,
}

func checkHeader(name, value string) error {
	values, known := headers[name]
	switch {
	case !known:
		return fmt.Errorf("headers: %q cannot be set", name)
	case values != nil && !slices.Contains(values, value):
		return fmt.Errorf("headers: %s is %q: write %s", name, value, strings.Join(values, " or "))
	case strings.ContainsAny(value, "\r\n\x00"):
		return fmt.Errorf("headers: %s has a line break: remove it", name)
	}
	return nil
}

// versions are the names of TLS' versions. Older ones are not offered.
var versions = map[string]uint16{"TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13}

// clientAuth are the ways to treat a client's certificate.
var clientAuth = map[string]tls.ClientAuthType{
	"":                           tls.NoClientCert,
	"NoClientCert":               tls.NoClientCert,
	"RequestClientCert":          tls.RequestClientCert,
	"RequireAnyClientCert":       tls.RequireAnyClientCert,
	"VerifyClientCertIfGiven":    tls.VerifyClientCertIfGiven,
	"RequireAndVerifyClientCert": tls.RequireAndVerifyClientCert,
}

// config reads the certificates and keys; nil: there is to be no TLS.
func (f *file) config() (*tls.Config, error) {
	p := f.TLS
	if p.Cert == "" && p.Key == "" && p.ClientCA == "" && p.ClientAuth == "" && p.AllowedSANs == nil {
		return nil, nil
	}
	if p.Cert == "" || p.Key == "" {
		return nil, errors.New("tls_server_config: name both cert_file and key_file")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if f.HTTP.HTTP2 != nil && !*f.HTTP.HTTP2 {
		c.NextProtos = c.NextProtos[1:]
	}
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, fmt.Errorf("tls_server_config: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	if err := p.limit(c); err != nil {
		return nil, err
	}
	if err := p.askClients(c); err != nil {
		return nil, err
	}
	return c, nil
}

// limit sets versions and cipher suites.
func (p tlsPart) limit(c *tls.Config) error {
	for _, end := range []struct {
		name string
		to   *uint16
	}{{p.MinVersion, &c.MinVersion}, {p.MaxVersion, &c.MaxVersion}} {
		if end.name == "" {
			continue
		}
		v, known := versions[end.name]
		if !known {
			return fmt.Errorf("tls_server_config: %q is no version: write TLS12 or TLS13", end.name)
		}
		*end.to = v
	}
	if c.MaxVersion != 0 && c.MaxVersion < c.MinVersion {
		return fmt.Errorf("tls_server_config: min_version is %s and max_version %s: nothing is between them", p.MinVersion, p.MaxVersion)
	}
	for _, name := range p.CipherSuites {
		i := slices.IndexFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool { return s.Name == name })
		if i < 0 {
			return fmt.Errorf("tls_server_config: %q is no cipher suite that can be relied on: leave it out", name)
		}
		c.CipherSuites = append(c.CipherSuites, tls.CipherSuites()[i].ID)
	}
	return nil
}

// askClients sets what is asked of clients.
func (p tlsPart) askClients(c *tls.Config) error {
	kind, known := clientAuth[p.ClientAuth]
	verifies := kind == tls.VerifyClientCertIfGiven || kind == tls.RequireAndVerifyClientCert
	switch {
	case !known:
		return fmt.Errorf("tls_server_config: client_auth_type %q is not known: write RequireAndVerifyClientCert", p.ClientAuth)
	case verifies != (p.ClientCA != ""):
		return errors.New("tls_server_config: client_ca_file is what client_auth_type RequireAndVerifyClientCert or VerifyClientCertIfGiven goes by: set both or neither")
	case p.AllowedSANs != nil && kind != tls.RequireAndVerifyClientCert:
		return errors.New("tls_server_config: client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
	}
	c.ClientAuth = kind
	if p.AllowedSANs != nil {
		c.VerifyConnection = p.allowed
	}
	if !verifies {
		return nil
	}
	bundle, err := os.ReadFile(p.ClientCA)
	if err != nil {
		return fmt.Errorf("tls_server_config: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(bundle) {
		return fmt.Errorf("tls_server_config: no certificate is in %q", p.ClientCA)
	}
	return nil
}

// allowed lets those in whose certificate has one of the names.
func (p tlsPart) allowed(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no client certificate")
	}
	cert := state.PeerCertificates[0]
	names := slices.Concat(cert.DNSNames, cert.EmailAddresses)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	for _, uri := range cert.URIs {
		names = append(names, uri.String())
	}
	for _, name := range names {
		if slices.Contains(p.AllowedSANs, name) {
			return nil
		}
	}
	return errors.New("no name of the client's certificate is in client_allowed_sans")
}
