package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/kube/kubetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 30 * time.Second
	cluster  = 0xc1
)

// fake is an elector that leads while it has a token.
type fake struct {
	token   atomic.Int64
	workEnd atomic.Int64 // 0: in an hour
}

func (f *fake) Look() election.Answer {
	token := f.token.Load()
	return election.Answer{State: election.State{Token: token}, Leading: token != 0}
}

func (f *fake) WorkEnd() election.Instant {
	if end := f.workEnd.Load(); end != 0 {
		return election.Instant(end)
	}
	return clock{}.Now().Add(time.Hour)
}

type clock struct{}

func (clock) Now() election.Instant { return election.Instant(time.Now().UnixNano()) }

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// String is all of it.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// line is what is looked at of a line of the log.
type line struct{ Level, Msg, Err string }

func (j *journal) lines() []line {
	var all []line
	for text := range strings.Lines(j.String()) {
		var l line
		if json.Unmarshal([]byte(text), &l) == nil {
			all = append(all, l)
		}
	}
	return all
}

// await waits until a line holds a text in its message or its error.
func (j *journal) await(t *testing.T, text string) {
	t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		for _, l := range j.lines() {
			if strings.Contains(l.Msg+l.Err, text) {
				return
			}
		}
		select {
		case <-time.After(5 * time.Millisecond): // a log has no event to wait for
		case <-t.Context().Done():
		}
	}
	t.Fatalf("the log never says %q: %+v", text, j.lines())
}

// rig is one pod's Kube at an API server.
type rig struct {
	*Kube
	t       *testing.T
	pod     string
	server  *kubetest.Server
	elector *fake
	log     *journal
	dir     string // of the credentials
}

const slicePath = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/mail"

// newServer has the slice and two pods, whose account may do what their role says.
func newServer(t *testing.T) *kubetest.Server {
	s := kubetest.New(t)
	s.Create(slicePath, kubetest.Slice("mail", "shop/mail"))
	for _, pod := range []string{"w1", "w2"} {
		s.Create(kubetest.PodPath(pod), kubetest.Pod(pod))
	}
	s.Allow(role()...)
	return s
}

// role is what the documents have whoever uses the two grant.
func role() (rules []kubetest.Rule) {
	for _, user := range []string{"w1", "w2"} {
		rules = append(rules, kubetest.Rule{User: user, Verbs: []string{"get", "patch"}, Resource: "endpointslices", Names: []string{"mail"}},
			kubetest.Rule{User: user, Verbs: []string{"patch"}, Resource: "pods"})
	}
	return rules
}

// addressOf is a pod's.
var addressOf = map[string]string{"w1": "10.0.0.1", "w2": "10.0.0.2"}

// newRig runs a pod's Kube until the test ends.
func newRig(t *testing.T, s *kubetest.Server, pod string, change func(*Config)) *rig {
	t.Helper()
	r := still(t, s, pod, change)
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ended)
	}()
	t.Cleanup(func() {
		close(ended)
		<-done
	})
	return r
}

// still is a rig that does not run.
func still(t *testing.T, s *kubetest.Server, pod string, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, pod: pod, server: s, elector: &fake{}, log: &journal{}, dir: s.Credentials(pod)}
	cfg := Config{
		Service: "mail", API: s.URL(), Credentials: r.dir, Env: []string{"POD_NAME=" + pod, "POD_IPS=" + addressOf[pod] + ",fd00::1"},
		Election: "shop/mail", Elector: r.elector, Cluster: func() uint64 { return cluster }, Clock: clock{},
		Logger: slog.New(slog.NewJSONHandler(r.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if r.Kube, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

// lead begins a term. Its end is what is returned, and blocks for as long as the term's work does.
func (r *rig) lead(token int64) (end func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r.elector.token.Store(token)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Lead(ctx, election.Term{Token: token})
	}()
	end = sync.OnceFunc(func() {
		r.elector.token.Store(0)
		cancel(&election.CauseError{Cause: election.CauseResigned})
		<-done
	})
	r.t.Cleanup(end)
	return end
}

// endpoints returns the addresses in the slice and the token that it bears.
func endpoints(s *kubetest.Server) (addresses []string, token string) {
	o := s.Object(slicePath)
	list, _ := o["endpoints"].([]any)
	for _, e := range list {
		for _, a := range e.(map[string]any)["addresses"].([]any) {
			addresses = append(addresses, a.(string))
		}
	}
	meta, _ := o["metadata"].(map[string]any)
	marks, _ := meta["annotations"].(map[string]any)
	token, _ = marks["elector.dev/token"].(string)
	return addresses, token
}

// says reports whether the slice has one address, or none, and a token.
func says(s *kubetest.Server, token string, want ...string) bool {
	addresses, bears := endpoints(s)
	return bears == token && reflect.DeepEqual(addresses, want)
}

// await waits until the slice says so.
func (r *rig) await(token string, want ...string) {
	r.t.Helper()
	r.server.Await(r.t.Context(), "the slice with token "+token, func() bool { return says(r.server, token, want...) })
}

// labels returns a pod's.
func labels(s *kubetest.Server, pod string) map[string]any {
	return s.Object(kubetest.PodPath(pod))["metadata"].(map[string]any)["labels"].(map[string]any)
}
