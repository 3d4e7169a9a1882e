package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// shelf is a sharer whose attempts fail as they are told to; one more than that is published.
type shelf struct {
	fail  []error
	hangs bool // until the attempt's context ends
	puts  int
	value atomic.Pointer[election.Value]
}

func (s *shelf) Watch() (election.State, <-chan struct{}) {
	return election.State{Value: s.value.Load()}, nil
}

func (s *shelf) PutValue(ctx context.Context, put election.ValuePut) (*election.Value, error) {
	s.puts++
	if s.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.puts <= len(s.fail) {
		return nil, s.fail[s.puts-1]
	}
	v := &election.Value{Bytes: put.Bytes, ContentType: put.ContentType, Token: put.Token}
	s.value.Store(v)
	return v, nil
}

// publishing runs a term with the shelf: meanwhile is called once nothing moves any more but time, and then
// the term ends. It returns how long the work outlived the term, and the log.
func publishing(t *testing.T, s *shelf, meanwhile func()) (late time.Duration, log string) {
	t.Helper()
	var text bytes.Buffer
	lead := publish(s, "first", slog.New(slog.NewTextHandler(&text, nil)))
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- lead(ctx, election.Term{Token: 7}) }()
	synctest.Wait()
	meanwhile()
	select {
	case <-ended:
		t.Error("the work has ended before its term")
	default:
	}
	at := time.Now()
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return time.Since(at), text.String()
}

func TestFirstValueIsPublishedAsSoonAsItCanBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := fmt.Errorf("%w: grant it", election.ErrRefused)
		lost := errors.New("no answer")
		s := &shelf{fail: []error{lost, refused, lost, refused, refused}}
		late, log := publishing(t, s, func() { time.Sleep(time.Minute) })
		if v := s.value.Load(); s.puts != 6 || string(v.Bytes) != "first" || v.Token != 7 || late != 0 {
			t.Errorf("%d puts, %+v, %v late", s.puts, v, late)
		}
		if n := strings.Count(log, "\n"); n != 2 || !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "grant it") || !strings.Contains(log, "level=WARN") {
			t.Errorf("each kind of failure is told once, and the refusal with its remedy:\n%s", log)
		}
	})
}

func TestFirstValueIsNotPutOverTheWorkersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{fail: []error{errors.New("no answer")}}
		own := &election.Value{Bytes: []byte("newer"), Token: 7}
		publishing(t, s, func() { s.value.Store(own); time.Sleep(time.Minute) })
		if v := s.value.Load(); s.puts != 1 || v != own {
			t.Errorf("%d puts, %+v", s.puts, v)
		}
	})
}

func TestValueOfTheTermBeforeIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		s.value.Store(&election.Value{Bytes: []byte("old"), Token: 6})
		publishing(t, s, func() {})
		if v := s.value.Load(); v.Token != 7 {
			t.Errorf("%+v", v)
		}
	})
}

func TestFirstValueKeepsNoLeadFromBeingGivenUp(t *testing.T) {
	for name, s := range map[string]*shelf{
		"an attempt hangs":    {hangs: true},
		"it is between two":   {fail: []error{errors.New("no answer"), errors.New("no answer"), errors.New("no answer")}},
		"the term is over":    {fail: []error{election.ErrNotLeading}},
		"the token is passed": {fail: []error{election.ErrTokenMismatch}},
	} {
		synctest.Test(t, func(t *testing.T) {
			late, log := publishing(t, s, func() {})
			if late != 0 || s.puts != 1 || s.hangs && log != "" {
				t.Errorf("%s: %d puts, %v late:\n%s", name, s.puts, late, log)
			}
		})
	}
}

func TestNoValueMeansNoWork(t *testing.T) {
	if publish(&shelf{}, "", slog.New(slog.DiscardHandler)) != nil {
		t.Error("there is work")
	}
}
