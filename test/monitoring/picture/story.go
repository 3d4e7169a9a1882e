package main

import (
	"context"
	"fmt"
	"time"

	"github.com/elector-dev/elector/test/monitoring/lab"
)

// event is what was done to the fleet, for the picture.
type event struct {
	at   time.Time
	what string
}

// story does to a fleet what moves its lead, with time between for all to settle and to be seen.
type story struct {
	*lab.Lab
	events []event
	err    error // of the first that went wrong; nothing is done after it
}

func (s *story) tell(ctx context.Context) ([]event, error) {
	s.rest(ctx, 25)
	s.toLeader(ctx, "the lead is transferred from %s", func(e *lab.Elector) error {
		_, err := e.Transfer(ctx, s.Others(e)[0].Name, 0, patience)
		return err
	})
	s.rest(ctx, 20)
	w := s.toLeader(ctx, "SIGTERM to %s", func(e *lab.Elector) error { return e.Stop(ctx) })
	s.rest(ctx, 15)
	s.do(w, "%s starts again", (*lab.Elector).Start)
	s.rest(ctx, 15)
	w = s.toLeader(ctx, "SIGKILL to %s", (*lab.Elector).Kill)
	s.rest(ctx, 20)
	s.do(w, "%s starts again", (*lab.Elector).Start)
	s.rest(ctx, 15)
	w = s.toLeader(ctx, "%s is frozen", (*lab.Elector).Freeze)
	s.rest(ctx, 15)
	s.do(w, "%s goes on", (*lab.Elector).Thaw)
	s.rest(ctx, 20)
	w = s.toLeader(ctx, "the check of %s begins to fail", (*lab.Elector).Sicken)
	s.rest(ctx, 15)
	s.do(w, "the check of %s passes again", (*lab.Elector).Cure)
	s.rest(ctx, 20)
	s.do(nil, "etcd is frozen for 3 s", func(*lab.Elector) error { return s.Etcd.Member(0).Pause() })
	s.rest(ctx, 3)
	if s.err == nil {
		s.err = s.Etcd.Member(0).Resume()
	}
	s.rest(ctx, 20)
	return s.events, s.err
}

// do does something to an elector and notes it.
func (s *story) do(e *lab.Elector, what string, act func(*lab.Elector) error) {
	if s.err != nil {
		return
	}
	if e != nil {
		what = fmt.Sprintf(what, e.Name)
	}
	fmt.Println(what)
	s.events = append(s.events, event{time.Now(), what})
	s.err = act(e)
}

// toLeader does something to whoever leads.
func (s *story) toLeader(ctx context.Context, what string, act func(*lab.Elector) error) (leader *lab.Elector) {
	if s.err == nil {
		leader, s.err = s.Leader(ctx)
	}
	s.do(leader, what, act)
	return leader
}

// rest lets time pass, which is what the picture shows.
func (s *story) rest(ctx context.Context, seconds int) {
	if s.err != nil {
		return
	}
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
	case <-ctx.Done():
		s.err = context.Cause(ctx)
	}
}
