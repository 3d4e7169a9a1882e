package devetcd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// TLSFiles are the paths of PEM files, made for one run and valid for a day.
type TLSFiles struct {
	CACert, CAKey         string
	ServerCert, ServerKey string // for localhost and the members' addresses
	ClientCert, ClientKey string
}

// ClientConfig reads the files and returns the configuration of a client that members let in.
func (f *TLSFiles) ClientConfig() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.ClientCert, f.ClientKey)
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	ca, err := os.ReadFile(f.CACert)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("read CA certificate: no certificate in " + f.CACert)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// NewTLSFiles makes a certificate authority and, signed by it, a server certificate for localhost and
// the given IP addresses and a client certificate with the given common name, all in dir.
func NewTLSFiles(dir, clientCN string, ips ...string) (*TLSFiles, error) {
	now := time.Now()
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "devetcd CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, SerialNumber: big.NewInt(1),
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	f := &TLSFiles{}
	caKey, err := issue(dir, "ca", ca, ca, nil, &f.CACert, &f.CAKey)
	if err != nil {
		return nil, err
	}
	server := &x509.Certificate{
		Subject: pkix.Name{CommonName: "etcd"}, SerialNumber: big.NewInt(2),
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"localhost"},
	}
	for _, ip := range append([]string{"127.0.0.1", "::1"}, ips...) {
		server.IPAddresses = append(server.IPAddresses, net.ParseIP(ip))
	}
	if _, err := issue(dir, "server", server, ca, caKey, &f.ServerCert, &f.ServerKey); err != nil {
		return nil, err
	}
	client := &x509.Certificate{
		Subject: pkix.Name{CommonName: clientCN}, SerialNumber: big.NewInt(3),
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if _, err := issue(dir, "client", client, ca, caKey, &f.ClientCert, &f.ClientKey); err != nil {
		return nil, err
	}
	return f, nil
}

// Issue has the authority of these files sign a certificate with the given common name and life, good for clients and
// for servers on the given IP addresses. It writes name.crt and name.key to dir and returns their paths.
func (f *TLSFiles) Issue(dir, name, cn string, from, to time.Time, ips ...string) (cert, key string, err error) {
	ca, err := tls.LoadX509KeyPair(f.CACert, f.CAKey)
	if err != nil {
		return "", "", fmt.Errorf("read the authority: %w", err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return "", "", err
	}
	signer, ok := ca.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return "", "", fmt.Errorf("%s holds a %T", f.CAKey, ca.PrivateKey)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: cn}, SerialNumber: serial, NotBefore: from, NotAfter: to,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, ip := range ips {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	_, err = issue(dir, name, template, ca.Leaf, signer, &cert, &key)
	return cert, key, err
}

// issue writes a new key and a certificate for it; without a signer the certificate signs itself.
func issue(dir, name string, tmpl, parent *x509.Certificate, signer *ecdsa.PrivateKey, certPath, keyPath *string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if signer == nil {
		signer = key
	}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("create %s certificate: %w", name, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	*certPath, *keyPath = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	return key, errors.Join(
		os.WriteFile(*certPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644),
		os.WriteFile(*keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
	)
}
