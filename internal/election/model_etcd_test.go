package election

// etcd as docs/safety.md section 3 has it. A request is appended and applied in one step, in the raft
// term of the leader of that moment: an entry that outlives its leader is as good as one whose reply is
// late. Between the election of a leader and its promotion nothing is applied and nobody counts leases
// but the deposed leader, for itself.

// electionTimeout of etcd, which a promotion adds to each lease.
const electionTimeout = tick(1000)

// The model's lease, and how early etcd may find it expired: its clock may run up to 1 % fast.
const (
	modelTTL      = tick(10_000)
	modelEarliest = modelTTL - modelTTL/100
	modelGrace    = tick(500) // etcd looks twice a second
)

func (e *modelEtcd) leaseSlot(id uint8) int {
	if id == 0 {
		return -1
	}
	for i := range e.leases {
		if e.leases[i].id == id {
			return i
		}
	}
	return -1
}

func (d *modelDeposed) slot(id uint8) int {
	for i := range d.leases {
		if d.leases[i].id == id && id != 0 {
			return i
		}
	}
	return -1
}

// deposedFinds reports whether a deposed leader finds a lease expired.
func (e *modelEtcd) deposedFinds(id uint8, now tick) bool {
	for i := range e.deposed {
		if slot := e.deposed[i].slot(id); slot >= 0 && e.deposed[i].leases[slot].until <= now {
			return true
		}
	}
	return false
}

func (e *modelEtcd) revoking(id uint8) bool {
	for i := range e.revokes {
		if e.revokes[i].lease == id {
			return true
		}
	}
	return false
}

// propose puts a revoke under way.
func (e *modelEtcd) propose(id uint8) bool {
	if e.revoking(id) {
		return false
	}
	for i := range e.revokes {
		if e.revokes[i].lease == 0 {
			e.revokes[i] = modelRevoke{lease: id}
			return true
		}
	}
	return false
}

// room is a free slot for a lease, or that of one that has run out and holds no key; -1: none.
func (w *world) room() int {
	e := &w.etcd
	for i := range e.leases {
		if e.leases[i].id == 0 {
			return i
		}
	}
	for i := range e.leases {
		if e.leases[i].until <= w.now && !e.holds(e.leases[i].id) {
			return i
		}
	}
	return -1
}

func (e *modelEtcd) holds(lease uint8) bool {
	for i := range e.keys {
		if e.keys[i].token != 0 && e.keys[i].lease == lease {
			return true
		}
	}
	return false
}

// grant makes a lease; false when the model has no room for another.
func (w *world) grant() (uint8, bool) {
	e := &w.etcd
	i := w.room()
	if i < 0 {
		return 0, false
	}
	e.lastLease++
	e.leases[i] = modelLease{e.lastLease, w.now + modelEarliest}
	return e.lastLease, true
}

func (e *modelEtcd) keySlot(name uint8) int {
	if name == 0 {
		return -1
	}
	for i := range e.keys {
		if e.keys[i].token != 0 && e.keys[i].name == name {
			return i
		}
	}
	return -1
}

func (e *modelEtcd) tokenSlot(token uint8) int {
	for i := range e.keys {
		if token != 0 && e.keys[i].token == token {
			return i
		}
	}
	return -1
}

// oldest is the slot of the key with the smallest create revision; -1: nobody stands.
func (e *modelEtcd) oldest() int {
	found := -1
	for i := range e.keys {
		if e.keys[i].token != 0 && (found < 0 || e.keys[i].token < e.keys[found].token) {
			found = i
		}
	}
	return found
}

// put creates a key. The name is the session's first lease, so a rival's is its lease too.
func (e *modelEtcd) put(k modelKey) bool {
	for i := range e.keys {
		if e.keys[i].token == 0 {
			e.rev++
			k.token, k.mod = e.rev, e.rev
			e.keys[i] = k
			return true
		}
	}
	return false
}

// elect deposes the leader. It goes on believing in its own view of the leases until it learns better.
func (w *world) elect() {
	e := &w.etcd
	e.deposed[1] = e.deposed[0]
	e.deposed[0] = modelDeposed{e.term, e.leases}
	e.term++
	e.promoted = false
}

// promote lets the new leader count: every lease has its whole TTL from now, at least.
func (w *world) promote() {
	e := &w.etcd
	e.promoted, e.promLate = true, false
	for i := range e.leases {
		if e.leases[i].id != 0 {
			e.leases[i].until = w.now + modelEarliest
		}
	}
}

// The ways in which a key goes.
type removal uint8

const (
	byExpiry removal = iota
	byRelease
	byOperator
	byRestore
)

