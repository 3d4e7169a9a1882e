package history

// Kinds lists every kind of fault, in the order in which they are declared.
func Kinds() []string {
	return []string{
		ElectorPause, ElectorKill, ElectorStop, ElectorStarve, ElectorFiles,
		ElectorFreeze, WorkerKill, WorkerPause, GuardKill, WorkerSick, Veto, Transfer, Drain,
		MemberPause, LeaderPause, LeaderDepose, MemberKill, MemberStarve, AllRestart, SlowDisk, LeaderMove,
		PartitionTotal, PartitionOne, PartitionOneWay, PartitionHeld, PartitionHalf, MemberIsolate, Delay,
		LeaseRevoke, KeyDelete, PrefixDelete, Compact, CompactStorm, Defragment, NoSpace, MemberReplace, MemberLearner,
		Rotation, Churn, Restore, RestoreBumped,
	}
}

// BehindTheBack reports whether a fault of that kind takes keys away without their owners having a part
// in it. Nothing is promised to such a term but that it notices soon.
func BehindTheBack(kind string) bool {
	switch kind {
	case LeaseRevoke, KeyDelete, PrefixDelete, Restore, RestoreBumped:
		return true
	}
	return false
}
