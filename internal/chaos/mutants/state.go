package main

// The files that edits of the state directory's defences are made in.
const (
	dirGo         = "internal/statedir/dir_linux.go"
	fileGo        = "internal/statedir/file_linux.go"
	predecessorGo = "internal/etcdstore/predecessor.go"
	runGo         = "internal/election/run.go"
)

// ofTheState are the defences of what one process leaves to the next.
func ofTheState() []mutant {
	refused := func(row string) catcher {
		return namedTest("./internal/statedir", "TestDirectoryThatIsNotThisElectorsAloneIsRefused/"+row, "taken, with")
	}
	return []mutant{
		{"one owner", "a state directory belongs to one living process",
			[]edit{{fileGo, "unix.LOCK_EX|unix.LOCK_NB", "unix.LOCK_SH|unix.LOCK_NB"}},
			[]catcher{refused("in_use")}},
		{"a copy is known", "a state whose lock file is another says nothing of the process that wrote it",
			[]edit{{dirGo, "if old.Boot == fresh.Boot && old.Lock != lock {", "if false {"}},
			[]catcher{refused("a_copy")}},
		{"another boot", "nothing is concluded about the processes of another boot",
			[]edit{{dirGo, "	if old.Boot == fresh.Boot {\n", "	if true {\n"}},
			[]catcher{namedTest("./internal/statedir", "TestNothingIsConcludedOfAnotherBootButWhatWasSeen", "told")}},
		{"promises of the dead", "a dead process's key stays until its promises have run out",
			[]edit{{predecessorGo, "stopped && left <= 0", "stopped"}},
			[]catcher{namedTest("./internal/etcdstore", "TestKeyOfADeadProcessIsReleasedWhenItsPromisesHaveRunOut/with_its_token",
				"gone at .*, promised until")}},
		{"work of the dead", "a dead process's key stays until its work has ended",
			[]edit{{predecessorGo, "stopped, err := p.Stopped()", "_, err := p.Stopped()\n\t\tstopped := true"}},
			[]catcher{namedTest("./internal/etcdstore", "TestKeyOfADeadProcessStaysWhileItsWorkRuns", "gone before its work")}},
		{"its own key", "only the key of the dead process itself is released",
			[]edit{{predecessorGo, "if !leftBy(p, kv) {", "if false {"}},
			[]catcher{namedTest("./internal/etcdstore", "TestKeyThatIsNotKnownToBeOfADeadProcessIsLeftAlone/another_token",
				"released")}},
		{"its own etcd", "what is known of a key of one etcd is not used in another",
			[]edit{{predecessorGo, "if p.ClusterID == clusterID {", "if true {"}},
			[]catcher{namedTest("./internal/etcdstore", "TestKeyThatIsNotKnownToBeOfADeadProcessIsLeftAlone/another_cluster",
				"released")}},
		{"written before the yes", "the key's token is on disk before the first yes",
			[]edit{{runGo, "	r.noteCandidacy(ctx, candidacy(opened, won.Token))\n", ""}},
			[]catcher{namedTest("./internal/election", "TestKeyIsInTheJournalBeforeItIsPutAndItsTokenBeforeTheFirstYes", "never writes the token")}},
		{"what was seen", "an elector that kept state refuses a restored etcd",
			[]edit{{runGo, "seen: e.cfg.Past.Seen.evidence(),", "seen: evidence{},"}},
			[]catcher{namedTest("./internal/election", "TestElectorThatKeptStateRefusesARestoredEtcd", ".*fenced did not happen")}},
		{"a fence that lasts", "a fence outlasts the process that saw why",
			[]edit{{runGo, "fenced: e.cfg.Past.Fenced != CauseNone,", "fenced: false,"}},
			[]catcher{namedTest("./internal/election", "TestFenceLastsUntilAPersonLiftsIt", "after a restart|unfence: this elector is not fenced")}},
	}
}
