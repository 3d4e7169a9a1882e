package health

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// net/http reads it once. Nothing listens there.
	if err := os.Setenv("HTTP_PROXY", "http://127.0.0.1:1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

const (
	interval = 5 * time.Second
	timeout  = 2 * time.Second
)

// config is of a monitor whose checks turn at the first look that differs.
func config(probes ...Probe) Config {
	cfg := Config{
		Interval: interval, Timeout: timeout, Rise: 1, Fall: 1,
		Changed: func(context.Context, []Result) {}, Logger: slog.New(slog.DiscardHandler),
	}
	for i, p := range probes {
		cfg.Checks = append(cfg.Checks, Check{Name: string(rune('a' + i)), Probe: p})
	}
	return cfg
}

// watching is a monitor that runs in a bubble.
type watching struct {
	*Monitor
	stop  context.CancelFunc
	ended chan struct{}
}

// start begins to watch, and returns when the first looks are over. It stops with the test, or before.
func start(t *testing.T, cfg Config) *watching {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &watching{m, stop, make(chan struct{})}
	go func() {
		defer close(w.ended)
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { stop(); <-w.ended })
	synctest.Wait()
	return w
}

// next lets time pass until the next looks are over.
func next() {
	time.Sleep(interval)
	synctest.Wait()
}

// answers is a probe that answers with one error after the other, and goes on with the last.
func answers(errs ...error) Probe {
	return func(context.Context) error {
		err := errs[0]
		errs = errs[min(1, len(errs)-1):]
		return err
	}
}

// looks is a probe that passes where the text has a plus sign.
func looks(text string) Probe {
	var errs []error
	for _, sign := range text {
		if sign == '+' {
			errs = append(errs, nil)
		} else {
			errs = append(errs, errors.New("ill"))
		}
	}
	return answers(errs...)
}

func well(context.Context) error { return nil }

// silent answers when ctx has ended.
func silent(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// told keeps what Changed has been told.
type told struct {
	mu  sync.Mutex // guards all
	all [][]Result
}

func (to *told) changed(_ context.Context, all []Result) {
	to.mu.Lock()
	defer to.mu.Unlock()
	to.all = append(to.all, all)
}

// take returns what has been told since the last take.
func (to *told) take() [][]Result {
	to.mu.Lock()
	defer to.mu.Unlock()
	defer func() { to.all = nil }()
	return to.all
}

func TestACheckIsDownUntilItHasBeenLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := New(config(well))
		if err != nil {
			t.Fatal(err)
		}
		want := Result{Check: "a", Reason: "not looked at yet", Since: time.Now()}
		if all := m.Results(); len(all) != 1 || all[0] != want {
			t.Errorf("%+v", all)
		}
	})
}

func TestChecksTurnAfterSoManyLooksInARow(t *testing.T) {
	for _, row := range []struct{ looks, up string }{
		{"+", "+"},               // the first success is enough
		{"--+", "--+"},           // after failures too
		{"+-+--", "+++++"},       // two failures are not three
		{"+-+-+-+-", "++++++++"}, // and must be in a row
		{"+---", "+++-"},
		{"+---+", "+++--"}, // to come up again takes two
		{"+---++", "+++--+"},
		{"+---+-+-+", "+++------"},
		{"+---++--+---", "+++--+++++" + "+-"},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := config(looks(row.looks))
			cfg.Rise, cfg.Fall = 2, 3
			w := start(t, cfg)
			up, turned := "", time.Now()
			for i := range row.looks {
				if i > 0 {
					next()
				}
				now := w.Results()[0]
				sign := "-"
				if now.Up {
					sign = "+"
				}
				if i > 0 && sign != up[i-1:] {
					turned = time.Now()
				}
				up += sign
				if !now.Seen || !now.Since.Equal(turned) || now.Up != (now.Reason == "") {
					t.Errorf("%s: at look %d it is %+v", row.looks, i, now)
				}
			}
			if up != row.up {
				t.Errorf("%s: %s, want %s", row.looks, up, row.up)
			}
		})
	}
}

func TestTurnsAndNewReasonsAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ill, worse := errors.New("ill"), errors.New("worse")
		cfg := config(answers(ill, ill, worse, nil, nil, ill, worse, ill, nil), well)
		cfg.Fall = 3
		var to told
		cfg.Changed = to.changed
		start(t, cfg)
		first := to.take() // of the two first looks in one call or in two
		if last := first[len(first)-1]; len(last) != 2 || last[0].Reason != "ill" || last[1].Check != "b" || !last[1].Up {
			t.Errorf("told first %+v", first)
		}
		for i, want := range []string{"", "worse", "up", "", "", "", "ill", "up"} {
			next()
			now := to.take()
			switch {
			case want == "" && len(now) == 0:
			case want == "up" && len(now) == 1 && now[0][0].Up:
			case want != "" && len(now) == 1 && now[0][0].Reason == want:
			default:
				t.Errorf("after look %d told %+v, want %q", i+2, now, want)
			}
		}
	})
}

func TestWhatChangesWhileChangedBlocksIsToldInOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(looks("+-+-+-"), looks("-+-+-+"))
		release := make(chan struct{})
		var to told
		var calls atomic.Int32
		cfg.Changed = func(ctx context.Context, all []Result) {
			if calls.Add(1) != 1 {
				t.Error("called again before it has returned")
			}
			to.changed(ctx, all)
			<-release
			calls.Add(-1)
		}
		w := start(t, cfg)
		for range 3 { // the two checks turn three times
			next()
		}
		if now := to.take(); len(now) != 1 {
			t.Fatalf("told %d times", len(now))
		}
		release <- struct{}{}
		synctest.Wait()
		if now := to.take(); len(now) != 1 || !slices.Equal(now[0], w.Results()) {
			t.Fatalf("told %+v, they are %+v", now, w.Results())
		}
		release <- struct{}{}
		synctest.Wait()
		if now := to.take(); len(now) != 0 {
			t.Fatalf("told again of the same: %+v", now)
		}
		next()
		if now := to.take(); len(now) != 1 {
			t.Errorf("told %+v", now)
		}
		close(release)
	})
}

func TestEveryFailureIsCountedAndTurnsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		failed := 0
		cfg := config(looks("-++--+"))
		cfg.Rise, cfg.Fall = 1, 2
		cfg.Failed = func(check string) {
			if failed++; check != "a" {
				t.Errorf("%q failed", check)
			}
		}
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
			Level: slog.LevelDebug,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		}))
		start(t, cfg)
		for range 5 {
			next()
		}
		want := strings.Join([]string{
			`level=WARN msg="check failed" check=a err=ill`, // of the first look: why it does not come up
			`level=INFO msg="check passed" check=a`,
			`level=DEBUG msg="look failed" check=a err=ill`,
			`level=WARN msg="check failed" check=a err=ill`,
			`level=INFO msg="check passed" check=a`,
		}, "\n") + "\n"
		if log.String() != want {
			t.Errorf("log:\n%s", &log)
		}
		if failed != 3 {
			t.Errorf("%d failures", failed)
		}
	})
}

func TestWithoutChecksThereIsNothingToTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Changed = func(context.Context, []Result) { t.Error("told") }
		w := start(t, cfg)
		next()
		if all := w.Results(); len(all) != 0 {
			t.Errorf("%+v", all)
		}
	})
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		"is there twice":            func(c *Config) { c.Checks[1].Name = "a" },
		"a name and a probe":        func(c *Config) { c.Checks[0].Probe = nil },
		"needs a name":              func(c *Config) { c.Checks[0].Name = "" },
		"interval 0s":               func(c *Config) { c.Interval, c.Timeout = 0, -1 },
		"timeout 0s must be":        func(c *Config) { c.Timeout = 0 },
		"longer than the interval":  func(c *Config) { c.Timeout = c.Interval + 1 },
		"rise 0":                    func(c *Config) { c.Rise = 0 },
		"fall 0":                    func(c *Config) { c.Fall = 0 },
		"logger are required":       func(c *Config) { c.Logger = nil },
		"changed and logger are re": func(c *Config) { c.Changed = nil },
	} {
		cfg := config(well, well)
		spoil(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	cfg := config(well)
	cfg.Timeout = cfg.Interval
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
}
