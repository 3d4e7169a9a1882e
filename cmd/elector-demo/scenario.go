package main

import (
	"context"
	"maps"
	"slices"
	"time"
)

// calm is how long a scenario leaves the electors alone between rounds, so that one can follow.
const calm = 2 * time.Second

// stage is what a scenario plays on.
type stage struct {
	fleet   *fleet
	ground  *ground
	journal *journal
	ttl     time.Duration
}

// scenarios do something to whoever leads. A round returns when everything is as it was before, but
// for who leads; it ends early, with the context's cause, when the context ends.
var scenarios = map[string]func(ctx context.Context, s stage, leader int) error{
	"handover": func(ctx context.Context, s stage, leader int) error {
		return s.replace(ctx, leader, (*elector).stop)
	},
	"crash": func(ctx context.Context, s stage, leader int) error {
		return s.replace(ctx, leader, (*elector).kill)
	},
	"freeze": func(ctx context.Context, s stage, leader int) error {
		e := s.fleet.electors[leader]
		return s.suspend(ctx, leader, e.freeze, e.thaw)
	},
	"cut": func(ctx context.Context, s stage, leader int) error {
		e := s.fleet.electors[leader]
		return s.suspend(ctx, leader, func() error { return e.cut(true) }, func() error { return e.cut(false) })
	},
	"member": func(ctx context.Context, s stage, _ int) error { return s.loseMember(ctx) },
}

func scenarioNames() []string { return slices.Sorted(maps.Keys(scenarios)) }

// perform plays a scenario again and again until the context ends.
func perform(ctx context.Context, name string, f *fleet, g *ground, j *journal) error {
	s := stage{fleet: f, ground: g, journal: j, ttl: j.ttl}
	for {
		var leader int
		err := j.await(ctx, func(rows []row) bool {
			leader = leaderOf(rows)
			return leader >= 0 && allInQueue(rows)
		})
		if err != nil {
			return err
		}
		if err := pause(ctx, calm); err != nil {
			return err
		}
		if err := scenarios[name](ctx, s, leader); err != nil {
			return err
		}
	}
}

// replace ends the leader's process, waits for another leader, and starts the process again.
func (s stage) replace(ctx context.Context, leader int, end func(*elector) error) error {
	e := s.fleet.electors[leader]
	if err := end(e); err != nil {
		return err
	}
	if err := s.awaitAnother(ctx, leader); err != nil {
		return err
	}
	s.journal.roundShown()
	if err := e.wait(ctx); err != nil {
		return err
	}
	if err := pause(ctx, calm/2); err != nil {
		return err
	}
	return e.start()
}

// suspend takes the leader out for twice the lease time, waits for another leader meanwhile, and for what the old one says
// when it is back.
func (s stage) suspend(ctx context.Context, leader int, out, back func() error) error {
	if err := out(); err != nil {
		return err
	}
	over := time.NewTimer(2 * s.ttl)
	defer over.Stop()
	if err := s.awaitAnother(ctx, leader); err != nil {
		return err
	}
	select {
	case <-over.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := back(); err != nil {
		return err
	}
	err := s.journal.await(ctx, func(rows []row) bool {
		return rows[leader].answered && rows[leader].token == 0
	})
	if err == nil {
		s.journal.roundShown()
	}
	return err
}

// loseMember kills the leader of etcd, waits until etcd has another one, and starts the member again.
func (s stage) loseMember(ctx context.Context) error {
	lost := -1
	err := s.journal.await(ctx, func([]row) bool { // which holds the journal's lock meanwhile
		lost = slices.IndexFunc(s.journal.members, func(m memberRow) bool { return m.leads })
		return lost >= 0
	})
	if err != nil {
		return err
	}
	m := s.ground.members[lost]
	if err := m.kill(); err != nil {
		return err
	}
	if len(s.ground.members) > 1 {
		err := s.journal.await(ctx, func([]row) bool {
			return slices.IndexFunc(s.journal.members, func(m memberRow) bool { return m.leads && m.process == running }) >= 0
		})
		if err != nil {
			return err
		}
	}
	if err := pause(ctx, calm); err != nil {
		return err
	}
	s.journal.roundShown()
	return m.start()
}

// awaitAnother blocks until another elector than the given one leads.
func (s stage) awaitAnother(ctx context.Context, than int) error {
	return s.journal.await(ctx, func(rows []row) bool {
		for i, r := range rows {
			if i != than && r.token != 0 {
				return true
			}
		}
		return false
	})
}

// leaderOf returns the elector that leads and runs undisturbed, or -1.
func leaderOf(rows []row) int {
	return slices.IndexFunc(rows, func(r row) bool { return r.token != 0 && r.answered && r.process == running })
}

// allInQueue reports whether all electors run and have their key in etcd.
func allInQueue(rows []row) bool {
	return !slices.ContainsFunc(rows, func(r row) bool { return !r.answered || !r.registered || r.process != running })
}

// pause lets time pass.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
