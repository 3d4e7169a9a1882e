package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/kube"
	"github.com/elector-dev/elector/internal/kube/kubetest"
)

// podAddress are those of the pods that electors of that identity are in.
var podAddress = map[string]string{"w1": "10.0.0.1", "w2": "10.0.0.2"}

// startKube has an API server with the slice mail of the test's election, and two pods whose electors are to tell it.
func startKube(t *testing.T) *kubetest.Server {
	s := kubetest.New(t)
	s.Create(kubetest.SlicePath("mail"), kubetest.Slice("mail", "default/e2e"))
	var rules []kubetest.Rule
	for pod := range podAddress {
		s.Create(kubetest.PodPath(pod), kubetest.Pod(pod))
		rules = append(rules, kubetest.Rule{User: pod, Verbs: []string{"get", "patch"}, Resource: "endpointslices", Names: []string{"mail"}},
			kubetest.Rule{User: pod, Verbs: []string{"patch"}, Resource: "pods", Names: []string{pod}})
	}
	s.Allow(rules...)
	return s
}

// startInPod starts an elector in a pod of its name.
func (e *etcd) startInPod(t *testing.T, s *kubetest.Server, id string) *process {
	t.Helper()
	pod := []string{"env", "POD_NAME=" + id, "POD_IPS=" + podAddress[id]}
	return e.startUnder(t, pod, id, "--kube-service=mail", "--kube-pod-label=role=leader,standby",
		"--kube-api="+s.URL(), "--kube-credentials="+s.Credentials(id))
}

// pointsTo reports whether the slice has one pod and bears a token.
func pointsTo(s *kubetest.Server, id string, token int64) bool {
	o := s.Object(kubetest.SlicePath("mail"))
	list, _ := o["endpoints"].([]any)
	marks := o["metadata"].(map[string]any)["annotations"].(map[string]any)
	return len(list) == 1 && list[0].(map[string]any)["addresses"].([]any)[0] == podAddress[id] &&
		marks["elector.dev/token"] == strconv.FormatInt(token, 10)
}

// roleOf is the label of a pod.
func roleOf(s *kubetest.Server, id string) any {
	return s.Object(kubetest.PodPath(id))["metadata"].(map[string]any)["labels"].(map[string]any)["role"]
}

