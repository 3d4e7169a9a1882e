/*
 * The lease protocol, written down anew from docs/safety.md for spin(1). TestLease runs it and says what it shows.
 *
 * Time goes in ticks. What is compared with a clock is kept as what is left of it, so that a run may go on for ever. A
 * process that is paused is one that takes no step while ticks pass, and a late message is one that stays where it is.
 * etcd's clock is a tick fast in each TTL, which the margin is for.
 *
 * The etcd leader of the newest raft term counts the leases. The one before it, the ghost, goes on counting those that it
 * knew: it acknowledges renewals, denies leases that were granted after it, and proposes to revoke what it finds expired.
 *
 * Until calm is set anything may take as long as it likes. From then on time waits until nobody has anything left to do,
 * as it does where everything is quick in comparison with a TTL, and nothing is lost any more.
 */

#ifndef N
#define N 1		/* electors */
#endif
#ifndef TERMS
#define TERMS 2		/* raft terms */
#endif
#ifndef LOSSES
#define LOSSES 0	/* requests or replies that may be lost, releases aside */
#endif
#ifndef TTL
#define TTL 3
#endif
#ifdef NO_MARGIN
#define MARGIN 0
#else
#define MARGIN 1
#endif
#define LIFE (TTL - 1)	/* of a lease by the fastest clock of etcd */
#define LONGEST 1	/* promise */
#ifndef SLOTS
#define SLOTS 2		/* leases that one elector can have at once; with a put that is lost, 3 */
#endif
#define LEASES (N * SLOTS)
#define NONE 9
#define AGAIN 5		/* versions of a key come again when all that could name the earlier one is gone */

/* etcd */
byte term = 1;
bit held[LEASES];	/* the lease exists */
byte granted[LEASES];	/* in which raft term */
byte left[LEASES];	/* until its leader may find it expired */
byte ghostly[LEASES];	/* the same for the ghost; NONE: it does not know the lease */
bit doomed[LEASES];	/* a revoke is on its way */
byte ghost;		/* its raft term; 0: there is none */
bit key[N];
byte bound[N];		/* the lease that the key is on */
byte version[N];	/* moves with each write to the key */
byte oldest = NONE;	/* whose key is the oldest */

/* electors */
mtype = { out, asked, granting, putting, queued, won, leading, ending };
mtype at[N] = out;
byte own[N];		/* the lease that is kept alive */
byte in[N];		/* the raft term in which its renewals count; 0: in none */
byte seen[N];		/* greatest raft term in any reply */
byte mine[N];		/* version of the last own write */
byte sure[N];		/* left of the deadline by confirmed renewals */
byte acked[N];		/* left of the deadline by acknowledgements alone */
byte promised[N];	/* left of the longest promise */
bit unresolved[N];	/* the key is to be bound to another lease: nothing counts until it is known to be */

/* What is on its way: of each elector a keep-alive, a confirmation, a grant and a put at most. */
mtype = { idle, sent, yes, no };
mtype ka[N] = idle;
byte kaLeft[N], kaTerm[N];
bit ack[N];		/* a renewal waits for its confirmation */
byte ackLeft[N];
mtype cf[N] = idle;
byte cfLeft[N], cfTerm[N];
bit cfOldest[N];
mtype gr[N] = idle;
byte grLeft[N], grLease[N], grTerm[N], grBefore[N];	/* grBefore: in a reply that had come before it was sent */
mtype pt[N] = idle;
byte ptVersion[N], ptTerm[N];
bit stray[N];		/* a put that was given up, and may be applied yet */
byte strayLease[N], strayVersion[N];

bit calm;
byte losses = LOSSES;

#ifdef FLAG
#define YES(i) (at[i] == leading)
#else
#define YES(i) (at[i] == leading && sure[i] > MARGIN)
#endif

#if N == 2
#define LED (YES(0) || YES(1))
#else
#define LED YES(0)
#endif

