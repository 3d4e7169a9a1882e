package link

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen; a moment is how long is waited for what must not.
const (
	patience = 15 * time.Second
	moment   = 100 * time.Millisecond
)

// ends is one connection through a link, from both sides.
type ends struct{ near, far *peer }

// peer is one side of a connection.
type peer struct {
	*net.TCPConn
	t *testing.T
}

// bed is a link to a listener of the test's.
type bed struct {
	*Link
	t      *testing.T
	target *net.TCPListener
}

func newBed(t *testing.T) *bed {
	t.Helper()
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen("127.0.0.1", target.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
		target.Close()
	})
	return &bed{Link: l, t: t, target: target.(*net.TCPListener)}
}

func (b *bed) dial() *peer {
	b.t.Helper()
	c, err := net.Dial("tcp", b.Addr())
	if err != nil {
		b.t.Fatal(err)
	}
	return b.peer(c)
}

func (b *bed) accept() *peer {
	b.t.Helper()
	if err := b.target.SetDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	c, err := b.target.Accept()
	if err != nil {
		b.t.Fatal(err)
	}
	return b.peer(c)
}

func (b *bed) peer(c net.Conn) *peer {
	b.t.Cleanup(func() { c.Close() })
	return &peer{TCPConn: c.(*net.TCPConn), t: b.t}
}

func (b *bed) connect() ends {
	b.t.Helper()
	near := b.dial()
	return ends{near: near, far: b.accept()}
}

// both hands a connection with its sides as they are, and one with them swapped, to a test of one direction,
// which is told by the two booleans that Hold and Sever want.
func both(t *testing.T, f func(t *testing.T, b *bed, from, to *peer, up, down bool)) {
	for _, upward := range []bool{true, false} {
		name := map[bool]string{true: "up", false: "down"}[upward]
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			e := b.connect()
			if upward {
				f(t, b, e.near, e.far, true, false)
			} else {
				f(t, b, e.far, e.near, false, true)
			}
		})
	}
}

func (p *peer) say(s string) {
	p.t.Helper()
	if _, err := p.Write([]byte(s)); err != nil {
		p.t.Fatal(err)
	}
}

// hear reads exactly that.
func (p *peer) hear(s string) {
	p.t.Helper()
	got := make([]byte, len(s))
	p.until(patience)
	if n, err := io.ReadFull(p, got); err != nil || string(got) != s {
		p.t.Fatalf("heard %q, %v; want %q", got[:n], err, s)
	}
}

// silence makes sure that nothing comes, neither a byte nor an end.
func (p *peer) silence() {
	p.t.Helper()
	p.until(moment)
	if n, err := p.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("it was to be silent; read %d bytes, %v", n, err)
	}
}

// ended makes sure that the stream ends in order.
func (p *peer) ended() {
	p.t.Helper()
	p.until(patience)
	if n, err := p.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		p.t.Fatalf("the stream was to end; read %d bytes, %v", n, err)
	}
}

// isReset makes sure that the connection was reset.
func (p *peer) isReset() {
	p.t.Helper()
	p.until(patience)
	if n, err := p.Read(make([]byte, 1)); n > 0 || !errors.Is(err, syscall.ECONNRESET) {
		p.t.Fatalf("the connection was to be reset; read %d bytes, %v", n, err)
	}
}

// abort resets the connection from this side.
func (p *peer) abort() {
	_ = p.SetLinger(0)
	p.Close()
}

func (p *peer) until(d time.Duration) {
	p.t.Helper()
	if err := p.SetReadDeadline(time.Now().Add(d)); err != nil {
		p.t.Fatal(err)
	}
}

// converse makes sure that bytes pass both ways.
func (e ends) converse() {
	e.near.t.Helper()
	e.near.say("ping")
	e.far.hear("ping")
	e.far.say("pong")
	e.near.hear("pong")
}

// eventually asks until it is so.
func (b *bed) eventually(what string, so func(Stats) bool) {
	b.t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so(b.Stats()) {
		select {
		case <-tick.C:
		case <-limit:
			b.t.Fatalf("it did not happen that %s: %+v", what, b.Stats())
		}
	}
}

func TestBytesPassAndAreCounted(t *testing.T) {
	b := newBed(t)
	b.connect().converse()
	b.connect().converse()
	b.eventually("all was counted", func(s Stats) bool { return s == Stats{Conns: 2, Passed: 16} })
}

func TestAHalfCloseIsPassedOnAsOne(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, _, _ bool) {
		from.say("last words")
		if err := from.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		to.hear("last words")
		to.ended()
		to.say("an answer")
		from.hear("an answer")
		to.Close()
		from.ended()
		b.eventuallyForgotten()
	})
}

// eventuallyForgotten makes sure that no connection is left.
func (b *bed) eventuallyForgotten() {
	b.t.Helper()
	b.eventually("the connections are forgotten", func(Stats) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.conns) == 0
	})
}

func TestAResetIsPassedOnAsOne(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, _, _ bool) {
		from.say("x")
		to.hear("x")
		from.abort()
		to.isReset()
		b.eventuallyForgotten()
	})
}

