package link

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

var seed = flag.Uint64("link.seed", 0, "of the random operations; 0 draws one")

// drawn is the seed of a test, which says how to have it again.
func drawn(t *testing.T) uint64 {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("again with -link.seed=%d", s)
	return s
}

// amount is what each direction of each connection carries.
const amount = 6 << 20

func TestWhatPassesIsIntactWhateverIsDone(t *testing.T) {
	s := drawn(t)
	b := newBed(t)
	var traffic sync.WaitGroup
	turns := make(chan struct{}, 100) // one for each portion, so that the transfers last for many operations
	for i := range uint64(3) {
		e := b.connect()
		for j, way := range []struct{ from, to *peer }{{e.near, e.far}, {e.far, e.near}} {
			r := rand.New(rand.NewPCG(s, 2*i+uint64(j)))
			traffic.Go(func() { transfer(t, r, turns, way.from, way.to) })
		}
	}
	over := make(chan struct{})
	go func() { traffic.Wait(); close(over) }()

	r := rand.New(rand.NewPCG(s, 1<<32))
	limit := time.After(60 * time.Second)
	for steps := 0; ; steps++ {
		for len(turns) < cap(turns) && r.IntN(20) > 0 {
			turns <- struct{}{}
		}
		switch r.IntN(6) {
		case 0, 1:
			b.Delay(time.Duration(r.IntN(30))*time.Millisecond, time.Duration(r.IntN(30))*time.Millisecond)
		case 2:
			b.Hold(r.IntN(2) == 0, r.IntN(2) == 0)
		case 3, 4:
			b.Release()
		case 5: // new ones are none of the others' business
			b.dial().abort()
		}
		select {
		case <-time.After(time.Duration(r.IntN(20)) * time.Millisecond):
			continue
		case <-over:
			st := b.Stats()
			t.Logf("%d steps, %+v", steps, st)
			if st.Passed != 6*amount || st.Lost != 0 || st.Held == 0 || st.Delayed == 0 {
				t.Errorf("the counters do not tell what happened: %+v", st)
			}
		case <-limit:
			t.Fatalf("it did not end: %+v", b.Stats())
		}
		return
	}
}

// transfer sends random bytes in random portions, ends the stream, and compares what arrives.
func transfer(t *testing.T, r *rand.Rand, turns <-chan struct{}, from, to *peer) {
	sent, got := make(chan [32]byte, 1), make(chan [32]byte, 1)
	var both sync.WaitGroup
	both.Go(func() {
		h := sha256.New()
		for left := amount; left > 0; {
			<-turns
			portion := make([]byte, min(left, 1+r.IntN(64<<10)))
			for i := range portion {
				portion[i] = byte(r.Uint32())
			}
			h.Write(portion)
			if _, err := io.Copy(from, bytes.NewReader(portion)); err != nil {
				t.Error(err)
				break
			}
			left -= len(portion)
		}
		_ = from.CloseWrite()
		sent <- [32]byte(h.Sum(nil))
	})
	both.Go(func() {
		h := sha256.New()
		if n, err := io.Copy(h, to); err != nil || n != amount {
			t.Errorf("%d bytes of %d arrived, %v", n, amount, err)
		}
		got <- [32]byte(h.Sum(nil))
	})
	both.Wait()
	if <-sent != <-got {
		t.Error("other bytes arrived than were sent")
	}
}

// With Sever and Reset among the operations, what arrives is the beginning of what was sent, and nothing
// hangs once all is healed.
func TestWhatArrivesBeforeAResetIsABeginning(t *testing.T) {
	s := drawn(t)
	b := newBed(t)
	r := rand.New(rand.NewPCG(s, 0))
	resets := 0
	for range 40 {
		e := b.connect()
		from, to := e.near, e.far
		if r.IntN(2) == 0 {
			from, to = to, from
		}
		var sides sync.WaitGroup
		sides.Go(func() {
			for n := 0; n < 1<<20; n += 4096 {
				portion := make([]byte, 4096)
				for i := range portion {
					portion[i] = at(n + i)
				}
				if _, err := from.Write(portion); err != nil {
					return
				}
			}
			_ = from.CloseWrite()
		})
		sides.Go(func() {
			got, err := io.ReadAll(to)
			for i, c := range got {
				if c != at(i) {
					t.Errorf("byte %d is another than was sent", i)
					break
				}
			}
			if err != nil {
				resets++
			} else if len(got) != 1<<20 {
				t.Errorf("the stream ended after %d bytes", len(got))
			}
			to.abort() // and ends the sender, if the link has not
		})
		for range r.IntN(8) {
			switch r.IntN(6) {
			case 0:
				b.Sever(r.IntN(2) == 0, r.IntN(2) == 0)
			case 1:
				b.Heal()
			case 2:
				b.Hold(r.IntN(2) == 0, r.IntN(2) == 0)
			case 3:
				b.Release()
			case 4:
				b.Delay(time.Duration(r.IntN(5))*time.Millisecond, time.Duration(r.IntN(5))*time.Millisecond)
			case 5:
				if r.IntN(4) == 0 {
					b.Reset()
				}
			}
			<-time.After(time.Duration(r.IntN(3)) * time.Millisecond)
		}
		b.Release()
		b.Delay(0, 0)
		b.Heal()
		sides.Wait()
	}
	t.Logf("%d of 40 streams were cut off; %+v", resets, b.Stats())
	if resets == 0 || resets == 40 {
		t.Errorf("%d of 40 streams were cut off: the operations show nothing", resets)
	}
	b.eventuallyForgotten()
}

// at is the byte at a place of the stream; neither portions nor buffers have its period.
func at(i int) byte { return byte(i % 251) }
