package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// row is one line of the table at the head.
type row struct {
	name                  string
	floor, naive, etcdctl float64 // NaN: not measured, or without meaning
	clientGo              string  // client-go, in this run or elsewhere
	ours                  float64
	target                string
	limit                 float64 // NaN: no limit that could be computed
	least                 bool    // ours must be at least that, not at most
	reason                string  // of falling short, if it does
}

func (r row) met() bool {
	if r.least {
		return r.ours >= r.limit
	}
	return r.ours <= r.limit
}

const (
	ours  = "elector"
	naive = "naive"
	bare  = "floor"
	elect = "etcdctl elect"
	lease = "client-go"
)

// ofThree is the end of the name of many small elections.
const ofThree = "of three"

// elsewhere marks figures of client-go's Lease election with its defaults (15 s, 10 s, 2 s) from another machine: v0.37
// against an API server 1.37. They stand where this run has none.
const elsewhere = `\*`

// found is a figure of client-go's where it was measured, and else the one from elsewhere, if there is any.
func found(measured float64, show func(float64) string, from string) string {
	switch {
	case !math.IsNaN(measured):
		return show(measured)
	case from == "":
		return ""
	}
	return from + elsewhere
}

// rows are the figures to meet, from what was found.
func rows(f Found) []row {
	none := math.NaN()
	var all []row
	const released = "1265 to 1884"
	crashed := found(f.Median("crash", lease), span, "16.2 s")
	for _, waiting := range waitings(f) {
		m := "handover " + waiting
		r := row{
			name: "planned handover, " + waiting + " waiting, ms", floor: f.Median(m, bare), naive: f.Median(m, naive),
			etcdctl: f.Median(m, elect), clientGo: found(f.Median(m, lease), number, map[bool]string{true: released}[len(all) == 0]),
			ours: f.Median(m, ours), target: "≤ 2 × floor", limit: 2 * f.Median(m, bare), reason: reasonHandover,
		}
		if n, _ := strconv.Atoi(waiting); n >= 100 && len(all) > 0 {
			r.target, r.limit, r.reason = "≤ 2 × naive", 2*r.naive, reasonCrowd
		}
		all = append(all, r)
	}
	for _, m := range durable(f) {
		all = append(all, row{
			name: "the same on three members with fsync, ms", floor: f.Median(m, bare), naive: f.Median(m, naive), etcdctl: f.Median(m, elect),
			clientGo: found(f.Median(m, lease), number, released), ours: f.Median(m, ours), target: "≤ 2 × floor", limit: 2 * f.Median(m, bare), reason: reasonHandover,
		})
	}
	all = append(all, row{
		name: "crash: next yes after last renewal + TTL, ms", floor: 0, naive: f.Median("crash beyond the lease", naive), etcdctl: none,
		clientGo: crashed + " in all", ours: f.Median("crash beyond the lease", ours), target: "≤ 550 ms", limit: 550, reason: reasonCrash,
	})
	for _, how := range []string{"worker with a hold", "worker as a child"} {
		all = append(all, row{
			name: how + " killed, ms", floor: none, naive: none, etcdctl: none, clientGo: crashed, ours: f.Median(how, ours),
			target: "≤ 50 ms", limit: 50, reason: reasonWorker,
		})
	}
	for _, wrong := range []struct{ name, elsewhere string }{
		{"two yes, black hole", "5.2 s"}, {"two yes, black hole behind a slow link", ""}, {"two yes, etcd's leader deposed", ""},
		{"stale yes after a freeze", "10 s"},
	} {
		all = append(all, row{
			name: wrong.name + ", most, ms", floor: 0, naive: f.Most(wrong.name, naive), etcdctl: none, clientGo: found(f.Most(wrong.name, lease), number, wrong.elsewhere),
			ours: f.Most(wrong.name, ours), target: "0", limit: 0, reason: reasonOverlap,
		})
	}
	peer := func(name, m, from, target string, limit float64, reason string) {
		all = append(all, row{
			name: name, floor: f.Median(m, bare), naive: f.Median(m, naive), etcdctl: f.Median(m, elect), clientGo: found(f.Median(m, lease), number, from),
			ours: f.Median(m, ours), target: target, limit: limit, reason: reason,
		})
	}
	peer("idle RSS, MB", "idle RSS MB", "24.6", "≤ 1.15 × floor", 1.15*f.Median("idle RSS MB", bare), reasonRSS)
	peer("idle CPU, ms/min", "idle CPU ms/min", "28 to 67", "≤ 1.25 × floor", 1.25*f.Median("idle CPU ms/min", bare), reasonCPU)
	peer("stripped binary, MB", "binary MB", "28.1", "≤ 1.25 × floor", 1.25*f.Median("binary MB", bare), reasonSize)
	peer("start to leader, ms", "start", "24", "≤ 1.5 × naive", 1.5*f.Median("start", naive), reasonStart)
	load := "/leader, 64 connections, requests/s"
	all = append(all, row{
		name: load, floor: f.Median(load, bare), naive: f.Median(load, naive), etcdctl: none, ours: f.Median(load, ours),
		target: "≥ 0.95 × floor", limit: 0.95 * f.Median(load, bare), least: true, reason: reasonLoad,
	})
	peace := func(at, who, from string) {
		m := "etcd ms/s " + at
		writes := found(f.Median("API server writes/h", lease), perHour, "1800/h")
		if strings.HasSuffix(at, ofThree) {
			writes += " each"
		}
		all = append(all, row{
			name: "etcd's CPU, " + who + ", ms/s", floor: none, naive: f.Median(m, naive), etcdctl: none,
			clientGo: found(none, number, from), ours: f.Median(m, ours), target: "≤ 1.25 × naive", limit: 1.25 * f.Median(m, naive), reason: reasonEtcd,
		})
		all = append(all, row{
			name: "revisions in peace, " + who, floor: 0, naive: f.Median("etcd revisions "+at, naive), etcdctl: none,
			clientGo: writes, ours: f.Median("etcd revisions "+at, ours), target: "0", limit: 0, reason: "",
		})
	}
	for _, waiting := range waitings(f) {
		peace(waiting, "1 leader and "+waiting+" waiting", map[bool]string{true: "134 + 59"}[waiting == "100"])
	}
	for m := range f {
		if at, ok := strings.CutPrefix(m, "etcd ms/s "); ok && strings.HasSuffix(at, ofThree) {
			peace(at, at, "")
		}
	}
	return all
}

