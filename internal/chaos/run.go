package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// Outcome is what came of a run.
type Outcome struct {
	History     *history.History
	Report      check.Report
	Interrupted bool // the context ended before the run did
}

// The ends of a run before its time.
var (
	errViolation = errors.New("a rule was broken")
	errOver      = errors.New("the time of the storm is over")
)

// run is a run in progress.
type run struct {
	opts     Options
	plan     plan
	recorder *recorder
	ground   *ground
	fleet    *fleet
	director *director
	canaries *canaries
	keys     *keyLog
	early    []check.Violation // what ended the run; written by supervise, read after it was joined
}

// Run makes a cluster and a fleet, breaks them and judges what was seen. It blocks until everything has
// been taken down, at latest about two minutes after the context's end. The error is the harness's own, or
// that a script came to no end because no leader was found; the outcome holds what was recorded until then.
func Run(ctx context.Context, o Options) (Outcome, error) {
	p := newPlan(o)
	r := &run{opts: o, plan: p, recorder: newRecorder(history.Run{
		Seed: o.Seed, Scenario: o.Scenario, Program: o.Kind, Began: now(), TTL: p.ttl, AnswerMax: p.answerMax(), Members: memberNames(o.Members),
		Access: p.access(), Race: o.Race,
	})}
	r.keys = newKeyLog(r.recorder)
	err := r.stage(ctx)
	cries, unread := outcries(o.Dir) // all processes have ended
	err = errors.Join(err, unread)
	r.recorder.do(func(h *history.History) { h.Run.Ended, h.Outcries = now(), cries })
	h := r.recorder.snapshot()
	return Outcome{History: h, Report: r.judge(h), Interrupted: ctx.Err() != nil}, err
}

// Judge is the checker's report. A script takes one leader away after the other, so the floor under the
// time in which somebody leads is for storms alone.
func Judge(h *history.History) check.Report {
	r := check.Check(h)
	if !stormy(h.Run.Scenario) {
		r.Violations = slices.DeleteFunc(r.Violations, func(v check.Violation) bool { return v.Rule == "availability" })
	}
	return r
}

// judge is the report with what the script found.
func (r *run) judge(h *history.History) check.Report {
	report := Judge(h)
	// What ended the run stays in the report, also if the checker has changed its mind since: then one of
	// its two judgements is wrong, and somebody has to look.
	if report.OK() {
		for _, v := range r.early {
			v.Text += " (This was judged while the run went on, and not again at its end.)"
			report.Violations = append(report.Violations, v)
		}
	}
	if r.director == nil {
		return report
	}
	for _, b := range r.director.breaches {
		report.Violations = append(report.Violations, check.Violation{
			Rule: "scenario", At: b.from, Until: b.to, Electors: []string{b.lane}, Tokens: b.tokens, Text: b.text,
		})
	}
	return report
}

// stage builds everything, plays, and takes everything down.
func (r *run) stage(ctx context.Context) (err error) {
	r.ground, err = newGround(ctx, r.opts, r.plan)
	defer func() { err = errors.Join(err, r.ground.close(r.opts.Dir)) }()
	if err != nil {
		return err
	}
	if r.fleet, err = newFleet(r.opts, r.ground, r.recorder); err != nil {
		return err
	}
	defer r.fleet.close()
	r.recorder.do(func(h *history.History) {
		for _, l := range r.fleet.lanes {
			h.Run.Electors = append(h.Run.Electors, l.elector)
		}
	})
	r.canaries = &canaries{recorder: r.recorder, ttl: r.plan.ttl}
	n := &nemesis{
		ground: r.ground, fleet: r.fleet, recorder: r.recorder, keys: r.keys, ttl: r.plan.ttl, dir: r.opts.Dir, say: r.opts.say,
		canaries: r.canaries, claims: newClaims(),
	}
	// A new leader may have to wait for the old one's promise, lease and promotion, then for a back-off.
	r.director = &director{nemesis: n, leads: 4*r.plan.ttl + 15*time.Second}
	r.announce()

	observing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var observers sync.WaitGroup
	defer observers.Wait()
	defer stop()
	if err := r.observe(observing, &observers); err != nil {
		return err
	}
	return r.perform(ctx)
}

// announce says what the seed has decided and what this machine leaves out.
func (r *run) announce() {
	links := ""
	for i, by := range r.plan.byLink {
		if by {
			links += " " + r.fleet.lanes[i].elector
		}
	}
	auth := "no password"
	if r.plan.auth {
		auth = r.plan.access() + ", whose tokens last 5 s"
	}
	r.opts.say("seed %d: %d electors, TTL %v, --shutdown-release=%s, etcd %s, %s, with %s, through links:%s; work:%s",
		r.opts.Seed, r.plan.electors, r.plan.ttl, release(r.plan.releaseNow), r.ground.release, members(r.opts.Members), auth, links, r.works())
	if r.opts.Members == 1 {
		r.opts.say("left out: %s, which need members that do not lead", strings.Join(wantFollowers, ", "))
	}
	if r.opts.Links == Proxies {
		r.opts.say("left out: %s and %s, which need network namespaces", history.LeaderDepose, history.MemberIsolate)
	}
}

func members(n int) string {
	if n == 1 {
		return "one member"
	}
	return fmt.Sprintf("%d members", n)
}

// works says how the work beside each elector is bound to it.
func (r *run) works() string {
	text := ""
	for i, l := range r.plan.lanes {
		text += " " + r.fleet.lanes[i].elector
		switch {
		case l.work == history.Child && l.restart:
			text += " a " + l.manner + " command, started again"
		case l.work == history.Child:
			text += " a " + l.manner + " command"
		case l.work == history.Hold:
			text += " holds"
		default:
			text += " polls"
		}
		if l.state {
			text += ", keeps state"
		}
		if l.asks {
			text += ", is checked and asks before terms"
		}
		if l.page {
			text += ", its page is open"
		}
		text += ";"
	}
	return strings.TrimSuffix(text, ";")
}

