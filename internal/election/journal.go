package election

// Journal keeps what later processes of this elector are to know when this one has died. Calls come one after the
// other from a goroutine that does nothing else, so they may block for as long as a disk does. A nil error
// means that the entry outlasts a crash of the host. After an error it may be there or not, and goes with
// the next one. No error costs the lead, and neither does a call that hangs; but Run returns only after it.
type Journal interface {
	// Candidacy notes a key: before it is put, and once more with its token before the win counts. It takes
	// the place of the one before.
	Candidacy(Candidacy) error
	// Seen notes how far etcd has been seen.
	Seen(Mark) error
	// Fenced notes that the elector is fenced, and why. CauseNone notes that a person has lifted the fence, and
	// with it whatever was seen before.
	Fenced(Cause) error
}

// Candidacy is a key of the election as its owner knows it.
type Candidacy struct {
	ClusterID uint64 // of the etcd that it is in
	Key       string
	Lease     LeaseID // under which the key was put; a rebind gives it another
	Token     int64   // 0: not known
}

// Mark is how far etcd has been seen: its revision, and the greatest token of a leader. The zero value is nowhere.
type Mark struct {
	Revision int64
	Token    int64
}

// Past is what an elector knows from its earlier processes. The zero value is nothing.
type Past struct {
	Seen         Mark
	Fenced       Cause         // why it is fenced; CauseNone: it is not
	Predecessors []Predecessor // the oldest first
}

// Predecessor is an earlier process of this elector. It is known to be dead, and its key may still stand.
type Predecessor struct {
	Candidacy
	Incarnation string
	FreeAt      Instant // every promise that it gave has run out

	// Stopped reports whether whatever its term drove has ended as well. An error says that this cannot be
	// known here: its key is then left to its lease. It does not block.
	Stopped func() (bool, error)
	// Forget is called when its key is known to be gone. It does not block.
	Forget func()
}

// evidence is what was seen, as something that any reply of this process comes after: instants of an earlier one
// may be of another boot. A token is a revision too.
func (m Mark) evidence() evidence {
	var e evidence
	if m.Revision > 0 || m.Token > 0 {
		e.revision, e.revisionAt = max(m.Revision, m.Token), 1
	}
	if m.Token > 0 {
		e.token, e.tokenAt = m.Token, 1
	}
	return e
}

func (e evidence) mark() Mark { return Mark{Revision: e.revision, Token: e.token} }
