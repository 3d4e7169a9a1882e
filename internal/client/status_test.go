package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
)

func TestAYesEndsAsSoonAsItMayOnTheClocksThatAreKnown(t *testing.T) {
	const sec = time.Second
	for what, c := range map[string]struct {
		local          bool
		sent, received time.Duration
		in, end        int64
		until          time.Duration
	}{
		"at once":                   {true, 10 * sec, 10*sec + 3*time.Millisecond, 2000, 12_001, 12_001 * time.Millisecond},
		"waited for":                {true, 10 * sec, 40 * sec, 2000, 41_500, 41_500 * time.Millisecond},
		"rounded down":              {true, 10 * sec, 40 * sec, 2000, 42_001, 42_001 * time.Millisecond},
		"of another host":           {false, 10 * sec, 40 * sec, 2000, 41_500, 12 * sec},
		"through a tunnel, younger": {true, 10 * sec, 40 * sec, 2000, 5_000, 12 * sec},
		"through a tunnel, older":   {true, 10 * sec, 40 * sec, 2000, 9_000_000, 12 * sec},
		"without an end":            {true, 10 * sec, 40 * sec, 2000, 0, 12 * sec},
	} {
		s := Status{Leading: true, ExpiresInMs: c.in, ExpiresBoottimeMs: c.end}
		if s.settle(c.local, c.sent, c.received); s.until != c.until {
			t.Errorf("%s: certain until %v, want %v", what, s.until, c.until)
		}
	}
}

func TestCertaintyCountsFromBeforeTheRequest(t *testing.T) {
	const took = 5 * time.Millisecond
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for began := boottime.Now(); boottime.Now()-began < took; {
			runtime.Gosched() // the clock is what the test is about
		}
		fmt.Fprint(w, `{"leading":true,"expires_in_ms":60000}`)
	})
	before := boottime.Now()
	s, err := c.Leader(t.Context(), Ask{})
	if err != nil {
		t.Fatal(err)
	}
	if left := s.Certain(); left > time.Minute-took || left < time.Minute-(boottime.Now()-before) {
		t.Errorf("certain for %v", left)
	}
	if s.Leading = false; s.Certain() != 0 {
		t.Error("a no is certain")
	}
}

func TestAWaitEndsWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := in(t, func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
		began := time.Now()
		var silent *NoAnswerError
		if _, err := c.Status(t.Context(), Ask{Wait: time.Minute}); !errors.As(err, &silent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Minute+slack {
			t.Errorf("after %v", took)
		}
	})
}
