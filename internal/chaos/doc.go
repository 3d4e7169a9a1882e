// Package chaos breaks an election of real processes on purpose and records what came of it: etcd's
// members and the electors as processes, clients that poll them, and a nemesis that freezes, kills,
// cuts off, delays and deletes by a seeded schedule or by a script.
//
// What a run saw is a history.History; check judges it and timeline draws it. Three properties keep the
// record honest:
//
//  1. All instants are read from the boot clock that the processes share, so an elector's own instants
//     compare with those of the harness.
//  2. Pollers and watchers are never cut off: they reach the electors and the members by ways that no
//     fault touches. So silence in the record is the silence of whoever was asked.
//  3. What the harness itself may have slept through is in the record as a stall, and what is bounded in
//     time is unknown there, not passed.
//
// Everything that is broken is undone before a run ends, also when its context ends early.
package chaos
