package main

import (
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/client"
)

// What the journal is told besides the answers to its questions: events of electors, of members and of the counter.

// say puts a moment of now on the tape. The caller holds the lock, or has no need of it.
func (j *journal) say(m moment) {
	m.At = (j.now() - j.begun).Milliseconds()
	j.tape.add(m)
}

// told takes in an event of an elector's.
func (j *journal) told(who string, s *client.Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	m := moment{Kind: kindState, Who: who, Text: s.State, Token: s.Token}
	if s.Leading {
		m.Until = (j.now() - j.begun + s.Certain()).Milliseconds()
	}
	j.say(m)
}

// lost notes that an elector's events do not come any more.
func (j *journal) lost(who string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.say(moment{Kind: kindLost, Who: who})
}

// line adds a line for people.
func (j *journal) line(format string, args ...any) {
	j.mu.Lock()
	defer j.publish()
	j.log(format, args...)
}

// memberIs notes what a member's process is.
func (j *journal) memberIs(name string, state processState) {
	j.mu.Lock()
	defer j.publish()
	j.say(moment{Kind: kindProcess, Who: name, Text: string(state)})
	for i := range j.members {
		if j.members[i].name == name {
			j.members[i].process = state
			return
		}
	}
	j.members = append(j.members, memberRow{name: name, process: state})
}

// memberLeads notes which member leads etcd; with no name none does.
func (j *journal) memberLeads(name string) {
	j.mu.Lock()
	defer j.publish()
	leader := slices.IndexFunc(j.members, func(m memberRow) bool { return m.leads })
	if leader >= 0 && j.members[leader].name == name || leader < 0 && name == "" {
		return
	}
	for i := range j.members {
		j.members[i].leads = j.members[i].name == name
	}
	j.say(moment{Kind: kindLeads, Who: name})
}

// wrote notes what became of a write to the counter, and what it stands at.
func (j *journal) wrote(kind, who string, token, taken, refused int64) {
	j.mu.Lock()
	defer j.publish()
	j.counted.taken, j.counted.refused = taken, refused
	j.say(moment{Kind: kind, Who: who, Token: token, Count: taken})
	if kind == kindRefused {
		j.log("the counter refuses a late write of %s's worker: token %d is over", who, token)
	}
}

// index is the number of an elector, or -1.
func (j *journal) index(who string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.IndexFunc(j.rows, func(r row) bool { return r.name == who })
}

// elapsed is the time since the beginning.
func (j *journal) elapsed() time.Duration { return j.now() - j.begun }