/* what counts when a reply comes: the deadline by which it is in time */
#define FORCE(i) ((at[i] == leading -> sure[i] : acked[i]))
#ifdef NO_IN_TIME
#define IN_TIME(i) (at[i] != leading || sure[i] > MARGIN)
#else
#define IN_TIME(i) (FORCE(i) > MARGIN)
#endif
#ifdef NO_TERM_RULE
#define COUNTS(i, t) true
#define OUTDATED(i) false
#else
#define OUTDATED(i) (seen[i] > in[i])
#define COUNTS(i, t) (in[i] != 0 && (t) == in[i])
#endif
#ifdef NO_SETTLED
#define SETTLED(i) true
#else
#define SETTLED(i) (grTerm[i] == grBefore[i])
#endif
#ifdef NO_MOD
#define UNTOUCHED(i, v) true
#else
#define UNTOUCHED(i, v) (version[i] == (v))
#endif

/* a lease that nothing names any more */
#define FIRST(i) (i * SLOTS)
#define FREE(i, l) (!held[l] && !NAMED(i, l))
#if SLOTS > 2
#define THIRD_FREE(i) FREE(i, FIRST(i) + 2)
#else
#define THIRD_FREE(i) false
#endif
#define HAS_FREE(i) (FREE(i, FIRST(i)) || FREE(i, FIRST(i) + 1) || THIRD_FREE(i))

inline less(v) { v = (v > 0 -> v - 1 : 0) }

inline top(v, w) { v = (w > v -> w : v) }

inline lose_message() { !calm && losses > 0; losses-- }

/* A lease that nothing names is as good as gone. */
#define NAMED(i, l) (own[i] == (l) || key[i] && bound[i] == (l) || (gr[i] != idle || pt[i] != idle) && grLease[i] == (l) || stray[i] && strayLease[i] == (l))

inline forget(l) { held[l] = 0; doomed[l] = 0; granted[l] = 0; left[l] = 0; ghostly[l] = NONE }

inline sweep(i) {
	if :: NAMED(i, FIRST(i)) :: else -> forget(FIRST(i)) fi;
	if :: NAMED(i, FIRST(i) + 1) :: else -> forget(FIRST(i) + 1) fi;
#if SLOTS > 2
	if :: NAMED(i, FIRST(i) + 2) :: else -> forget(FIRST(i) + 2) fi
#endif
}

inline removeKey(j) {
	assert(!YES(j));		/* a yes ends before its key goes */
	assert(promised[j] == 0);	/* and so does every promise */
	key[j] = 0; bound[j] = 0; version[j] = 0;
	stray[j] = 0; strayLease[j] = 0; strayVersion[j] = 0;	/* its condition names a token that never comes again */
	if
	:: oldest == j -> oldest = NONE;
#if N == 2
		if
		:: key[1 - j] -> oldest = 1 - j
		:: else
		fi
#endif
	:: else
	fi
}

inline grantLease(i) {
	held[grLease[i]] = 1; granted[grLease[i]] = term; left[grLease[i]] = LIFE; ghostly[grLease[i]] = NONE
}

/* A put of the key on another lease, on the condition of the version: of all that it writes, or of nothing. */
inline apply(i, l, v) {
	if
	:: key[i] && UNTOUCHED(i, v) && held[l] -> bound[i] = l; version[i] = (version[i] + 1) % AGAIN
	:: else
	fi
}

proctype Lease(byte l) {
	do
	:: d_step { held[l] && left[l] == 0 && !doomed[l] -> doomed[l] = 1 }
	:: d_step { !calm && held[l] && ghostly[l] == 0 && !doomed[l] -> doomed[l] = 1 }
	:: atomic { doomed[l] ->
		if
		:: held[l] && key[l / SLOTS] && bound[l / SLOTS] == l -> removeKey(l / SLOTS)
		:: else
		fi;
		forget(l); sweep((l / SLOTS)) }
	od
}

