package election

import "time"

// Event is something that happened outside of the pure core. Events of a session carry its number;
// those of sessions that are no longer current are ignored.
type Event interface{ event() }

// The events.
type (
	// Tick is the passing of time.
	Tick struct{}

	// SessionOpened: a session stands.
	SessionOpened struct {
		Session int
		Opened  Opened
	}
	// SessionFailed: no session could be opened.
	SessionFailed struct {
		Session int
		Refusal string // set when etcd refused
	}
	// SessionOver: the store noticed that the session can not go on.
	SessionOver struct{ Session int }
	// SessionClosed: the session's goroutines have ended and its client is closed.
	SessionClosed struct{ Session int }

	// Renewed: a keep-alive was acknowledged.
	Renewed struct {
		Session int
		Renewal Renewal
	}
	// InTouch: some other request was answered; Sent is when it went out.
	InTouch struct {
		Session int
		Sent    Instant
	}
	// OwnKeyPut: the own key was seen with its latest write.
	OwnKeyPut struct {
		Session int
		Key     KeyState
	}
	// OwnKeyDeleted: the own key has been deleted.
	OwnKeyDeleted struct{ Session int }

	// CampaignWon: no older key is left.
	CampaignWon struct {
		Session int
		Won     Won
	}
	// CampaignFailed: the wait ended otherwise; the key may be there.
	CampaignFailed struct {
		Session int
		Refusal string
	}
	// Confirmed: a confirming transaction was answered, or not.
	Confirmed struct {
		Session      int
		Confirmation Confirmation
		Failed       bool // no answer
		Refusal      string
	}
	// KeyRebound: a rebind was answered, or not.
	KeyRebound struct {
		Session int
		Rebound Rebound
		Failed  bool // no answer: the outcome is unknown
		Refusal string
	}
	// Observed: the oldest key was read, or found absent.
	Observed struct {
		Session     int
		Reply       Reply
		Leader      Candidate // zero when nobody stands
		Standing    int       // candidates in the election; it means nothing to the core
		Predecessor Instant   // when the deletion was seen that led to this reading; zero otherwise
	}

	// ValueSeen: the election's shared value was read, or found absent. It means nothing to the core.
	ValueSeen struct {
		Session int
		Value   *Value // nil: there is none
	}

	// Refused: etcd refuses what the session looks for besides its candidacy or, with an empty Why, does so no more.
	// It means nothing to the core.
	Refused struct {
		Session int
		Why     string
	}

	// TermStopped: evaluation says no from now on, and promises run until PromisedUntil.
	TermStopped struct{ PromisedUntil Instant }
	// TermLapsed: the answering side found the deadline passed before an extension reached it.
	TermLapsed struct{ Token int64 }
	// WorkEnded: the term's work has returned and been joined.
	WorkEnded struct{ Token int64 }
	// ResignAsked: the term is to be given up. Stopped says that whoever acts on its promises has
	// stopped. The next candidacy begins not before Until.
	ResignAsked struct {
		Token   int64
		Stopped bool
		Until   Instant
	}
	// TransferAsked: the term is to be given up to another candidate. Stopped is as in ResignAsked.
	TransferAsked struct {
		Token   int64
		To      Candidate
		Stopped bool
	}
	// Vetted: whoever was asked before the term has answered. The next candidacy after a refusal begins not
	// before Until.
	Vetted struct {
		Session int
		Refused bool
		Until   Instant
	}
	// EligibilityChanged: this elector may not campaign any more, or may again.
	EligibilityChanged struct{ Barred Cause } // CauseNone: it may
	// UnfenceAsked: a person lifts the fence.
	UnfenceAsked struct{}
	// ShutdownAsked: the process is to stop.
	ShutdownAsked struct{}
)

func (Tick) event()               {}
func (SessionOpened) event()      {}
func (SessionFailed) event()      {}
func (SessionOver) event()        {}
func (SessionClosed) event()      {}
func (Renewed) event()            {}
func (InTouch) event()            {}
func (OwnKeyPut) event()          {}
func (OwnKeyDeleted) event()      {}
func (CampaignWon) event()        {}
func (CampaignFailed) event()     {}
func (Confirmed) event()          {}
func (KeyRebound) event()         {}
func (Observed) event()           {}
func (ValueSeen) event()          {}
func (Refused) event()            {}
func (TermStopped) event()        {}
func (TermLapsed) event()         {}
func (WorkEnded) event()          {}
func (ResignAsked) event()        {}
func (TransferAsked) event()      {}
func (Vetted) event()             {}
func (EligibilityChanged) event() {}
func (UnfenceAsked) event()       {}
func (ShutdownAsked) event()      {}

// action is something that the shell does for the core.
type action interface{ action() }

// The actions.
type (
	// openSession opens session number Session. Attempt counts from 1 and drives the back-off.
	openSession struct{ Session, Attempt int }
	// campaign waits in the queue.
	campaign struct{ Session int }
	// confirm sends a confirming transaction.
	confirm struct {
		Session int
		Claim   Claim
	}
	// rebind binds the key to a new lease.
	rebind struct {
		Session  int
		Claim    Claim
		RaftTerm uint64
	}
	// closeSession ends the session, with release by deleting the key and revoking the lease, after the lead
	// has been passed on to another candidate if there is one.
	closeSession struct {
		Session int
		Release bool
		Claim   Claim
		To      Candidate
	}
	// vet asks whether the term may begin, which endVet ends early.
	vet struct {
		Session int
		Token   int64
		Key     string
	}
	// endVet cancels that, and asks for its Vetted.
	endVet struct{ Cause Cause }
	// beginTerm starts the work of a term that has just been published.
	beginTerm struct {
		Token  int64
		Key    string
		Waited time.Duration // since the predecessor's deletion was seen; zero when it was not
	}
	// endTerm asks for TermStopped, since evaluation already says no, then cancels the work and
	// asks for WorkEnded.
	endTerm struct{ Cause Cause }
	// countRenewal is for the metrics.
	countRenewal struct {
		Result       RenewalResult
		Renewal      Renewal
		Confirmation Reply
	}
	// countSession is for the metrics.
	countSession struct{ Result SessionResult }
)

func (openSession) action()  {}
func (campaign) action()     {}
func (confirm) action()      {}
func (rebind) action()       {}
func (closeSession) action() {}
func (vet) action()          {}
func (endVet) action()       {}
func (beginTerm) action()    {}
func (endTerm) action()      {}
func (countRenewal) action() {}
func (countSession) action() {}

// SessionResult says how an attempt at a session went.
type SessionResult string

// The results of sessions.
const (
	SessionIsOpen   SessionResult = "opened"
	SessionNotOpen  SessionResult = "failed"
	SessionWasLost  SessionResult = "lost"     // the lease, the key or etcd's word had gone
	SessionReleased SessionResult = "released" // by choice
)

// SessionResults lists every result, for metrics that initialise their label values.
var SessionResults = []SessionResult{SessionIsOpen, SessionNotOpen, SessionWasLost, SessionReleased}
