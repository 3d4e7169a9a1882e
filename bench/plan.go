package main

import "time"

// plan is how much is measured.
type plan struct {
	waiting     []int // candidates behind the leader
	trials      []int // handovers for each of them
	durable     int   // handovers between two of three candidates, on three members
	crowd       int   // candidates behind two others
	crowdTrials int
	threes      int // elections of three candidates
	pollers     int
	starts      int
	ttls        []time.Duration // of crashes
	crashes     int             // rounds
	deaths      int             // of workers, each way
	overlaps    int             // black holes and freezes, each
	releases    int             // of client-go's Leases, by choice
	losses      int             // of them, of each kind
	idle        time.Duration
	window      time.Duration // in which etcd's work is counted
	rounds      int           // of load
	burst       time.Duration // of load
	streams     int
	changes     int // of the leader, for what they leave in memory
}

const (
	second = time.Second
	normal = 10 * second // the TTL, where nothing else is said
)

var plans = map[string]plan{
	"tiny": {
		waiting: []int{1, 4}, trials: []int{3, 2}, durable: 2, crowd: 30, crowdTrials: 1, threes: 10, pollers: 1, starts: 2, ttls: []time.Duration{2 * second}, crashes: 1,
		deaths: 2, overlaps: 1, releases: 3, losses: 1, idle: 4 * second, window: 4 * second, rounds: 1, burst: second / 4, streams: 50, changes: 20,
	},
	"short": {
		waiting: []int{2, 10, 100}, trials: []int{100, 60, 40}, durable: 60, crowd: 1000, crowdTrials: 10, threes: 333, pollers: 5, starts: 20,
		ttls: []time.Duration{2 * second, 3 * second, 5 * second}, crashes: 8,
		deaths: 10, overlaps: 2, releases: 10, losses: 3, idle: 60 * second, window: 20 * second, rounds: 3, burst: 2 * second, streams: 1000, changes: 2000,
	},
	"long": {
		waiting: []int{2, 10, 100}, trials: []int{200, 200, 200}, durable: 200, crowd: 1000, crowdTrials: 20, threes: 1000, pollers: 10, starts: 50,
		ttls: []time.Duration{2 * second, 3 * second, 5 * second, 10 * second, 15 * second}, crashes: 10,
		deaths: 20, overlaps: 4, releases: 20, losses: 4, idle: 120 * second, window: 30 * second, rounds: 5, burst: 3 * second, streams: 1000, changes: 10000,
	},
}
