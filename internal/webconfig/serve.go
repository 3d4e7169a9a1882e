package webconfig

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/elector-dev/elector/internal/crash"
)

// Check reads a file and the certificates that it names, and returns what is wrong as the end of a sentence.
func Check(path string) error {
	f, err := read(path)
	if err != nil {
		return err
	}
	_, err = f.config()
	return err
}

// Serve serves on l as the file says, which Check has found good, until the server is shut down or closed; its errors are
// those of http.Server.Serve. The file is read anew for each request, and for each connection with the files that it
// names; whether there is TLS at all is settled at the start. While it is wrong nobody gets in, and the log says why.
func Serve(server *http.Server, l net.Listener, path string, log *slog.Logger) error {
	f, err := read(path)
	if err != nil {
		return err
	}
	config, err := f.config()
	if err != nil {
		return err
	}
	server.Handler = crash.Handler(newDoor(path, server.Handler, log))
	if config == nil {
		return server.Serve(l)
	}
	if len(config.NextProtos) == 1 {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no HTTP/2
	}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		defer crash.OnPanic() // net/http would go on
		f, err := read(path)
		if err != nil {
			return nil, err
		}
		now, err := f.config()
		if now == nil && err == nil {
			err = fmt.Errorf("%q has no TLS any more: restart the elector", path)
		}
		if err != nil {
			return nil, err
		}
		now.NextProtos = config.NextProtos
		return now, nil
	}
	server.TLSConfig = config
	return server.ServeTLS(l, "", "")
}

// door lets requests in that bring the right password.
type door struct {
	path string
	next http.Handler
	log  *slog.Logger
	key  []byte        // of the digests
	busy chan struct{} // holds a token while a password is checked, which takes a processor for long

	mu    sync.Mutex                 // guards known, for one look
	known map[[sha256.Size]byte]bool // digests of what was right
}

// knownMost is how many digests are kept.
const knownMost = 100

func newDoor(path string, next http.Handler, log *slog.Logger) *door {
	d := &door{path: path, next: next, log: log, key: make([]byte, sha256.Size), busy: make(chan struct{}, 1), known: map[[sha256.Size]byte]bool{}}
	_, _ = rand.Read(d.key) // never fails
	return d
}

// ServeHTTP implements http.Handler.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, err := read(d.path)
	if err != nil {
		d.log.Error("--probe-http-web-config cannot be used, so nobody gets in: correct it", "file", d.path, "err", err)
		http.Error(w, "the server's configuration is wrong", http.StatusInternalServerError)
		return
	}
	for name, value := range f.HTTP.Headers {
		w.Header().Set(name, value)
	}
	if len(f.Users) > 0 && !d.admits(r, f.Users) {
		w.Header().Set("WWW-Authenticate", "Basic")
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	d.next.ServeHTTP(w, r)
}

// nobody is a hash that is compared for names that are not known, so that the time taken does not tell them apart.
const nobody = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"

// admits checks a request's password. It waits while others are checked, for as long as the request is wanted.
func (d *door) admits(r *http.Request, users map[string]string) bool {
	user, password, given := r.BasicAuth()
	if !given {
		return false
	}
	hash, known := users[user]
	if !known {
		hash = nobody
	}
	digest := d.digest(user, hash, password)
	if known && d.was(digest) {
		return true
	}
	select {
	case d.busy <- struct{}{}:
		defer func() { <-d.busy }()
	case <-r.Context().Done():
		return false
	}
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)); err != nil || !known {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= knownMost {
		clear(d.known)
	}
	d.known[digest] = true
	return true
}

// was reports whether the same was right before.
func (d *door) was(digest [sha256.Size]byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[digest]
}

// digest stands for a name and password without telling them to whoever reads the memory.
func (d *door) digest(parts ...string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, d.key)
	for _, part := range parts {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	mac.Sum(sum[:0])
	return sum
}