/* Etcd handles what an elector has sent. */
proctype Etcd(byte i) {
	do
	:: atomic { ka[i] == sent ->
		if
		:: held[own[i]] -> left[own[i]] = LIFE; ka[i] = yes; /* even if a revoke is on its way */
			if
			:: kaTerm[i] = term
			:: !calm && term > granted[own[i]] -> kaTerm[i] = term - 1 /* through a member that lags */
			fi
		:: !held[own[i]] -> ka[i] = no; kaTerm[i] = term
		:: !calm && ghost != 0 && ghostly[own[i]] != NONE -> ghostly[own[i]] = LIFE; ka[i] = yes; kaTerm[i] = ghost
		:: !calm && ghost != 0 && ghostly[own[i]] == NONE -> ka[i] = no; kaTerm[i] = ghost
		:: lose_message(); ka[i] = idle; kaLeft[i] = 0
		fi }
	:: atomic { cf[i] == sent ->
		if
		:: cfTerm[i] = term; cfOldest[i] = (oldest == i);
			cf[i] = (key[i] && bound[i] == own[i] && version[i] == mine[i] -> yes : no)
		:: lose_message(); ack[i] = 1; ackLeft[i] = (ackLeft[i] > cfLeft[i] -> ackLeft[i] : cfLeft[i]); cf[i] = idle; cfLeft[i] = 0
		fi }
	:: atomic { gr[i] == sent ->
		if
		:: grantLease(i); gr[i] = yes
		:: lose_message(); grantLease(i); gr[i] = no
		:: lose_message(); gr[i] = no
		fi }
	:: atomic { pt[i] == sent ->
		if
		:: ptTerm[i] = term;
			if
			:: !held[grLease[i]] -> gr[i] = no; pt[i] = idle		/* refused: the lease is gone */
			:: else ->
				if
				:: key[i] && UNTOUCHED(i, ptVersion[i]) ->
					apply(i, grLease[i], ptVersion[i]); ptVersion[i] = version[i]; pt[i] = yes
				:: else -> ptVersion[i] = (key[i] -> version[i] : NONE); pt[i] = no
				fi
			fi
		:: lose_message(); apply(i, grLease[i], ptVersion[i]); gr[i] = no; pt[i] = idle
		:: !calm && losses > 0 && !stray[i] && key[i] -> losses--; stray[i] = 1; strayLease[i] = grLease[i]; strayVersion[i] = ptVersion[i]; gr[i] = no; pt[i] = idle
		fi }
	:: atomic { stray[i] -> apply(i, strayLease[i], strayVersion[i]); stray[i] = 0; strayLease[i] = 0; strayVersion[i] = 0; sweep(i) }
	od
}

/* lease for a grant: the first that is free */
inline choose(i) {
	grLease[i] = (FREE(i, FIRST(i)) -> FIRST(i) : (FREE(i, FIRST(i) + 1) -> FIRST(i) + 1 : FIRST(i) + 2));
	gr[i] = sent; grLeft[i] = TTL; grBefore[i] = seen[i]
}

/* The stamp of a grant's reply is the raft term in which it was applied, or a later one. */
inline stamp(i) {
	if
	:: grTerm[i] = granted[grLease[i]]
	:: !calm && held[grLease[i]] && term > granted[grLease[i]] -> grTerm[i] = term
	fi
}

/* The session is over: what is on its way for it finds nobody. */
inline finish(i) {
	at[i] = ending; unresolved[i] = 0; sure[i] = 0; acked[i] = 0; in[i] = 0; seen[i] = 0; mine[i] = 0; own[i] = NONE;
	ka[i] = idle; kaLeft[i] = 0; kaTerm[i] = 0; ack[i] = 0; ackLeft[i] = 0;
	cf[i] = idle; cfLeft[i] = 0; cfTerm[i] = 0; cfOldest[i] = 0;
	if
	:: pt[i] == sent && key[i] && !stray[i] -> stray[i] = 1; strayLease[i] = grLease[i]; strayVersion[i] = ptVersion[i]
	:: else
	fi;
	gr[i] = idle; grLeft[i] = 0; grLease[i] = 0; grTerm[i] = 0; grBefore[i] = 0; pt[i] = idle; ptVersion[i] = 0; ptTerm[i] = 0;
	sweep(i)
}

inline begin(i, until) {
	if
	:: until > MARGIN ->
		assert(key[i] && oldest == i);
#if N == 2
		assert(!YES(1 - i));
#endif
		at[i] = leading; sure[i] = until
	:: else
	fi
}

/* A renewal that counts moves the deadline to when it was sent and a TTL. */
inline extend(i, until) {
	if
	:: at[i] == leading -> top(sure[i], until)
	:: at[i] == won -> begin(i, until)
	:: else
	fi
}