// observe starts the fleet and all that watches it.
func (r *run) observe(ctx context.Context, g *sync.WaitGroup) error {
	g.Go(func() { watchStalls(ctx, r.recorder) })
	for i := range r.ground.members {
		endpoint := r.ground.etcd.Member(i).Endpoint()
		w := &watcher{log: r.keys, open: r.opener(endpoint)}
		g.Go(func() { w.run(ctx) })
		cfg, err := r.ground.clientConfig(endpoint)
		if err != nil {
			return err
		}
		g.Go(func() { r.canaries.run(ctx, cfg, canaryCount/r.ground.members) })
	}
	values := &register{recorder: r.recorder}
	heard, err := newActors(r.opts.Dir, r.recorder, values, r.fleet.lanes)
	if err != nil {
		return err
	}
	g.Go(func() { heard.run(ctx) })
	if err := r.fleet.start(); err != nil {
		return err
	}
	for i, l := range r.fleet.lanes {
		g.Go(func() { l.poll(ctx, r.opts.Poll) })
		g.Go(func() { l.watchGauges(ctx) })
		if l.plan.work == history.Hold {
			l.holder = newHolder(l.asker, values, random(r.opts.Seed, uint64(workStream+len(r.fleet.lanes)+i)))
			g.Go(func() { l.holder.run(ctx) })
		}
		if l.plan.page {
			b := newBrowser(l.asker)
			g.Go(func() { b.run(ctx) })
		}
		w := &worker{asker: l.asker, register: values, rand: random(r.opts.Seed, uint64(workStream+i)), ttl: r.plan.ttl}
		g.Go(func() { w.run(ctx) })
	}
	return nil
}

// perform plays the scenario to its end, and the calm that follows.
func (r *run) perform(ctx context.Context) error {
	err := r.fleet.awaitCandidates(ctx, startPatience)
	var l *lane
	var token int64
	if err == nil {
		l, token, err = r.fleet.awaitLeader(ctx, startPatience, nil)
	}
	if ctx.Err() != nil {
		return nil // interrupted
	}
	if err != nil {
		return err
	}
	r.opts.say("all stand, and %s leads with %d: the faults begin", l.elector, token)
	pause(ctx, r.plan.ttl/2)
	playing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog, stop := context.WithCancel(playing)
	var supervisor sync.WaitGroup
	supervisor.Go(func() { r.supervise(watchdog, cancel) })
	err = r.play(playing)
	if err == nil && playing.Err() == nil {
		err = r.calm(playing)
	}
	stop()
	supervisor.Wait()
	if cause := context.Cause(playing); cause != nil {
		return nil // interrupted, or a violation was found, which the report says better
	}
	return err
}

// play is the scenario itself.
func (r *run) play(ctx context.Context) error {
	if !stormy(r.opts.Scenario) {
		return scripts()[r.opts.Scenario].play(r.director, ctx)
	}
	weather, cancel := context.WithTimeoutCause(ctx, r.opts.For, errOver)
	defer cancel()
	kinds := r.director.kinds()
	if r.opts.Scenario == SoakScenario {
		kinds = slices.DeleteFunc(kinds, endsElectors)
	}
	err := r.director.storm(weather, r.opts.Seed, kinds)
	if err == nil && ctx.Err() == nil && r.plan.restored {
		// A restore is no place for what the storm left: the fleet recovers first.
		pause(ctx, recovery(r.plan.ttl))
		err = r.director.restoreBumpedOnce(ctx)
	}
	return err
}

// supervise tells of progress and judges the history as it grows. It ends the run when a rule is broken.
func (r *run) supervise(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	until := time.Now().Add(r.opts.For)
	for turn, due := 1, 10; ; turn++ {
		rest(ctx, tick)
		if ctx.Err() != nil {
			return
		}
		p := Progress{}
		p.Answers, p.Faults = r.recorder.counts()
		if stormy(r.opts.Scenario) {
			p.Left = max(0, time.Until(until))
		}
		if turn >= due {
			due = turn + 10 + int(p.Answers/25_000) // a long record takes long to judge
			if r.early = Judge(r.recorder.snapshot()).Violations; len(r.early) > 0 {
				p.Violations = len(r.early)
				end(errViolation)
			}
		}
		if r.opts.Progress != nil {
			r.opts.Progress(p)
		}
	}
}

// recovery is how long it may take after the last fault until somebody leads: docs/safety.md section 11.
// The oldest key's lease lasts a TTL, and another one with an election timeout if etcd's leader changes;
// the next leader may rest for five seconds before it tries again; the rest is for a busy machine.
func recovery(ttl time.Duration) time.Duration { return 2*ttl + 8*time.Second }

// calm follows the last fault: one leader is to be found and to stay. Then everybody leaves, and what is
// left is counted.
func (r *run) calm(ctx context.Context) error {
	r.recorder.do(func(h *history.History) { h.Run.Calm = now() })
	// First what the fleet may take to recover, then what a term must last to be seen to stay. That nobody
	// leads is for the checker to say.
	if !pause(ctx, recovery(r.plan.ttl)+2*r.plan.ttl) {
		return context.Cause(ctx)
	}
	final := now()
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := r.fleet.stop(within); err != nil {
		return err
	}
	if !pause(ctx, r.plan.ttl+2*time.Second) {
		return context.Cause(ctx)
	}
	left, err := r.leftover(ctx, final)
	if err != nil {
		return fmt.Errorf("count what is left: %w", err)
	}
	r.recorder.do(func(h *history.History) { h.Leftover = left })
	return nil
}
