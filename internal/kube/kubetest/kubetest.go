// Package kubetest is an API server for tests of what asks one: GET and PATCH of EndpointSlices and Pods over TLS, with
// bearer tokens, roles, resource versions, strict field validation and the refusals of the real one.
package kubetest

import (
	"context"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Rule lets a user do something, as a Role and its binding do.
type Rule struct {
	User     string
	Verbs    []string // get, patch
	Resource string   // endpointslices or pods
	Names    []string // nil: all
}

// Call is a request that has been answered.
type Call struct {
	User, Verb, Path string
	Code             int
}

// Server is an API server. Its methods may be called concurrently.
type Server struct {
	tb      testing.TB
	address string

	mu      sync.Mutex // guards the fields below; never held while a gate is asked
	http    *httptest.Server
	objects map[string]map[string]any // by path
	version int
	users   map[string]string // by token
	rules   []Rule
	gate    func(Call) int
	calls   []Call
	changed chan struct{} // closed when an object or calls change
}

// New starts a server that ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{tb: tb, address: "127.0.0.1:0", objects: make(map[string]map[string]any), users: make(map[string]string), changed: make(chan struct{})}
	s.Back()
	tb.Cleanup(s.Away)
	return s
}

// URL is where it listens.
func (s *Server) URL() string { return "https://" + s.address }

// Away stops listening and cuts all connections.
func (s *Server) Away() {
	s.mu.Lock()
	server := s.http
	s.http = nil
	s.mu.Unlock()
	if server != nil {
		server.CloseClientConnections()
		server.Close()
	}
}

// Back listens again, at the same address.
func (s *Server) Back() {
	s.tb.Helper()
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		s.tb.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s)
	_ = server.Listener.Close()
	server.Listener = l
	server.Config.ErrorLog = nil
	server.StartTLS()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.http, s.address = server, l.Addr().String()
}

// Credentials writes the files of a user's service account into a new folder and returns that.
func (s *Server) Credentials(user string) string {
	s.tb.Helper()
	dir := s.tb.TempDir()
	s.mu.Lock()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	s.mu.Unlock()
	s.write(dir, "ca.crt", string(authority))
	s.write(dir, "namespace", "shop")
	s.Renew(dir, user)
	return dir
}

// Renew gives a user another token, as the kubelet does, and has the one before expire.
func (s *Server) Renew(dir, user string) {
	s.tb.Helper()
	s.mu.Lock()
	s.version++
	token := fmt.Sprintf("%s.%d", user, s.version)
	maps.DeleteFunc(s.users, func(_, u string) bool { return u == user })
	s.users[token] = user
	s.mu.Unlock()
	s.write(dir, "token", token)
}

// Expire has the token of a user be of no use any more.
func (s *Server) Expire(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.users, func(_, u string) bool { return u == user })
}

func (s *Server) write(dir, file, text string) {
	s.tb.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		s.tb.Fatal(err)
	}
}

// Allow has these rules and no others be in force.
func (s *Server) Allow(rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = rules
}

// Gate has a function be asked before each permitted request is served. It may block; a status but 0 is the answer.
func (s *Server) Gate(gate func(Call) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

// Create makes an object, or replaces it as somebody does who asks nobody.
func (s *Server) Create(path string, o map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(path, clone(o).(map[string]any))
}

// Delete removes an object.
func (s *Server) Delete(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, path)
	s.tell()
}

// Object returns an object as it is; nil: there is none.
func (s *Server) Object(path string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[path] == nil {
		return nil
	}
	return clone(s.objects[path]).(map[string]any)
}

// Calls returns what has been answered so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Await blocks until a condition holds, which is looked at after each change and answer. It fails the test if ctx ends
// before, or a minute has passed.
func (s *Server) Await(ctx context.Context, what string, holds func() bool) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.tb.Fatalf("%s did not happen; answered: %+v", what, s.Calls())
		}
	}
}

// keep stores an object as a new version. The caller has the lock.
func (s *Server) keep(path string, o map[string]any) {
	s.version++
	meta, _ := o["metadata"].(map[string]any)
	if meta == nil {
		meta = make(map[string]any)
		o["metadata"] = meta
	}
	meta["resourceVersion"] = strconv.Itoa(s.version)
	s.objects[path] = o
	s.tell()
}

// tell wakes whoever waits. The caller has the lock.
func (s *Server) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call, refusal := s.admit(r)
	if refusal == nil {
		s.mu.Lock()
		gate := s.gate
		s.mu.Unlock()
		if gate != nil {
			if code := gate(call); code != 0 {
				refusal = &status{Code: code, Reason: http.StatusText(code), Message: "the test says no"}
			}
		}
	}
	var reply any
	s.mu.Lock()
	if refusal == nil {
		reply, refusal = s.serve(call, r)
	}
	call.Code = http.StatusOK
	if refusal != nil {
		refusal.Kind, refusal.APIVersion, refusal.Status = "Status", "v1", "Failure"
		call.Code, reply = refusal.Code, refusal
	}
	text := encode(reply)
	s.calls = append(s.calls, call)
	s.tell()
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(call.Code)
	_, _ = w.Write(text)
}
