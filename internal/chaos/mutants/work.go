package main

// The files that edits of the work's defences are made in.
const (
	childGo   = "internal/work/child.go"
	coreGo    = "internal/election/core.go"
	guardGo   = "internal/work/guard_linux.go"
	holdGo    = "internal/work/hold.go"
	holdAPIGo = "internal/httpapi/hold.go"
	processGo = "internal/process/process_linux.go"
)

// ofTheWork are the defences that have work end before its term.
func ofTheWork() []mutant {
	held := func(test, says string) catcher { return namedTest("./internal/work", test, says) }
	return []mutant{
		{"join of a command", "the key stays until nothing of the command's process group is left",
			[]edit{{childGo, "	p.End(c.cfg.Stop, grace)\n", "	go p.End(c.cfg.Stop, grace)\n"}},
			[]catcher{held("TestStubbornGroupIsKilledToTheLast", "something of the group is left")}},
		{"the guard's deadline", "a command is killed when its lease ends, also while its elector is frozen",
			[]edit{{guardGo, "if end > 0 && boottime.Now() >= end {", "if false {"}},
			[]catcher{chaos("work")}},
		{"the guard's pipe and the kernel's word", "a command dies with its elector",
			[]edit{
				{guardGo, "			case !ok:\n				kill()\n", "			case !ok:\n"},
				{processGo, ", Pdeathsig: syscall.SIGKILL}", "}"},
			},
			[]catcher{chaos("work")}},
		{"a guard for the guard", "a command whose guard has ended is killed",
			[]edit{{childGo, "		case <-guard.gone:\n", "		case <-make(chan struct{}):\n"}},
			[]catcher{namedTest("./internal/work", "TestCommandWithoutItsGuardIsKilled", "the command outlives its guard")}},
		{"grace out of the lease", "work that needs time to stop is told that much earlier",
			[]edit{{coreGo, "return Margin(c.lease.ttl) + c.grace", "return Margin(c.lease.ttl)"}},
			[]catcher{model("time-to-stop", "time to stop")}},
		{"join of holds", "the key stays until workers that were told a yes have let go",
			[]edit{{holdGo, "		if len(told) == 0 {\n", "		if true {\n"}},
			[]catcher{held("TestKeyIsReleasedWhenTheWorkerHasStopped", "the next leads while the worker is stopping")}},
		{"promises of holds that are cut", "what a worker that is not heard of was promised is kept",
			[]edit{{holdGo, "	if left := until.Sub(hs.cfg.Clock.Now()); left > 0 {\n", "	if left := until.Sub(hs.cfg.Clock.Now()); false {\n"}},
			[]catcher{held("TestPromiseOfACutWorkerIsKept", "released at .*, promised until")}},
		{"promises after the work", "a yes on a hold is kept when the term's work has returned already",
			[]edit{{holdGo, "now.Leading && now.Token == hs.wound {", "now.Leading && false {"}},
			[]catcher{held("TestHoldThatIsToldAYesAfterTheWorkHasReturnedIsOwedIt", "the next leads at .*, a worker has been promised")}},
		{"no hold, no lead", "an elector whose only worker is dead steps down",
			[]edit{{holdGo, "	if hs.Count() == 0 {\n", "	if false {\n"}},
			[]catcher{held("TestDeadWorkerCostsTheLeadAtOnce", "its worker is dead, and it says")}},
		{"signs of life", "a hold whose worker is not heard of is cut",
			[]edit{{holdAPIGo, "limit = time.Now().Add(timeout)", "limit = time.Time{}"}},
			[]catcher{namedTest("./internal/httpapi", "TestHoldOfAWorkerThatIsNotHeardOfIsCut", "the hold stands")}},
	}
}
