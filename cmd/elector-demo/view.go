package main

import (
	"slices"
	"time"
)

// view is all that a frame shows. It is a copy: drawing needs no lock.
type view struct {
	elapsed time.Duration
	ttl     time.Duration
	etcd    string
	page    string // URL of the fleet's page
	rows    []rowView
	queue   []string
	members []memberRow
	taken   int64   // writes that the counter took
	refused int64   // and did not
	events  []event // the newest last
	token   int64   // of the newest term
	answers int
	broken  string
	chosen  int // among the electors, and the members behind them
}

// rowView is an elector in a frame.
type rowView struct {
	name, url string
	pid       int
	state     string
	cause     string
	leads     bool          // and has not said no since
	token     int64         // shown while certain
	certain   time.Duration // left of the newest yes; 0 if it has run out
	place     int           // in the queue, from 1; 0 when not in it
	trouble   bool          // frozen, ended, or without an answer
}

// look returns what there is to see now. Yes and no are judged at this very instant: the end of a yes
// passes without anybody saying so.
func (j *journal) look(chosen int) view {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	v := view{
		elapsed: now - j.begun, ttl: j.ttl, etcd: j.etcd, page: j.page, queue: slices.Clone(j.queue), events: slices.Clone(j.events),
		members: slices.Clone(j.members), taken: j.counted.taken, refused: j.counted.refused,
		answers: j.answers, broken: j.check.broken, chosen: chosen,
	}
	if n := len(j.terms); n > 0 {
		v.token = j.terms[n-1].token
	}
	for i := range j.rows {
		v.rows = append(v.rows, j.rows[i].look(now, j.queue))
	}
	return v
}

func (r *row) look(now time.Duration, queue []string) rowView {
	v := rowView{
		name: r.name, url: r.url, pid: r.pid, certain: max(0, r.certain-now), place: slices.Index(queue, r.name) + 1,
	}
	if v.certain > 0 {
		v.leads, v.token = r.token != 0, r.token
	}
	switch {
	case r.process == ended && r.pid == 0 && r.exit == "":
		v.state, v.trouble = "not started", true
	case r.process == ended:
		v.state, v.cause, v.trouble = "ended", r.exit, true
	case r.process == frozen:
		v.state, v.cause, v.trouble = "frozen", "SIGSTOP", true
	case !r.answered && r.status.State == "":
		v.state = "starting"
	case !r.answered:
		v.state, v.trouble = "no answer", true
	default:
		v.state, v.cause = plain(r.status.State), plain(r.status.Cause)
	}
	return v
}
