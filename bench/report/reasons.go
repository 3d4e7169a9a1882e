package report

// The reasons for which lines fall short, as profiles and trials showed them; a line that is met does not print its own.
const (
	reasonHandover = "The next candidate reads when the key has gone, as the floor does; then it asks before it begins " +
		"(hooks may refuse) and confirms: one write through etcd's log that neither the floor nor the naive daemon makes, and " +
		"without which a win that is none (etcd-io/etcd#19597) or an etcd leader that was deposed makes two leaders. All but " +
		"the floor are also seen through two pollers, which is 0.2 to 0.5 ms, so the naive daemon is beyond twice the floor as well. The old one gives its key up within a " +
		"fraction of a millisecond after its first no (*of that with the key*, below). Thought through and left: to confirm in " +
		"the same flight as the library's own read, when the deletion is seen. It saves one read, and needs a win that is " +
		"proved before the library says so: a change to the core whose every interleaving is explored, not to its edge."
	reasonCrowd = "As with few, and nothing comes on top that grows much with the queue: candidates that are not next do not watch the " +
		"leader's key where more than 64 stand. They did: etcd told each of them of the deletion before it served the next one, and with " +
		"1,000 that took 46 ms instead of 5; with the others set aside to idle processor time it still took 43, so it was etcd's time. Now " +
		"each renewal tells them whether anything has changed in etcd, and then they look. What is left, with 1,000: the look and the " +
		"confirmation each have etcd read and sort all keys of the queue, a millisecond or two, where the naive daemon has it do that once."
	reasonCrash = "etcd looks for leases that have run out every half second, and one that it is told to revoke late is " +
		"late here too."
	reasonWorker  = "The hold's end is seen at once by the kernel; what follows is a planned handover."
	reasonOverlap = "This must not be: two yes at once is a defect. Please report it, with this file."
	reasonRSS     = "Four fifths are pages of the program's own file, which the kernel maps in when they are touched and which " +
		"all electors of a host share; they follow the size of the binary, below, and fall with it. The part that " +
		"is this process's own (heap, stacks, data) is 2 MB more than the floor's: command line, metrics, HTTP, " +
		"and on a leader the garbage of its first minutes, which Go collects when 4 MB have come together. A lower " +
		"GOGC or a memory limit does not help: seen before, both make it larger or cost processor time."
	reasonCPU = "By count, not by weight: each time that an idle process is woken costs it some 0.16 ms of the kernel's and the " +
		"Go scheduler's time, whatever it does then (a trace counts 3.3 wake-ups a second in the floor, all of them the etcd client's own " +
		"half-second timers and renewals). On top come the loop's beat (twelve in a TTL on a leader, so that a worker is told " +
		"soon after a suspend; six on others, so that a loop that stands still is noticed before its lease is renewed), gRPC's pings, and on the " +
		"leader the confirmations. Cut, as the trace showed them: the sign of life that the watch stream was asked for each TTL/3, where " +
		"renewals go by the same connection; half of a follower's beats; a look at files where there are none. A leader's beat and its " +
		"confirmations are defences ([docs/safety.md](../docs/safety.md))."
	reasonSize = "elector itself is 0.6 MB, cobra and pflag 0.2 MB, a reader of YAML 0.2 MB; the rest is net/http's client, " +
		"Prometheus' client, and the tables that Go keeps for all of it."
	reasonStart = "Before the first yes come a read of the election, a grant, the campaign's put and one confirmation through " +
		"etcd's log."
	reasonLoad = "A profile shows net/http and the kernel in nine tenths; what elector adds are limits on time, five deadlines set and " +
		"taken back for each request, which the bare handler does without, a reading of the boot clock, which is a system call, and four headers. Tried and kept: a body that is written into a form of its " +
		"state (32 to 18 allocations for each request, of which net/http's own are all but none) and connections that " +
		"are counted without a lock."
	reasonEtcd = "Besides renewals each elector asks the watch stream for a sign of life each TTL, and the leader confirms " +
		"each renewal (below): a write through etcd's log, which weighs most where each third elector leads. The sign of life was " +
		"asked for each TTL/3, until all of a session's requests went to one endpoint, whose answers to renewals say as much. " +
		"Each TTL is kept: connections have been seen on which answers to other requests came and events of watches did not " +
		"(etcd-io/etcd#15402), and a candidate whose watch is dead would let its turn pass."
	handoverRequests = "The old leader makes most of them when it comes back, as a new process: a new connection and session (a read, a " +
		"grant, a campaign's put, a stream of keep-alives, four watches), a look for others under its identity. Each candidate looks who leads " +
		"now: one read, and one watch ended and one begun; where more than 64 stand none but the next one watches, and the others look when their next " +
		"renewal says that something has changed. Candidates that are not next take their time (2 ms for each in the queue), so part of it comes " +
		"after the count.\n"
)