// removeKey takes a key away and judges whether it may go.
func (m *machine) removeKey(w *world, slot int, why removal) {
	k := w.etcd.keys[slot]
	w.etcd.keys[slot] = modelKey{}
	if k.owner < 0 {
		return
	}
	if why == byOperator || why == byRestore {
		w.excuse(k.token)
		return
	}
	// What an operator has overwritten is released like any other.
	if w.isExcused(k.token) && (why != byRelease || w.restored) {
		return
	}
	c := &w.cands[k.owner]
	m.effectIf(why == byExpiry && (!c.up || c.name != k.name), fCrash)
	m.effectIf(why == byExpiry && c.stalled, fStall)
	if c.vet != noWork && uint8(c.core.key.token) == k.token && why == byRelease {
		m.fail("work ended before release", "the key with token %d is released while its veto is asked for", k.token)
	}
	if c.workToken == k.token && c.work != noWork && why == byRelease {
		m.fail("work ended before release", "the key with token %d is released while its work runs", k.token)
	}
	healthy := c.up && !c.paused && !c.stalled && c.turn == betweenTurns && !m.tickDue(w, int(k.owner))
	if c.workToken == k.token && c.work == working && healthy {
		m.fail(notTold, "the key with token %d goes and its work has not been told", k.token)
	}
	if c.vet == working && uint8(c.core.key.token) == k.token && healthy {
		m.fail(notTold, "the key with token %d goes and whoever is asked for a veto has not been told", k.token)
	}
	for _, p := range w.promises {
		if p.token == k.token && p.until > w.now && !p.freed {
			m.fail("no promise outlives its key", "the key with token %d goes at %v, promised until %v", k.token, w.now, p.until)
		}
	}
}

// revoke removes a lease with its keys, in one revision.
func (m *machine) revoke(w *world, id uint8, why removal) {
	e := &w.etcd
	for i := range e.revokes {
		if e.revokes[i].lease == id {
			e.revokes[i] = modelRevoke{}
		}
	}
	slot := e.leaseSlot(id)
	if slot < 0 {
		return
	}
	e.leases[slot] = modelLease{}
	hit := false
	for i := range e.keys {
		if e.keys[i].token != 0 && e.keys[i].lease == id {
			m.removeKey(w, i, why)
			hit = true
		}
	}
	if hit {
		e.rev++
	}
}

// deleteKey is the deletion by name.
func (m *machine) deleteKey(w *world, name uint8, why removal) {
	slot := w.etcd.keySlot(name)
	if slot < 0 {
		return
	}
	m.removeKey(w, slot, why)
	w.etcd.rev++
}

// pass is the transaction that passes the lead on, on the condition that the key with the token stands and is the
// oldest: it removes that and all between it and the heir's, in one revision.
func (m *machine) pass(w *world, i int, token, heir uint8) {
	e := &w.etcd
	own, to := e.oldest(), -1
	if own < 0 || e.keys[own].token != token || int(e.keys[own].owner) != i {
		return
	}
	for slot, k := range e.keys {
		if k.token != 0 && int(k.owner) == int(heir)-1 && !k.foreign && (to < 0 || k.token < e.keys[to].token) {
			to = slot
		}
	}
	if to < 0 || to == own {
		return
	}
	for slot, k := range e.keys {
		if k.token != 0 && slot != own && k.token < e.keys[to].token && k.foreign {
			return
		}
	}
	between := 0
	for slot, k := range e.keys {
		if k.token != 0 && k.token < e.keys[to].token {
			m.removeKey(w, slot, byRelease)
			between++
		}
	}
	e.rev++
	m.effectIf(between > 1, fTransfer)
}

// putCampaign is the candidate's put on the condition that its key is not there. It reports the token
// of the key that stands then; 0: refused, because the lease is gone.
func (w *world) putCampaign(owner int8, name, lease uint8) uint8 {
	e := &w.etcd
	if slot := e.keySlot(name); slot >= 0 {
		return e.keys[slot].token
	}
	if e.leaseSlot(lease) < 0 || !e.put(modelKey{name: name, lease: lease, owner: owner}) {
		return 0
	}
	return e.rev
}

// putRebind is the conditional put of a rebind. applied is false when etcd refuses it because the
// lease is gone; bound says which branch was taken.
func (w *world) putRebind(name, token, mod, lease uint8) (applied, bound bool) {
	e := &w.etcd
	slot := e.keySlot(name)
	if e.leaseSlot(lease) < 0 {
		return false, false
	}
	if slot < 0 || e.keys[slot].token != token || e.keys[slot].mod != mod {
		return true, false
	}
	e.rev++
	k := &e.keys[slot]
	k.mod, k.lease, k.foreign = e.rev, lease, false
	return true, true
}

// bury keeps a write that was given up; the model forgets the oldest when it has no room.
func (w *world) bury(z modelZombie) {
	if w.budget[fZombie] == 0 {
		return
	}
	for i := range w.zombies {
		if w.zombies[i].kind == zombieNone {
			w.zombies[i] = z
			return
		}
	}
	copy(w.zombies[:], w.zombies[1:])
	w.zombies[len(w.zombies)-1] = z
}

// rise applies a write that was given up.
func (m *machine) rise(w *world, i int) {
	z := w.zombies[i]
	w.zombies[i] = modelZombie{}
	copy(w.zombies[i:], w.zombies[i+1:])
	w.zombies[len(w.zombies)-1] = modelZombie{}
	switch z.kind {
	case zombieCampaign:
		w.putCampaign(z.owner, z.name, z.lease)
	case zombieRebind:
		w.putRebind(z.name, z.token, z.mod, z.lease)
	case zombieDelete:
		m.deleteKey(w, z.name, byRelease)
	case zombieRevoke:
		m.revoke(w, z.lease, byRelease)
	case zombiePass:
		m.pass(w, int(z.owner), z.token, z.heir)
	}
}
