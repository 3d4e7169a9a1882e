package election_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

// reads is a store whose queue is what the test says.
type reads struct {
	election.Store
	queue func(context.Context) (election.Queue, error)
}

type readSession struct {
	election.Session
	reads
}

func (s reads) Open(ctx context.Context, req election.OpenRequest) (election.Session, election.Opened, error) {
	session, opened, err := s.Store.Open(ctx, req)
	return readSession{session, s}, opened, err
}

func (s readSession) Candidates(ctx context.Context) (election.Queue, error) { return s.queue(ctx) }

// joinReading starts an elector whose recorder tells of twins, with the queue's answers.
func (f *fleet) joinReading(queue func(context.Context) (election.Queue, error), change ...func(*election.Config)) (*member, *counting) {
	seen := &counting{}
	return f.join("a", nil, append(change, func(c *election.Config) { c.Recorder, c.Store = seen, reads{c.Store, queue} })...), seen
}

func queueOf(incarnations ...string) election.Queue {
	q := election.Queue{Total: len(incarnations)}
	for _, i := range incarnations {
		q.Standings = append(q.Standings, election.Standing{Candidate: election.Candidate{Identity: "a", Incarnation: i}})
	}
	return q
}

// A caller that gave up says nothing of etcd to the next; one that waits for another's reading can give up too.
func TestWhoeverGivesUpIsNotTheReasonForOthers(t *testing.T) {
	inBubble(t, func(f *fleet) {
		hangs := false
		a, _ := f.joinReading(func(ctx context.Context) (election.Queue, error) {
			if hangs {
				<-ctx.Done()
				return election.Queue{}, ctx.Err()
			}
			return queueOf("a-1"), nil
		})
		a.awaitPhase(election.Leader)
		synctest.Wait()
		hangs = true
		for range 2 {
			ctx, cancel := context.WithCancel(context.Background())
			told := make(chan error)
			go func() { _, err := a.Candidates(ctx); told <- err }()
			synctest.Wait()
			waits, giveUp := context.WithCancelCause(context.Background())
			tired := errors.New("tired")
			go func() { _, err := a.Candidates(waits); told <- err }()
			synctest.Wait()
			giveUp(tired)
			if err := <-told; !errors.Is(err, tired) {
				t.Errorf("the one that waits for the other: %v", err)
			}
			cancel()
			if err := <-told; err == nil {
				t.Error("a queue that nobody has read")
			}
		}
		hangs = false
		if q, err := a.Candidates(context.Background()); err != nil || q.Total != 1 {
			t.Errorf("%+v, %v", q, err)
		}
	})
}

func TestQueueIsNotKnownWithoutASession(t *testing.T) {
	inBubble(t, func(f *fleet) {
		f.cluster.Inject(func(_, op string) electiontest.Fault {
			if op == "open" {
				return electiontest.BeforeApply
			}
			return electiontest.None
		})
		a := f.join("a", nil)
		a.await("no session", func(s election.State) bool { return s.Cause == election.CauseSessionLost })
		if _, err := a.Candidates(context.Background()); !errors.Is(err, election.ErrNoSession) {
			t.Errorf("without a session: %v", err)
		}
	})
}

// A process that stands alone costs etcd one reading; another under its identity one a minute.
func TestTheQueueIsReadForTwinsOnlyWhileThereIsReason(t *testing.T) {
	inBubble(t, func(f *fleet) {
		var mu sync.Mutex // guards began
		var began []time.Duration
		read := func() []time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(began)
		}
		start := time.Now()
		unread := errors.New("unread")
		answers := []error{unread, nil, unread, nil, nil}
		twins := []int{0, 1, 0, 2, 0}
		counted := []int64{0, 1, 1, 2, 0}
		log := &lines{}
		a, seen := f.joinReading(func(context.Context) (election.Queue, error) {
			mu.Lock()
			defer mu.Unlock()
			n := len(began)
			began = append(began, time.Since(start))
			return queueOf([]string{"a-1", "a-2", "a-3"}[:1+twins[n]]...), answers[n]
		}, logTo(log))
		a.awaitPhase(election.Leader)
		for n := range answers {
			time.Sleep(time.Minute)
			synctest.Wait()
			if began := read(); len(began) < n+1 || seen.twins.Load() != counted[len(began)-1] {
				t.Fatalf("in minute %d: read at %v, %d twins counted", n, began, seen.twins.Load())
			}
		}
		time.Sleep(5 * time.Minute)
		began = read()
		if len(began) != len(answers) {
			t.Errorf("read at %v", began)
		}
		for n := 1; n < len(began); n++ {
			if pause := began[n] - began[n-1]; pause < time.Minute-ttl || pause > time.Minute+ttl {
				t.Errorf("read again after %v", pause)
			}
		}
		if got := log.with("another process stands under this identity"); len(got) != 2 {
			t.Errorf("said %q", got)
		}
	})
}

func TestNobodyLooksForTwinsWithoutASession(t *testing.T) {
	inBubble(t, func(f *fleet) {
		var n atomic.Int32
		d := &door{open: true, err: errors.New("shut")}
		a, _ := f.joinReading(func(context.Context) (election.Queue, error) { n.Add(1); return queueOf("a-1", "a-2"), nil }, f.behind(d))
		a.awaitPhase(election.Leader)
		synctest.Wait()
		d.set(false)
		if err := a.resign(election.Resignation{}); err != nil {
			t.Fatal(err)
		}
		a.awaitPhase(election.Connecting)
		before := n.Load()
		time.Sleep(3 * time.Minute)
		if n.Load() != before {
			t.Errorf("read %d times, %d of them without a session", n.Load(), n.Load()-before)
		}
	})
}

// Whoever asks for the queue has it looked at for twins as well.
func TestQueueThatIsAskedForIsLookedAtForTwins(t *testing.T) {
	inBubble(t, func(f *fleet) {
		twins := queueOf("a-1")
		fails := error(nil)
		log := &lines{}
		a, seen := f.joinReading(func(context.Context) (election.Queue, error) { return twins, fails }, logTo(log))
		a.awaitPhase(election.Leader)
		time.Sleep(ttl) // in which it looks by itself
		synctest.Wait()
		twins = queueOf("a-1", "a-2", "a-3")
		ask := func() {
			time.Sleep(2 * time.Second)
			_, _ = a.Candidates(context.Background())
			synctest.Wait()
		}
		if ask(); seen.twins.Load() != 2 {
			t.Errorf("%d twins counted", seen.twins.Load())
		}
		ask()
		if got := log.with("another process stands under this identity"); len(got) != 1 {
			t.Errorf("said %q", got)
		}
		twins, fails = election.Queue{}, errors.New("unread")
		if ask(); seen.twins.Load() != 2 {
			t.Errorf("%d twins counted of a queue that was not read", seen.twins.Load())
		}
	})
}