proctype Elector(byte i) {
	do
	/* a session: a reply that carries the raft term, a grant, a key */
	:: atomic { at[i] == out && !key[i] && HAS_FREE(i) -> seen[i] = term; at[i] = asked }
	:: atomic { at[i] == asked && HAS_FREE(i) -> choose(i); at[i] = granting }
	:: atomic { at[i] == granting && gr[i] == no -> finish(i); at[i] = out }
	:: atomic { at[i] == granting && gr[i] == yes ->
		stamp(i);
		if
		:: SETTLED(i) -> own[i] = grLease[i]; in[i] = grTerm[i]; acked[i] = grLeft[i];
			top(seen[i], grTerm[i]); ack[i] = 1; ackLeft[i] = grLeft[i]; at[i] = putting;
			gr[i] = idle; grLeft[i] = 0; grLease[i] = 0; grTerm[i] = 0; grBefore[i] = 0
		:: else -> finish(i); at[i] = out
		fi }
	:: atomic { at[i] == putting ->
		if
		:: held[own[i]] -> key[i] = 1; bound[i] = own[i]; version[i] = 0; mine[i] = 0; at[i] = queued;
			oldest = (oldest == NONE -> i : oldest)
		:: else -> finish(i); at[i] = out
		fi }
	/* no older key is left; or Campaign has returned for a key that is gone */
	:: atomic { at[i] == queued && (oldest == i || !calm && !key[i]) && IN_TIME(i) -> at[i] = won;
#ifdef TRUST_CAMPAIGN
		begin(i, acked[i])
#endif
	}

	/* renewals */
	:: d_step { (at[i] == queued || at[i] == won || at[i] == leading) && ka[i] == idle && (!calm || acked[i] < TTL) ->
		ka[i] = sent; kaLeft[i] = TTL }
	:: atomic { ka[i] == no ->
		if
#ifndef ZOMBIE
		:: kaTerm[i] >= in[i] -> finish(i)
#endif
		:: else -> ka[i] = idle; kaLeft[i] = 0; kaTerm[i] = 0 /* by one that was deposed before the grant */
		fi }
	:: atomic { ka[i] == yes ->
		if
		:: !IN_TIME(i) -> finish(i)
		:: else ->
#ifdef REPLY_CLOCK
			kaLeft[i] = TTL;
#endif
			top(seen[i], kaTerm[i]);
			top(acked[i], kaLeft[i]);
			if
			:: COUNTS(i, kaTerm[i]) && !unresolved[i] ->
#ifdef NO_CONFIRM
				if
				:: at[i] == leading -> top(sure[i], kaLeft[i])
				:: else -> ack[i] = 1; ackLeft[i] = kaLeft[i]
				fi
#else
				ack[i] = 1; ackLeft[i] = kaLeft[i]
#endif
			:: else
			fi;
			ka[i] = idle; kaLeft[i] = 0; kaTerm[i] = 0
		fi }
	:: d_step { (at[i] == won || at[i] == leading) && ack[i] && cf[i] == idle && !unresolved[i] && !OUTDATED(i) ->
		cf[i] = sent; cfLeft[i] = ackLeft[i]; ack[i] = 0; ackLeft[i] = 0 }
	:: atomic { cf[i] == yes || cf[i] == no ->
		top(seen[i], cfTerm[i]);
		if
		:: unresolved[i] || !IN_TIME(i) -> skip
		:: else ->
			if
			:: cf[i] == no || at[i] == won && !cfOldest[i] -> finish(i)
			:: else ->
				if
				:: COUNTS(i, cfTerm[i]) -> extend(i, cfLeft[i])
				:: else
				fi
			fi
		fi;
		cf[i] = idle; cfLeft[i] = 0; cfTerm[i] = 0; cfOldest[i] = 0 }

#ifndef NO_TERM_RULE
#ifndef NO_REBIND
	/* the raft term has changed: bind the key to a lease of the new one */
	:: d_step { (at[i] == won || at[i] == leading) && IN_TIME(i) && !unresolved[i] && OUTDATED(i) -> unresolved[i] = 1 }
	:: d_step { unresolved[i] && IN_TIME(i) && gr[i] == idle && pt[i] == idle && HAS_FREE(i) -> choose(i) }
	:: d_step { unresolved[i] && gr[i] == no -> gr[i] = idle; grLeft[i] = 0; grLease[i] = 0; grBefore[i] = 0; sweep(i) }
	:: atomic { unresolved[i] && gr[i] == yes && pt[i] == idle && IN_TIME(i) ->
		stamp(i);
		gr[i] = idle;
		if
		:: SETTLED(i) -> pt[i] = sent; ptVersion[i] = mine[i]
		:: else -> top(seen[i], grTerm[i]); grLeft[i] = 0; grLease[i] = 0; grTerm[i] = 0; grBefore[i] = 0; sweep(i)
		fi }
	:: atomic { unresolved[i] && pt[i] == yes && IN_TIME(i) ->
		own[i] = grLease[i]; mine[i] = ptVersion[i]; in[i] = (ptTerm[i] == grTerm[i] -> grTerm[i] : 0);
		top(seen[i], ptTerm[i]);
		unresolved[i] = (in[i] == 0 || seen[i] > in[i]);
		acked[i] = grLeft[i]; ack[i] = 1; ackLeft[i] = grLeft[i];
		cf[i] = idle; cfLeft[i] = 0; cfTerm[i] = 0; cfOldest[i] = 0;
		ka[i] = idle; kaLeft[i] = 0; kaTerm[i] = 0;
		pt[i] = idle; ptVersion[i] = 0; ptTerm[i] = 0; grLeft[i] = 0; grLease[i] = 0; grTerm[i] = 0; grBefore[i] = 0; sweep(i) }
	:: atomic { unresolved[i] && pt[i] == no && IN_TIME(i) ->
		if
		:: ptVersion[i] == NONE -> finish(i)	/* there is no such key */
		:: else ->
#ifndef NO_ADOPTION
			mine[i] = ptVersion[i];
#endif
			pt[i] = idle; ptVersion[i] = 0; ptTerm[i] = 0; grLeft[i] = 0; grLease[i] = 0; grTerm[i] = 0; grBefore[i] = 0; sweep(i)
		fi }
#endif
#endif

	/* the end: by time, by choice, and the release */
	:: atomic { at[i] == leading && sure[i] <= MARGIN -> finish(i) }
#ifndef NO_IN_TIME
#ifndef ZOMBIE
	:: atomic { (at[i] == queued || at[i] == won) && acked[i] <= MARGIN -> finish(i) }
#endif
#endif
	:: atomic { !calm && at[i] == leading -> finish(i) }
#ifdef NO_WAIT
	:: atomic { at[i] == ending ->
#else
	:: atomic { at[i] == ending && promised[i] == 0 ->
#endif
		if
		:: key[i] -> removeKey(i); sweep(i)
		:: !calm || !key[i]		/* not known, or not heard: the lease will end it */
		fi;
		at[i] = out }
	od
}

/* Those who act on a yes until its end, however long the elector's own loop stands still. */
proctype Poller(byte i) {
	do
	:: d_step { YES(i) && sure[i] > MARGIN && promised[i] < LONGEST -> promised[i] = LONGEST }
	od
}

inline tick() {
	l = 0;
	do
	:: l < LEASES ->
		less(left[l]);
		ghostly[l] = (ghostly[l] > 0 && ghostly[l] != NONE -> ghostly[l] - 1 : ghostly[l]);
		l++
	:: else -> break
	od;
	l = 0;
	do
	:: l < N ->
		less(sure[l]); less(acked[l]); less(promised[l]); less(kaLeft[l]); less(ackLeft[l]); less(cfLeft[l]); less(grLeft[l]);
		l++
	:: else -> break
	od;
	l = 0
}

active proctype World() {
	byte l;
	atomic {
		do
		:: l < LEASES -> ghostly[l] = NONE; run Lease(l); l++
		:: else -> break
		od;
		l = 0;
		do
		:: l < N -> own[l] = NONE; run Etcd(l); run Elector(l); run Poller(l); l++
		:: else -> break
		od;
		l = 0
	}
	do
	:: d_step { !calm -> tick() }
	:: atomic { calm && timeout -> d_step { tick() } }
	/* another etcd leader: it gives every lease its whole time */
	:: d_step { !calm && term < TERMS -> ghost = term; term++;
		do
		:: l < LEASES -> ghostly[l] = (held[l] -> left[l] : NONE); left[l] = (held[l] -> LIFE : 0); l++
		:: else -> break
		od;
		l = 0 }
#ifndef NEVER_CALM
	:: d_step { !calm -> calm = 1 }
#endif
	od
}

/* However the faults have left it, there comes to be a leader, for good. */
ltl leader { (<> calm) -> (<> [] LED) }

/* A term that has certainty left when the faults are over is never lost. */
#if N == 1
ltl kept { [] ((calm && LED) -> [] LED) }
#endif
