package kube

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/kube/kubetest"
)

func TestTheLeaderIsTheOnlyEndpointUntilItsTermEnds(t *testing.T) {
	s := newServer(t)
	before := s.Object(slicePath)
	r := newRig(t, s, "w1", nil)
	end := r.lead(5)
	r.await("5", "10.0.0.1")
	want := map[string]any{
		"addresses": []any{"10.0.0.1"}, "conditions": map[string]any{"ready": true, "serving": true, "terminating": false},
		"targetRef": map[string]any{"kind": "Pod", "namespace": "shop", "name": "w1"},
	}
	now := s.Object(slicePath)
	if list := now["endpoints"].([]any); len(list) != 1 || !reflect.DeepEqual(list[0], want) {
		t.Errorf("the endpoints are %v", list)
	}
	end()
	if !says(s, "5") {
		t.Errorf("the term's work has ended and the slice is %v", s.Object(slicePath))
	}
	after := s.Object(slicePath)
	for _, o := range []map[string]any{now, after} { // what is not the leader's is as it was
		delete(o, "endpoints")
		meta := o["metadata"].(map[string]any)
		delete(meta["annotations"].(map[string]any), "elector.dev/token")
		delete(meta["annotations"].(map[string]any), "elector.dev/cluster")
		meta["resourceVersion"] = before["metadata"].(map[string]any)["resourceVersion"]
		if !reflect.DeepEqual(o, before) {
			t.Errorf("%v\nwas\n%v", o, before)
		}
	}
	if told := r.log.lines(); len(told) != 0 {
		t.Errorf("the log has %+v", told)
	}
}

// The old leader does not know yet that it is none, and its write is under way while the next one's is made.
func TestAnOldLeaderNeverTakesTheSliceFromALaterOne(t *testing.T) {
	s := newServer(t)
	old, next := newRig(t, s, "w1", nil), newRig(t, s, "w2", nil)
	held, release := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() { close(held) })
	s.Gate(func(c kubetest.Call) int {
		if c.User == "w1" && c.Verb == "patch" {
			hold()
			<-release
		}
		return 0
	})
	endOld := old.lead(5)
	<-held
	next.lead(9)
	next.await("9", "10.0.0.2")
	close(release)
	old.log.await(t, "bears the greater token 9") // or it has taken the slice
	if !says(s, "9", "10.0.0.2") {
		t.Errorf("the slice is %v", s.Object(slicePath))
	}
	endOld() // it has nothing to empty
	if !says(s, "9", "10.0.0.2") {
		t.Errorf("after the old one's end the slice is %v", s.Object(slicePath))
	}
	if told := old.log.lines(); len(told) != 1 || !old.Objects()[0].Up {
		t.Errorf("the old one's log has %+v, its metric %+v", told, old.Objects())
	}
	var refused int
	for _, c := range s.Calls() {
		if c.User == "w1" && c.Code == 409 {
			refused++
		}
	}
	if refused == 0 {
		t.Errorf("the late write met no conflict: %+v", s.Calls())
	}
}

// The old leader's slice is emptied late, over a new leader's.
func TestALateEmptyingLeavesTheNextLeader(t *testing.T) {
	s := newServer(t)
	old, next := newRig(t, s, "w1", nil), newRig(t, s, "w2", nil)
	end := old.lead(5)
	old.await("5", "10.0.0.1")
	held, release := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() { close(held) })
	s.Gate(func(c kubetest.Call) int {
		if c.User == "w1" && c.Verb == "patch" {
			hold()
			<-release
		}
		return 0
	})
	old.elector.workEnd.Store(1) // by loss
	end()
	<-held
	next.lead(9)
	next.await("9", "10.0.0.2")
	before := len(s.Calls())
	close(release)
	s.Await(t.Context(), "the late one's second look", func() bool {
		calls := s.Calls()
		return len(calls) > before+1 && calls[len(calls)-1].User == "w1" && calls[len(calls)-1].Verb == "get"
	})
	if !says(s, "9", "10.0.0.2") {
		t.Errorf("the slice is %v", s.Object(slicePath))
	}
	if told := old.log.lines(); len(told) != 1 || told[0].Level != "INFO" {
		t.Errorf("the late one's log has %+v", told)
	}
}

