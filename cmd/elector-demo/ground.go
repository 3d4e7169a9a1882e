package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/chaos/link"
	"github.com/elector-dev/elector/internal/devetcd"
)

// ground is etcd, and the ways to it: each elector has a way of its own to each member, which can be cut.
type ground struct {
	cluster *devetcd.Cluster
	members []*member
	ways    [][]*link.Link // by elector and member
}

// newGround starts etcd. Close it.
func newGround(ctx context.Context, members, electors int) (*ground, error) {
	cluster, err := devetcd.StartProcesses(ctx, members, devetcd.Options{})
	if err != nil {
		return nil, err
	}
	g := &ground{cluster: cluster}
	for range electors {
		var ways []*link.Link
		for _, endpoint := range cluster.Endpoints() {
			way, err := wayTo(endpoint)
			if err != nil {
				g.close()
				return nil, err
			}
			ways = append(ways, way)
		}
		g.ways = append(g.ways, ways)
	}
	return g, nil
}

func wayTo(endpoint string) (*link.Link, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	return link.Listen("127.0.0.1", u.Host)
}

// introduce names the members to the journal.
func (g *ground) introduce(j *journal) {
	for i := range g.cluster.Size() {
		g.members = append(g.members, &member{Member: g.cluster.Member(i), called: memberName(i), journal: j})
		j.memberIs(memberName(i), running)
	}
}

func memberName(i int) string { return fmt.Sprintf("etcd-%d", i+1) }

// endpoints are an elector's: where its own ways begin.
func (g *ground) endpoints(elector int) []string {
	var all []string
	for _, way := range g.ways[elector] {
		all = append(all, "http://"+way.Addr())
	}
	return all
}

// cut has nothing pass between an elector and etcd, and tells neither.
func (g *ground) cut(elector int, is bool) {
	for _, way := range g.ways[elector] {
		if is {
			way.Sever(true, true)
		} else {
			way.Heal()
		}
	}
}

// follow tells the journal which member leads, until the context ends.
func (g *ground) follow(ctx context.Context, j *journal) error {
	for {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		leader, err := g.cluster.Leader(ask)
		cancel()
		name := ""
		if err == nil {
			name = memberName(leader)
		}
		if ctx.Err() == nil {
			j.memberLeads(name)
		}
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
	}
}

func (g *ground) close() {
	g.cluster.Close()
	for _, ways := range g.ways {
		for _, way := range ways {
			_ = way.Close() // it has nothing to lose any more
		}
	}
}

// member is a member of etcd. Its methods are safe for concurrent use.
type member struct {
	*devetcd.Member
	called  string
	journal *journal

	mu sync.Mutex // held while something is done to it
}

func (m *member) label() string { return m.called }

// do does something to the member if it runs, and tells the journal first.
func (m *member) do(what action, becomes processState, act func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.Running() {
		return nil
	}
	m.journal.line("%s to %s", what, m.called)
	m.journal.memberIs(m.called, becomes)
	return act()
}

func (m *member) stop() error {
	return m.do(actStop, ended, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return m.Stop(ctx)
	})
}

func (m *member) kill() error   { return m.do(actKill, ended, m.Kill) }
func (m *member) freeze() error { return m.do(actFreeze, frozen, m.Pause) }
func (m *member) thaw() error   { return m.do(actThaw, running, m.Resume) }

func (m *member) frozen() bool { return m.Running() && m.Paused() }

// start starts a member that has ended.
func (m *member) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Running() {
		return nil
	}
	m.journal.line("%s starts", m.called)
	m.journal.memberIs(m.called, running)
	return m.Restart()
}

// errNoWay is what a member says of being cut off.
var errNoWay = errors.New("only an elector can be cut off from etcd here")

func (m *member) cut(bool) error { return errNoWay }
func (m *member) isCut() bool    { return false }
