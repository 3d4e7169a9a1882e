package link

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"time"
)

func TestHealingResetsOnlyConnectionsThatLostBytes(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
		idle := b.connect()
		idle.converse()
		b.Sever(up, down)
		from.say("lost")
		b.eventually("it is lost", func(s Stats) bool { return s.Lost == 4 })
		to.silence()
		b.Heal()
		from.isReset()
		to.isReset()
		idle.converse()
		b.connect().converse()
	})
}

func TestNobodyIsToldOfASeveredDirectionAndTheOtherGoesOn(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
		b.Sever(up, down)
		to.say("the other way")
		from.hear("the other way")
		from.silence()
		to.silence()
		b.Heal()
		ends{from, to}.converse()
	})
}

func TestBytesOnTheirWayAreLostWhenTheLinkIsSevered(t *testing.T) {
	for name, wait := range map[string]func(b *bed){
		"delayed": func(b *bed) { b.Delay(time.Hour, time.Hour) },
		"held":    func(b *bed) { b.Hold(true, true) },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
				wait(b)
				from.say("on its way")
				b.eventually("it is on its way", func(s Stats) bool { return s.Held+s.Delayed == 10 })
				b.Sever(up, down)
				if s := b.Stats(); s.Lost != 10 {
					t.Errorf("lost are %d bytes", s.Lost)
				}
				b.Delay(0, 0)
				b.Release()
				to.silence()
				b.Heal()
				to.isReset()
			})
		})
	}
}

func TestAWriteThatIsUnderWayIsCutShortBySever(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = from.Write(make([]byte, 16<<20))
		}()
		b.eventuallyStuck()
		b.Sever(up, down)
		<-done // the link reads on, and loses it
		b.eventually("the rest is lost", func(s Stats) bool { return s.Passed+s.Lost == 16<<20 && s.Lost > 0 })
		to.until(patience)
		if n, err := io.CopyN(io.Discard, to, b.Stats().Passed); err != nil {
			t.Fatalf("of what had passed %d bytes arrived: %v", n, err)
		}
		to.silence()
		b.Heal()
		to.isReset()
	})
}

// The hole is in the Write alone: nothing else is on its way when the link is severed, and it has healed before
// the Write has come to its end.
func TestAHoleInAWriteIsNoticedAfterHealing(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
		p := b.only(up)
		for sent := int64(0); sent == 0 || !b.stuck(p, sent); sent += 16 << 10 {
			from.say(string(make([]byte, 16<<10)))
		}
		b.Sever(up, down)
		b.Heal()
		b.eventually("the rest is lost", func(s Stats) bool { return s.Lost > 0 }) // reading now would let it through
		to.until(patience)
		if n, err := io.Copy(io.Discard, to); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after %d bytes the stream with a hole ended so: %v", n, err)
		}
	})
}

// only is the pipe of the only connection in a direction.
func (b *bed) only(upward bool) *pipe {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		if upward {
			return c.pipes[up]
		}
		return c.pipes[down]
	}
	b.t.Fatal("there is no connection")
	return nil
}

// stuck waits until all that was sent has been passed on, and reports whether instead the last Write waits for
// its receiver.
func (b *bed) stuck(p *pipe, sent int64) bool {
	b.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 300 {
		b.mu.Lock()
		passed := b.stats.Passed
		b.mu.Unlock()
		if passed >= sent {
			return false
		}
		<-tick.C
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return p.writing && len(p.queue) == 0
}

func TestTheEndOfAStreamIsLostToo(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
		b.Sever(up, down)
		if err := from.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		to.say("x") // it does not know
		from.hear("x")
		to.silence()
		b.Heal()
		to.isReset()
	})
}

func TestAResetIsLostToo(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
		b.Sever(up, down)
		from.abort()
		to.silence()
		b.Heal()
		to.isReset()
		b.eventuallyForgotten()
	})
}

func TestNewConnectionsToASeveredLinkAreSilent(t *testing.T) {
	b := newBed(t)
	b.Sever(true, true)
	speaks, waits := b.dial(), b.dial()
	speaks.say("hello")
	b.eventually("it is lost", func(s Stats) bool { return s.Lost == 5 && s.Conns == 2 })
	waits.silence()
	if err := b.target.SetDeadline(time.Now().Add(moment)); err != nil {
		t.Fatal(err)
	}
	if c, err := b.target.Accept(); err == nil {
		c.Close()
		t.Error("the target saw a connection")
	}
	b.Heal()
	speaks.isReset()
	far := b.accept() // of the one that lost nothing
	ends{waits, far}.converse()
}

func TestAConnectionThatWasOpeningWhenTheLinkWasSeveredOpensAfterwards(t *testing.T) {
	b := newBed(t)
	b.Hold(true, true)
	near := b.dial()
	b.eventually("it was accepted", func(s Stats) bool { return s.Conns == 1 })
	b.Sever(true, true)
	b.Heal()
	b.Release()
	ends{near, b.accept()}.converse()
}

func TestALinkSeveredDownwardsLetsRequestsThrough(t *testing.T) {
	b := newBed(t)
	b.Sever(false, true)
	near := b.dial()
	near.say("request")
	far := b.accept()
	far.hear("request")
	far.say("reply")
	b.eventually("the reply is lost", func(s Stats) bool { return s.Lost == 5 })
	near.silence()
	b.Heal()
	near.isReset()
}

func TestADirectionHealsWhileTheOtherStaysSevered(t *testing.T) {
	b := newBed(t)
	one, two := b.connect(), b.connect()
	one.converse()
	two.converse()
	b.Sever(true, true)
	one.near.say("x")
	two.far.say("y")
	b.eventually("both are lost", func(s Stats) bool { return s.Lost == 2 })
	b.Sever(false, true)
	one.near.isReset()
	two.near.silence()
	two.near.say("up again")
	two.far.hear("up again")
	b.Heal()
	two.near.isReset()
}

func TestAListenerNeedsAnAddressOfThisMachine(t *testing.T) {
	if l, err := Listen("192.0.2.1", "127.0.0.1:1"); err == nil {
		t.Error(errors.Join(errors.New("it listens on another's address"), l.Close()))
	}
	if l, err := Listen("127.0.0.1", "no port"); err == nil {
		t.Error(errors.Join(errors.New("it leads to nowhere"), l.Close()))
	}
}