func TestWhoDoesNotLeadAsksNothing(t *testing.T) {
	s := newServer(t)
	o := still(t, s, "w1", nil).keepers[0].object
	put := func(a aim, want error) {
		t.Helper()
		if err := o.put(t.Context(), a); err != want {
			t.Errorf("%+v: %v", a, err)
		}
	}
	put(aim{}, errIdle)
	if calls := s.Calls(); len(calls) != 0 {
		t.Errorf("before the first term: %+v", calls)
	}
	over := aim{claim: claim{token: 5, cluster: cluster}}
	put(over, nil)
	emptied := len(s.Calls())
	put(over, errIdle)
	if calls := s.Calls(); emptied == 0 || len(calls) != emptied {
		t.Errorf("after a term: %+v", calls)
	}
}

func TestTheKeyWaitsForTheAPIServerNoLongerThanItSays(t *testing.T) {
	for name, workEnd := range map[string]int64{"by choice": 0, "by loss": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			r := newRig(t, s, "w1", nil)
			end := r.lead(5)
			r.await("5", "10.0.0.1")
			block := make(chan struct{})
			t.Cleanup(func() { close(block) })
			s.Gate(func(kubetest.Call) int { <-block; return 0 })
			r.elector.workEnd.Store(workEnd)
			began := time.Now()
			end()
			took := time.Since(began)
			if workEnd == 0 && (took < ReleaseWait || took > ReleaseWait+time.Second) {
				t.Errorf("it took %v", took)
			}
			if workEnd != 0 && took > time.Second {
				t.Errorf("it took %v", took)
			}
			r.log.await(t, "the key is not kept for the API server")
		})
	}
}

func TestAClaimIsJudgedByWhatTheSliceBears(t *testing.T) {
	s := &slice{namespace: "shop", name: "mail", election: "shop/mail"}
	labels := map[string]string{serviceLabel: "mail"}
	for _, row := range []struct {
		marks map[string]string
		want  kind // empty: it may be written
	}{
		{map[string]string{markElection: "shop/mail"}, ""},
		{map[string]string{markElection: "shop/mail", markCluster: "c1", markToken: "4"}, ""},
		{map[string]string{markElection: "shop/mail", markCluster: "c1", markToken: "5"}, ""},
		{map[string]string{markElection: "shop/mail", markCluster: "c1", markToken: "6"}, superseded},
		{map[string]string{markElection: "shop/mail", markCluster: "c2", markToken: "4"}, incomparable},
		{map[string]string{markElection: "shop/mail", markCluster: "c1", markToken: "four"}, incomparable},
		{map[string]string{markElection: "shop/mail", markCluster: "c1", markToken: "-4"}, incomparable},
		{map[string]string{markElection: "shop/mail", markCluster: "c1"}, incomparable},
		{map[string]string{markElection: "shop/mail", markToken: "4"}, incomparable},
		{map[string]string{markElection: "shop/billing"}, foreign},
		{nil, foreign},
	} {
		err := s.mayWrite(labels, row.marks, claim{token: 5, cluster: cluster})
		if got := kindOf(err); got != row.want {
			t.Errorf("%v: %v", row.marks, err)
		}
	}
	if err := s.mayWrite(nil, map[string]string{markElection: "shop/mail"}, claim{}); kindOf(err) != foreign || !strings.Contains(err.Error(), serviceLabel) {
		t.Errorf("of no Service: %v", err)
	}
}

func kindOf(err error) kind {
	if t, ok := err.(*trouble); ok {
		return t.kind
	}
	return ""
}

var update = flag.Bool("update", false, "write the golden files")

// test/kubernetes has the API server's own code judge these.
func TestWhatIsWrittenIsAsInTheFilesThatTheAPIServersCodeTakes(t *testing.T) {
	s := still(t, newServer(t), "w1", nil).keepers[0].object.(*slice)
	var now endpointSlice
	if err := s.api.get(t.Context(), s.path(), &now); err != nil {
		t.Fatal(err)
	}
	now.Metadata.ResourceVersion = "17"
	for file, leading := range map[string]bool{"testdata/leads.json": true, "testdata/emptied.json": false} {
		p, err := s.patchOf(now, aim{claim: claim{token: 5, cluster: 0xcafe}, leading: leading})
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s (%v) is not\n%s", file, err, got)
		}
	}
}
