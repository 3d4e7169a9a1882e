package chaos

import (
	"context"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// stallLimit is how late the harness's own clock tick may come before the record says so.
const stallLimit = 250 * time.Millisecond

// watchStalls records when the harness itself did not run.
func watchStalls(ctx context.Context, r *recorder) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for before := now(); ctx.Err() == nil; {
		rest(ctx, tick)
		at := now()
		if at.Sub(before) > stallLimit {
			r.stall(history.Stall{From: before, To: at})
		}
		before = at
	}
}

// opener returns how to open a client of one member.
func (r *run) opener(endpoint string) func(context.Context) (*clientv3.Client, error) {
	return func(ctx context.Context) (*clientv3.Client, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return r.ground.client(ctx, endpoint)
	}
}

// leftover counts what is left in etcd when all electors have ended, after one last linearizable read, and
// how the processes of the calm before had grown until final.
func (r *run) leftover(ctx context.Context, final history.Instant) (*history.Leftover, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	epoch := r.keys.now()
	keys, err := r.director.standing(ctx)
	if err != nil {
		return nil, err
	}
	r.keys.listing(epoch, keys, now())
	leases, err := r.ground.operator.Leases(ctx)
	if err != nil {
		return nil, err
	}
	left := &history.Leftover{Goroutines: map[string]int{}, Descriptors: map[string]int{}}
	for _, kv := range keys.Kvs {
		left.Keys = append(left.Keys, string(kv.Key))
	}
	canaries := r.canaries.ids()
	for _, l := range leases.Leases {
		if !canaries[l.ID] {
			left.Leases++
		}
	}
	growth(r.recorder.snapshot(), final, left)
	return left, nil
}

// growth compares each lane's last process at the end of the calm with itself when everything was first calm
// around it. Medians over two TTLs at most, so that a passing connection counts for nothing. One that has
// known no calm before the last is left out: what it lacked while it was cut off is no measure.
func growth(h *history.History, final history.Instant, left *history.Leftover) {
	span := 2 * h.Run.TTL
	for _, lane := range h.Run.Electors {
		var p history.Process
		for _, q := range h.Processes {
			if q.Elector == lane && q.From < final && (q.To == 0 || q.To >= final) {
				p = q
			}
		}
		var before, after []history.Sample
		for _, s := range h.Samples {
			switch {
			case s.Elector != lane || s.Incarnation != p.Incarnation || s.Received > final:
			case s.Sent >= final.Add(-span):
				after = append(after, s)
			case s.Sent >= p.From.Add(time.Second) && calmAt(h, s.Sent) && (before == nil || s.Sent < before[0].Sent.Add(span)):
				before = append(before, s)
			}
		}
		if len(before) == 0 || len(after) == 0 {
			continue
		}
		goroutines := func(s history.Sample) int { return s.Goroutines }
		descriptors := func(s history.Sample) int { return s.Descriptors }
		left.Goroutines[lane] = median(after, goroutines) - median(before, goroutines)
		left.Descriptors[lane] = median(after, descriptors) - median(before, descriptors)
	}
}

// calmAt reports whether no fault was under way, nor the recovery from one; a machine that stood still is one.
func calmAt(h *history.History, at history.Instant) bool {
	for _, f := range h.Faults {
		if f.From <= at && (f.To == 0 || at <= f.To.Add(recovery(h.Run.TTL))) {
			return false
		}
	}
	return !slices.ContainsFunc(h.Stalls, func(s history.Stall) bool { return s.From <= at && at <= s.To.Add(recovery(h.Run.TTL)) })
}

func median(samples []history.Sample, of func(history.Sample) int) int {
	var all []int
	for _, s := range samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