// waitings are the sizes of fleets of one member of etcd that were measured, the least first.
func waitings(f Found) (sizes []string) {
	for n := range 2000 {
		if at := fmt.Sprint(n); f["handover "+at] != nil {
			sizes = append(sizes, at)
		}
	}
	return sizes
}

// durable is the measure of handovers on three members, if they were measured.
func durable(f Found) []string {
	for _, waiting := range waitings(f) {
		if m := "handover " + waiting + "/3"; f[m] != nil {
			return []string{m}
		}
	}
	return nil
}

// head is the table at the head.
func head(f Found) string {
	var b strings.Builder
	b.WriteString("| measure | floor | naive | etcdctl elect | client-go | **elector** | × floor | × naive | to meet | |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows(f) {
		verdict := "met"
		if !r.met() {
			verdict = "**short**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | **%s** | %s | %s | %s | %s |\n", r.name, number(r.floor), number(r.naive), number(r.etcdctl),
			r.clientGo, number(r.ours), ratio(r.ours, r.floor), ratio(r.ours, r.naive), r.target, verdict)
	}
	b.WriteString("\n")
	if f["crash"][lease] != nil {
		b.WriteString("*client-go*: its election by Lease in a daemon, [clientgo](README.md), with 15/10/2 s, measured in this run with an API server; milliseconds like all, seconds where it says so.\n")
	}
	if strings.Contains(b.String(), elsewhere) {
		b.WriteString(elsewhere + " from elsewhere, not from this run: client-go 0.37 with 15/10/2 s against an API server 1.37; seconds where it says so.\n")
	}
	b.WriteString("*floor*: bare etcd calls, a program that holds one lease, a handler that writes a constant as long as elector's answer.\n" +
		"*naive*: the daemon that everybody writes first, [plain](README.md). An etcdctl handover counts from the signal, all others from the old one's first no.\n" +
		"Pollers ask, rest for 0.2 ms and ask again, so the first no may be seen after the next one's yes: a time below zero, further down, is that and no overlap.\n")
	return b.String()
}