func TestAReceiverThatIsGoneIsToldToTheSender(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, _, _ bool) {
		to.Close() // a stream's end, as far as the link can see
		from.ended()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		limit := time.After(patience)
		for {
			if _, err := from.Write([]byte("x")); err != nil {
				break
			}
			select {
			case <-tick.C:
			case <-limit:
				t.Fatal("the sender may go on for ever")
			}
		}
		b.eventuallyForgotten()
	})
}

func TestARefusedConnectionIsReset(t *testing.T) {
	b := newBed(t)
	b.target.Close()
	c, err := net.Dial("tcp", b.Addr())
	if err == nil {
		b.peer(c).isReset()
	} else if !errors.Is(err, syscall.ECONNRESET) { // the reset may come first
		t.Fatal(err)
	}
	b.eventuallyForgotten()
}

func TestResetEndsAllConnectionsAndNoLaterOne(t *testing.T) {
	b := newBed(t)
	one, two := b.connect(), b.connect()
	one.converse()
	two.converse() // so the link is through with dialing, and has something to reset
	b.Reset()
	for _, p := range []*peer{one.near, one.far, two.near, two.far} {
		p.isReset()
	}
	b.connect().converse()
}

func TestCloseEndsConnectionsInEveryState(t *testing.T) {
	b := newBed(t)
	plain, severed, held := b.connect(), b.connect(), b.connect()
	for _, e := range []ends{plain, severed, held} {
		e.converse() // so the link is through with dialing, and has something to reset
	}
	b.Hold(true, true)
	held.near.say("held")
	b.Sever(true, true)
	severed.near.say("lost")
	b.dial() // waits for the target
	b.eventually("all was read", func(s Stats) bool { return s.Lost == 8 && s.Conns == 4 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*peer{plain.near, severed.far, held.near} {
		p.isReset()
	}
	if c, err := net.Dial("tcp", b.Addr()); err == nil {
		c.Close()
		t.Error("a closed link accepts")
	}
}

func TestDelayedBytesComeLateAndInOrder(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, _, _ bool) {
		const delay = 200 * time.Millisecond
		b.Delay(delay, delay)
		begun := time.Now()
		from.say("slow ")
		b.eventually("it was read", func(s Stats) bool { return s.Delayed == 5 })
		b.Delay(0, 0)
		from.say("and fast")
		to.hear("slow and fast")
		if took := time.Since(begun); took < delay || took > delay+5*time.Second {
			t.Errorf("it took %v", took)
		}
		b.eventually("only the slow part is counted", func(s Stats) bool { return s == Stats{Conns: 1, Passed: 13, Delayed: 5} })
	})
}

func TestEachDirectionHasItsOwnDelay(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, _ bool) {
		if up {
			b.Delay(time.Hour, 0)
		} else {
			b.Delay(0, time.Hour)
		}
		from.say("slow")
		to.say("fast")
		from.hear("fast")
		to.silence()
	})
}

func TestANewConnectionIsAsLateAsAByte(t *testing.T) {
	b := newBed(t)
	b.Delay(300*time.Millisecond, 0)
	begun := time.Now()
	b.connect()
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("the target saw the connection after %v", took)
	}
}

func TestHeldBytesAreDeliveredOnRelease(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
		b.Delay(time.Hour, time.Hour) // a release does not wait for it
		from.say("before, ")
		b.eventually("it was read", func(s Stats) bool { return s.Delayed == 8 })
		b.Hold(up, down)
		from.say("during")
		b.eventually("it is held", func(s Stats) bool { return s.Held == 14 })
		if err := from.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		b.Delay(0, 0)
		to.silence()
		to.say("the other way")
		from.hear("the other way")
		b.Release()
		to.hear("before, during")
		to.ended()
	})
}

func TestAConnectionThatWasHeldOpensOnRelease(t *testing.T) {
	b := newBed(t)
	b.Hold(true, false)
	near := b.dial()
	near.say("hello")
	b.eventually("it is held", func(s Stats) bool { return s.Held == 5 })
	b.Release()
	b.accept().hear("hello")
}

func TestHoldStopsAWriteThatIsUnderWay(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
		sent := make([]byte, 8<<20) // more than all buffers of kernel and link hold
		for i := range sent {
			sent[i] = byte(i * i >> 8)
		}
		done := make(chan error, 1)
		go func() { _, err := from.Write(sent); done <- err }()
		b.eventuallyStuck()
		b.Hold(up, down)
		before := b.Stats().Passed
		b.Release()
		got := make([]byte, len(sent))
		to.until(patience)
		if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("the bytes did not arrive as they were sent: %v", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if b.Stats().Passed <= before {
			t.Error("nothing passed after the release")
		}
	})
}

// eventuallyStuck waits until no more passes, because nobody reads.
func (b *bed) eventuallyStuck() {
	b.t.Helper()
	for last := int64(-1); ; {
		<-time.After(moment)
		if now := b.Stats().Passed; now == last && now > 0 {
			return
		} else {
			last = now
		}
	}
}

func TestBuffersAreBounded(t *testing.T) {
	both(t, func(t *testing.T, b *bed, from, to *peer, up, down bool) {
		b.Hold(up, down)
		if err := from.SetWriteDeadline(time.Now().Add(2 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := from.Write(make([]byte, 64<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("it takes %d bytes for which nobody waits, %v", n, err)
		}
		if held := b.Stats().Held; held < capacity/2 || held > capacity+64<<10 {
			t.Errorf("it holds %d bytes", held)
		}
	})
}
