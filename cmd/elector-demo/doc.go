// Command elector-demo shows leader election in one terminal: etcd, three electors as on three hosts,
// and what happens when one of them is stopped, killed or frozen. It needs nothing but itself, and it
// is never shipped.
//
// The electors are child processes that run the ordinary command `elector serve`. The demo learns what
// it shows as any program would, by asking each elector for /status; only the queue is read from etcd.
//
// Goroutines: one per elector asks it (poll.go), one reads the queue (queue.go), one plays the scenario
// (scenario.go), one reads keys (keys.go). They meet in the journal, which is the only shared state.
// run draws or prints what the journal holds until the context ends, and joins them all.
package main