func TestAServiceAndALabelFollowTheLeader(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	s := startKube(t)
	fleet := []*process{e.startInPod(t, s, "w1"), e.startInPod(t, s, "w2")}
	first, yes := leader(t, fleet...)
	second := others(fleet, first)[0]
	follow := func(l, f *process, token int64) {
		t.Helper()
		s.Await(t.Context(), l.id+" in the slice and in the labels", func() bool {
			return pointsTo(s, l.id, token) && roleOf(s, l.id) == "leader" && roleOf(s, f.id) == "standby"
		})
	}
	follow(first, second, yes.Token)
	second.await("following", "/status", follows)

	var emptied, early atomic.Int32 // writes of the end of the term, and those of them that the key was not there for
	s.Gate(func(c kubetest.Call) int {
		if c.User == first.id && c.Verb == "patch" && !first.get("/status").Leading {
			emptied.Add(1)
			found, err := e.client.Get(t.Context(), "/elector/default/e2e/", clientv3.WithFirstCreate()...)
			if err != nil || len(found.Kvs) != 1 || found.Kvs[0].CreateRevision != yes.Token {
				early.Add(1)
			}
		}
		return 0
	})
	_, err := first.ask().Resign(t.Context(), yes.Token, time.Minute)
	must(t, err)
	_, next := leader(t, second)
	follow(second, first, next.Token)
	if emptied.Load() < 2 || early.Load() != 0 {
		t.Errorf("%d writes ended the term at the API server, %d of them without the key", emptied.Load(), early.Load())
	}

	must(t, second.Terminate())
	if status := second.awaitExit(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if list := s.Object(kubetest.SlicePath("mail"))["endpoints"].([]any); len(list) != 0 || roleOf(s, second.id) != "standby" {
		t.Errorf("nobody leads; the slice has %v, the label is %v", list, roleOf(s, second.id))
	}
	for _, p := range fleet {
		if log := p.logged(); strings.Contains(log, "API server") {
			t.Errorf("nothing went wrong, and %s says:\n%s", p.id, log)
		}
	}
}

// The old leader is frozen when its write is under way: it comes after the next leader's, and the old one wakes up.
func TestTheServiceIsNotTakenBackByALeaderThatWasFrozen(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	s := startKube(t)
	held, released := make(chan struct{}), make(chan struct{})
	hold, release := sync.OnceFunc(func() { close(held) }), sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	s.Gate(func(c kubetest.Call) int {
		if c.User == "w1" && c.Verb == "patch" && c.Path == kubetest.SlicePath("mail") {
			hold()
			<-released
		}
		return 0
	})
	old := e.startInPod(t, s, "w1")
	_, yes := leader(t, old)
	<-held
	must(t, old.Pause())
	heir := e.startInPod(t, s, "w2")
	_, next := leader(t, heir)
	s.Await(t.Context(), "the next leader in the slice", func() bool { return pointsTo(s, "w2", next.Token) })
	release()
	s.Await(t.Context(), "the late write's refusal", func() bool {
		for _, c := range s.Calls() {
			if c.User == "w1" && c.Code == http.StatusConflict {
				return true
			}
		}
		return false
	})
	must(t, old.Resume())
	old.await("following", "/status", follows)
	s.Await(t.Context(), "the frozen one's label", func() bool { return roleOf(s, "w1") == "standby" })
	if !pointsTo(s, "w2", next.Token) {
		t.Errorf("token %d, then %d, and the slice is %v", yes.Token, next.Token, s.Object(kubetest.SlicePath("mail")))
	}
}

// An API server that does not answer, or is away, costs a handover ReleaseWait, and one that says no nothing. No term ends of it.
func TestLeadershipDoesNotDependOnTheAPIServer(t *testing.T) {
	e := startEtcd(t, devetcd.Options{})
	s := startKube(t)
	silent := make(chan struct{})
	speak := sync.OnceFunc(func() { close(silent) })
	t.Cleanup(speak)
	s.Gate(func(kubetest.Call) int { <-silent; return 0 })
	fleet := []*process{e.startInPod(t, s, "w1"), e.startInPod(t, s, "w2")}
	handover := func(how string) (*process, answer) {
		t.Helper()
		l, yes := leader(t, fleet...)
		f := others(fleet, l)[0]
		f.await("following", "/status", follows)
		began := time.Now()
		_, err := l.ask().Resign(t.Context(), yes.Token, 0)
		must(t, err)
		_, next := leader(t, f)
		took := time.Since(began)
		t.Logf("%s: the next one leads after %v", how, took)
		if took > kube.ReleaseWait+time.Second {
			t.Errorf("%s: the handover took %v", how, took)
		}
		return f, next
	}
	l, yes := handover("silent")
	l.awaitLog("no answer within 5s") // longer than the TTL
	if a := l.get("/leader"); !leads(a) || a.Token != yes.Token {
		t.Errorf("token %d is not what leads: %+v", yes.Token, a)
	}
	if m := l.scrape(); !strings.Contains(m, `elector_kube_up{election="default/e2e",object="service"} 0`) {
		t.Errorf("no sign of it in the metrics:\n%s", m)
	}
	speak()
	s.Away()
	l, yes = handover("away")
	s.Back()
	s.Await(t.Context(), "the leader in the slice", func() bool { return pointsTo(s, l.id, yes.Token) })
	l.awaitLog("as it should be again")
	s.Allow()
	l, yes = handover("forbidden")
	l.awaitLog("kubectl -n shop create role elector-mail")
	s.Delete(kubetest.SlicePath("mail"))
	handover("deleted")
	if a := l.get("/status"); a.Cause != "resigned" && a.Cause != "registered" {
		t.Errorf("%s's last term ended otherwise: %+v", l.id, a)
	}
}

// scrape returns the metrics.
func (p *process) scrape() string {
	p.t.Helper()
	r, err := p.http.Get("http://" + p.addr + "/metrics")
	must(p.t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	must(p.t, err)
	return string(b)
}
