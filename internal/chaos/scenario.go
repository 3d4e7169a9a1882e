package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// script is a scenario that does the same every time.
type script struct {
	ttl        time.Duration // that suits it
	links      bool          // every elector reaches etcd through links
	isolates   bool          // cuts members off from each other
	followers  bool          // wants members that do not lead
	releaseNow bool
	lanes      []lanePlan // of the first electors; others only poll
	play       func(d *director, ctx context.Context) error
}

// scripts are all scenarios by name. The storm and the soak are among them for their TTL alone.
func scripts() map[string]script {
	const ttl = 4 * time.Second
	return map[string]script{
		StormScenario:         {ttl: ttl},
		SoakScenario:          {ttl: ttl},
		"depose":              {ttl: 10 * time.Second, isolates: true, followers: true, play: (*director).depose},
		"revoke":              {ttl: 5 * time.Second, followers: true, play: (*director).revoke},
		"pause":               {ttl: ttl, play: (*director).pause},
		"slow":                {ttl: 10 * time.Second, links: true, play: (*director).slow},
		"handover":            {ttl: ttl, releaseNow: true, play: (*director).handover},
		"promised":            {ttl: ttl, play: (*director).handover},
		"kill":                {ttl: ttl, play: (*director).kill},
		"delete":              {ttl: ttl, play: (*director).delete},
		"move":                {ttl: ttl, followers: true, play: (*director).move},
		"work":                {ttl: ttl, play: (*director).work, lanes: boundWork},
		history.Restore:       {ttl: ttl, play: (*director).restore},
		history.RestoreBumped: {ttl: ttl, play: (*director).restoreBumped},
	}
}

// Scenarios lists the names of all scenarios, the storm first.
func Scenarios() []string {
	names := slices.Sorted(maps.Keys(scripts()))
	at := slices.Index(names, StormScenario)
	return append([]string{StormScenario}, slices.Delete(names, at, at+1)...)
}

// wantNamespaces lists the scenarios that need members to be cut off from each other.
func wantNamespaces() []string {
	var names []string
	for name, s := range scripts() {
		if s.isolates {
			names = append(names, name)
		}
	}
	return names
}

// director plays a script. Its methods run one at a time.
type director struct {
	*nemesis
	leads    time.Duration // how long a new leader may take
	breaches []breach
}

// breach is what a script found that the rules do not cover.
type breach struct {
	from, to history.Instant
	lane     string
	tokens   []int64
	text     string
}

// leader waits for one, and for the whole fleet to stand: every round begins in peace.
func (d *director) leader(ctx context.Context) (*lane, int64, error) {
	if err := d.fleet.awaitCandidates(ctx, 4*d.leads); err != nil {
		return nil, 0, err
	}
	return d.fleet.awaitLeader(ctx, d.leads, nil)
}

// successor waits until another token leads, whoever has it.
func (d *director) successor(ctx context.Context, token int64) (*lane, int64, error) {
	return d.fleet.awaitLeader(ctx, d.leads, func(_ *lane, t int64) bool { return t > token })
}

// round lets whoever leads do so for a moment, does something to it and waits for the next term.
func (d *director) round(ctx context.Context, what string, do func(l *lane, token int64) error) error {
	if _, _, err := d.leader(ctx); err != nil {
		return err
	}
	pause(ctx, d.ttl/4)
	l, token, err := d.leader(ctx)
	if err != nil {
		return err
	}
	if err := do(l, token); err != nil {
		return err
	}
	next, t, err := d.successor(ctx, token)
	if err != nil {
		return fmt.Errorf("after %s had lost token %d: %w", l.elector, token, err)
	}
	d.say("%s: %s led with %d, then %s with %d", what, l.elector, token, next.elector, t)
	return nil
}

// pause freezes whoever leads for longer than its lease lasts. What it says when it wakes is said by
// goroutines that were in the middle of answering: it takes some rounds to hit the worst place.
func (d *director) pause(ctx context.Context) error {
	for range 6 {
		err := d.round(ctx, "frozen", func(l *lane, _ int64) error {
			return d.freezeElector(ctx, step{lasts: d.ttl * 7 / 4}, l, 10*queuedPolls)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *director) handover(ctx context.Context) error {
	for range 5 {
		// What the round before has done is over after a lease and an election timeout of etcd.
		if !pause(ctx, d.ttl+3*time.Second) {
			return context.Cause(ctx)
		}
		if err := d.handOver(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *director) kill(ctx context.Context) error {
	for range 5 {
		err := d.round(ctx, "killed", func(l *lane, _ int64) error {
			return d.replace(ctx, step{lasts: d.ttl / 4}, l, history.ElectorKill, func(l *lane) error { return l.process().Kill() })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *director) delete(ctx context.Context) error {
	for range 2 {
		for _, kind := range []string{history.KeyDelete, history.LeaseRevoke, history.PrefixDelete} {
			err := d.round(ctx, kind, func(*lane, int64) error { return d.do(ctx, step{kind: kind, atLeader: true}) })
			if err != nil {
				return err
			}
		}
		if _, _, err := d.leader(ctx); err != nil {
			return err
		}
		if err := d.do(ctx, step{kind: history.KeyDelete, pick: 1}); err != nil { // of one that waits
			return err
		}
	}
	_, _, err := d.leader(ctx)
	return err
}

// move hands etcd's leadership round. No term may end of it: the key is only bound to a new lease.
func (d *director) move(ctx context.Context) error {
	l, token, err := d.leader(ctx)
	if err != nil {
		return err
	}
	for i := range 6 {
		from := now()
		if err := d.do(ctx, step{kind: history.LeaderMove, pick: uint64(i)}); err != nil {
			return err
		}
		if !pause(ctx, d.ttl) {
			return context.Cause(ctx)
		}
		next, t, err := d.leader(ctx)
		if err != nil {
			return err
		}
		if t != token {
			d.breaches = append(d.breaches, breach{from, now(), l.elector, []int64{token, t},
				fmt.Sprintf("%s lost token %d when etcd's leadership had merely moved; %s leads with %d", l.elector, token, next.elector, t)})
		}
		d.say("etcd's leadership moved: %s leads with %d", next.elector, t)
		l, token = next, t
	}
	return nil
}
