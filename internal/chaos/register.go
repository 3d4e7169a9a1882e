package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

// register stores a value and refuses a token smaller than the greatest it has seen: what the consumers
// of a fencing token are told to build.
type register struct {
	recorder *recorder

	mu    sync.Mutex // guards the fields below
	token int64
	value int64
	next  int64 // values are never used twice, so that a read tells which write it saw
}

func (r *register) write(elector string, token int64) {
	a := history.Access{Elector: elector, Write: true, Token: token, Call: now()}
	r.mu.Lock()
	r.next++
	a.Value = r.next
	if a.Refused = token < r.token; !a.Refused {
		r.token, r.value = token, a.Value
	}
	r.mu.Unlock()
	a.Return = now()
	r.recorder.access(a)
}

func (r *register) read(elector string) {
	a := history.Access{Elector: elector, Call: now()}
	r.mu.Lock()
	a.Value = r.value
	r.mu.Unlock()
	a.Return = now()
	r.recorder.access(a)
}

// worker is the program beside an elector. It asks before it acts, counts the yes from when it asked, and
// sends its token with what it does. Some of its writes are long on their way, as if the network or the
// worker itself had slept after the last look at the clock: these the register must be able to refuse.
type worker struct {
	asker    *asker
	register *register
	rand     *rand.Rand // used by run alone
	ttl      time.Duration
	onTheWay sync.WaitGroup
}

func (w *worker) run(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	defer w.onTheWay.Wait()
	for turn := 0; ctx.Err() == nil; turn++ {
		w.work(ctx)
		if turn%4 == 0 {
			w.register.read(w.asker.elector)
		}
		rest(ctx, tick)
	}
}

func (w *worker) work(ctx context.Context) {
	yes, left, ok := w.asker.ask(ctx, w.asker.polls)
	if !ok || !yes.Yes {
		return
	}
	if left > 0 && now() >= yes.Sent.Add(left) {
		return // over on arrival
	}
	if w.rand.IntN(3) > 0 {
		w.register.write(w.asker.elector, yes.Token)
		return
	}
	delay := time.Duration(w.rand.Float64() * 2 * float64(w.ttl))
	w.onTheWay.Go(func() {
		if pause(ctx, delay) {
			w.register.write(w.asker.elector, yes.Token)
		}
	})
}