func perHour(n float64) string { return number(n) + "/h" }

func ratio(a, b float64) string {
	if b == 0 || math.IsNaN(a/b) {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}

// explained names each line that falls short, with the reason.
func explained(f Found) string {
	var b strings.Builder
	told := map[string]bool{}
	for _, r := range rows(f) {
		if r.met() {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("\n## What falls short, and why\n\n")
		}
		if told[r.reason] {
			fmt.Fprintf(&b, "* **%s**: as above.\n", r.name)
			continue
		}
		told[r.reason] = true
		fmt.Fprintf(&b, "* **%s**: %s\n", r.name, r.reason)
	}
	return b.String()
}

// requests explains what etcd is asked for.
func requests(f Found) string {
	var b strings.Builder
	alone, fleet := "requests per TTL with 0 followers", "requests per TTL with 4 followers"
	b.WriteString("\n## What etcd is asked for\n\nRequests and messages on streams as etcd counts them, per TTL (three renewals):\n\n| | naive | elector | elector's are |\n|---|---|---|---|\n")
	for _, line := range []struct {
		what, methods, why string
		of                 func(peer string) float64
	}{
		{"a leader", "", "3 renewals, 3 confirmations, 2 messages that ask the watch stream for a sign of life", func(p string) float64 { return f.Median(alone, p) }},
		{"of these renewals", "", "one each TTL/3", func(p string) float64 { return f.Median(alone+", LeaseKeepAlive", p) }},
		{"of these transactions", "", "one confirmation for each renewal: the only ones that go through etcd's log", func(p string) float64 { return zero(f.Median(alone+", Txn", p)) }},
		{"of these on the watch stream", "", "a watch begun and cancelled each TTL (where watches and renewals go to different members, each TTL/3): leave to read is still there", func(p string) float64 { return zero(f.Median(alone+", Watch", p)) }},
		{"each follower", "", "3 renewals and 2 for the sign of life; no confirmation", func(p string) float64 { return (f.Median(fleet, p) - f.Median(alone, p)) / 4 }},
		{"log entries, a leader", "", "its confirmations", func(p string) float64 { return f.Median("proposals per TTL with 0 followers", p) }},
		{"log entries, each follower", "", "", func(p string) float64 {
			return max(0, (f.Median("proposals per TTL with 4 followers", p)-f.Median("proposals per TTL with 0 followers", p))/4)
		}},
		{"revisions", "", "", func(p string) float64 { return f.Median("revisions per TTL with 4 followers", p) }},
	} {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", line.what, number(line.of(naive)), number(line.of(ours)), line.why)
	}
	b.WriteString("\nA renewal so costs elector's leader 2 requests and two thirds (itself, its confirmation, its part of the sign of life), of which one enters the log.\n\n")
	b.WriteString("A planned handover, from the queue at rest to the queue at rest again; the old leader has left and come back to its end:\n\n| waiting | requests, naive | elector | log entries, naive | elector | revisions, naive | elector |\n|---|---|---|---|---|---|---|\n")
	for _, w := range waitings(f) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", w,
			number(f.Median("requests per handover "+w, naive)), number(f.Median("requests per handover "+w, ours)),
			number(f.Median("proposals per handover "+w, naive)), number(f.Median("proposals per handover "+w, ours)),
			number(f.Median("revisions per handover "+w, naive)), number(f.Median("revisions per handover "+w, ours)))
	}
	b.WriteString("\n" + handoverRequests)
	return b.String()
}

func zero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}
