package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/elector-dev/elector/bench/rig"
)

// load asks as fast as it can: the bare handler, the naive daemon and elector by turns, each in a process that
// also holds a lease.
func (l *lab) load(ctx context.Context) error {
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	peers := []rig.Kind{rig.Floor, rig.Naive, rig.Elector}
	members := map[rig.Kind]*rig.Member{}
	for _, k := range peers {
		m, err := rig.NewMember(l.programs, k, "member", "load-"+string(k), e.Endpoints(), normal)
		if err == nil {
			err = m.Start()
		}
		if err != nil {
			return err
		}
		defer m.Kill()
		members[k] = m
		if err := l.leads(ctx, m); err != nil {
			return err
		}
	}
	for range l.plan.rounds {
		for _, conns := range []int{2, 64} {
			for _, k := range peers {
				if err := l.burst(ctx, members[k], "/leader", conns); err != nil {
					return fmt.Errorf("%s: %w", k, err)
				}
			}
			for _, path := range []string{"/status", "/metrics"} {
				if err := l.burst(ctx, members[rig.Elector], path, conns); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// burst loads one path for a while.
func (l *lab) burst(ctx context.Context, m *rig.Member, path string, conns int) error {
	name := fmt.Sprintf("%s, %d connections", path, conns)
	before, err := mallocs(ctx, m)
	if err != nil {
		return err
	}
	began := time.Now()
	end := began.Add(l.plan.burst)
	counts, waits, errs := make([]int, conns), make([]rig.Samples, conns), make([]error, conns)
	var all sync.WaitGroup
	for i := range conns {
		all.Go(func() { counts[i], waits[i], errs[i] = ask(ctx, m.Addr, path, end) })
	}
	all.Wait()
	took := time.Since(began)
	n, every := 0, rig.Samples{}
	for i := range conns {
		if errs[i] != nil {
			return errs[i]
		}
		n += counts[i]
		every = append(every, waits[i]...)
	}
	after, err := mallocs(ctx, m)
	l.put(name+", requests/s", string(m.Kind), float64(n)/took.Seconds())
	l.put(name+", median µs", string(m.Kind), every.Median())
	l.put(name+", 99 % µs", string(m.Kind), every.Quantile(0.99))
	if path == "/leader" {
		l.put(name+", allocations", string(m.Kind), (after-before)/float64(n))
	}
	return err
}

// ask asks on one connection until the end, and keeps the time of each 16th answer.
func ask(ctx context.Context, addr, path string, end time.Time) (n int, waits rig.Samples, err error) {
	line := rig.NewLine(addr)
	defer line.Close()
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	one := func() error { _, err := line.Skip(request); return err }
	if path == "/metrics" { // of no known length
		one = func() error { _, _, err := line.Get(path); return err }
	}
	for ; ctx.Err() == nil; n++ {
		at := time.Now()
		if at.After(end) {
			break
		}
		if err := one(); err != nil {
			return n, waits, err
		}
		if n%16 == 0 {
			waits = append(waits, float64(time.Since(at))/float64(time.Microsecond))
		}
	}
	return n, waits, ctx.Err()
}

// mallocs is how many objects a process has allocated so far.
func mallocs(ctx context.Context, m *rig.Member) (n float64, err error) {
	n = math.NaN()
	err = rig.Scrape(ctx, "http://"+m.Addr+"/metrics", func(name, _ string, value float64) {
		if name == "go_memstats_mallocs_total" {
			n = value
		}
	})
	return n, err
}

// streams opens event streams and looks at what each of them adds.
func (l *lab) streams(ctx context.Context) error {
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	m, err := rig.NewMember(l.programs, rig.Elector, "member", "streams", e.Endpoints(), normal)
	if err != nil {
		return err
	}
	if err := m.Start(); err != nil {
		return err
	}
	defer m.Kill()
	if err := l.leads(ctx, m); err != nil {
		return err
	}
	before, err := rig.Usage(m.PID())
	if err != nil {
		return err
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for range l.plan.streams {
		c, err := net.Dial("tcp", m.Addr)
		if err != nil {
			return err
		}
		open = append(open, c)
		if _, err := c.Write([]byte("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
			return err
		}
		if _, err := c.Read(make([]byte, 1)); err != nil { // the stream has begun
			return err
		}
	}
	with, err := rig.Usage(m.PID())
	if err != nil {
		return err
	}
	if err := pause(ctx, l.plan.window); err != nil {
		return err
	}
	after, err := rig.Usage(m.PID())
	l.put("kB per open stream", string(rig.Elector), float64(with.RSS-before.RSS)/1e3/float64(l.plan.streams))
	l.put("CPU ms/min with open streams", string(rig.Elector), rig.Millis(after.CPU-with.CPU)/l.plan.window.Minutes())
	return err
}

// changes has an observer see one leader after the other, which stand in the queue as etcdctl's would, and looks at
// what that leaves in its memory.
func (l *lab) changes(ctx context.Context) error {
	e, err := rig.StartEtcd(ctx, 1)
	if err != nil {
		return err
	}
	defer e.Close()
	m, err := rig.NewMember(l.programs, rig.Elector, "observer", "changes", e.Endpoints(), normal, "--no-lead")
	if err != nil {
		return err
	}
	if err := m.Start(); err != nil {
		return err
	}
	defer m.Kill()
	line := rig.NewLine(m.Addr)
	defer line.Close()
	for i := range l.plan.changes + 1 {
		name := fmt.Sprintf("leader-%05d", i)
		if _, err := e.Client.Put(ctx, m.Prefix()+name, name); err != nil {
			return err
		}
		if i > 0 {
			if _, err := e.Client.Delete(ctx, m.Prefix()+fmt.Sprintf("leader-%05d", i-1)); err != nil {
				return err
			}
		}
		seen := func(_ int, body []byte) bool { return bytes.Contains(body, []byte(name)) }
		if _, _, err := line.Await(ctx, "/status", time.Millisecond, seen); err != nil {
			return err
		}
		if i == l.plan.changes/10 || i == l.plan.changes {
			u, err := rig.Usage(m.PID())
			if err != nil {
				return err
			}
			l.put(fmt.Sprintf("RSS MB after %d changes", i), string(rig.Elector), float64(u.RSS)/1e6)
		}
	}
	return nil
}
