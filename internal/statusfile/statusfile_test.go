package statusfile

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/electiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct{ start time.Time }

func (c clock) Now() election.Instant { return election.Instant(time.Hour + time.Since(c.start)) }

// bench is an elector with its files, in a bubble.
type bench struct {
	*testing.T
	*election.Elector
	clock   clock
	cluster *electiontest.Cluster
	files   *Files
	log     bytes.Buffer
	status  string
	leader  string
	stop    context.CancelFunc
	ended   chan struct{}
}

const answerMax = 2 * time.Second

func newBench(t *testing.T) *bench {
	dir := t.TempDir()
	b := &bench{T: t, clock: clock{time.Now()}, status: filepath.Join(dir, "status"), leader: filepath.Join(dir, "leader"), ended: make(chan struct{})}
	b.cluster = electiontest.NewCluster(b.clock)
	e, err := election.New(election.Config{
		Identity: "a", Incarnation: "a-1", Election: "shop/billing", TTL: 10 * time.Second, AnswerMax: answerMax,
		Clock: b.clock, Store: b.cluster.Store("a", "a-1"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Elector = e
	return b
}

func (b *bench) config() Config {
	return Config{
		Status: b.status, Leader: b.leader, Election: "shop/billing", Elector: b.Elector, Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
		Encode: func(a election.Answer) []byte {
			text, err := json.Marshal(map[string]any{"leading": a.Leading, "phase": a.Phase, "until": int64(a.ExpiresAt)})
			if err != nil {
				b.Error(err)
			}
			return text
		},
	}
}

// run starts the elector and its files, which both end with the test.
func (b *bench) run() {
	b.Helper()
	var err error
	if b.files, err = New(b.config()); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Elector.Run(ctx, nil) })
	wg.Go(func() { _ = b.files.Run(context.Background()) })
	go func() { wg.Wait(); close(b.ended) }()
	b.Cleanup(func() { stop(); <-b.ended })
	synctest.Wait()
}

// told is what the two files say; ok is false for a leader file that is not there.
func (b *bench) told() (leading bool, until int64, l leaderFile, ok bool) {
	b.Helper()
	var s struct {
		Leading bool
		Until   int64
	}
	text, err := os.ReadFile(b.status)
	if err != nil || json.Unmarshal(text, &s) != nil {
		b.Fatalf("status file %q: %v", text, err)
	}
	text, err = os.ReadFile(b.leader)
	if err == nil {
		if ok = json.Unmarshal(text, &l) == nil; !ok {
			b.Fatalf("leader file %q", text)
		}
	}
	return s.Leading, s.Until, l, ok
}

func TestFilesSayYesOnlyAsLongAsItIsPromised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		for range 40 {
			leading, until, l, ok := b.told()
			now := b.Look()
			if !now.Leading || !leading || !ok || l.Token != now.Token || l.Election != "shop/billing" || l.Identity != "a" || l.Incarnation != "a-1" {
				t.Fatalf("leads with %d; the files say %v, %+v", now.Token, leading, l)
			}
			if left := election.Instant(until).Sub(b.clock.Now()); left < answerMax/2 || left > answerMax {
				t.Fatalf("a yes with %v left", left)
			}
			if end := time.Duration(until).Milliseconds(); l.ExpiresBoottimeMs > end || l.ExpiresBoottimeMs < end-1000 {
				t.Errorf("the files end at %d and %d", end, l.ExpiresBoottimeMs)
			}
			time.Sleep(700 * time.Millisecond)
			synctest.Wait()
		}
	})
}

func TestFilesSayNoBeforeTheKeyGoesAndPromisesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		_, until, _, _ := b.told()
		token := b.Look().Token
		b.stop()
		synctest.Wait()
		if leading, _, _, ok := b.told(); leading || ok {
			t.Error("stepping down, and a file says yes")
		}
		if !b.cluster.Stands(token) {
			t.Error("the key has gone before the promise in the files ran out")
		}
		<-b.ended
		if now := b.clock.Now(); int64(now) < until {
			t.Errorf("ended at %v, promised until %v", now, until)
		}
		if leading, _, _, ok := b.told(); leading || ok {
			t.Error("ended, and a file says yes")
		}
		if text, _ := os.ReadFile(b.status); !strings.Contains(string(text), `"leading":false`) {
			t.Errorf("the last status is %s", text)
		}
		if left, _ := filepath.Glob(filepath.Dir(b.status) + "/*.next"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestFilesSayNoWhenTheLeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.cluster.Inject(func(string, string) electiontest.Fault { return electiontest.NeverReplies })
		for {
			_, changed := b.Watch()
			if !b.Look().Leading {
				break
			}
			<-changed
		}
		synctest.Wait()
		if leading, _, _, ok := b.told(); leading || ok {
			t.Error("a file says yes after the loss")
		}
	})
}

func TestFilesOfAnEarlierProcessAreReplaced(t *testing.T) {
	b := newBench(t)
	for _, path := range []string{b.status, b.leader, b.leader + ".next"} {
		if err := os.WriteFile(path, []byte(`{"leading":true,"token":1,"expires_boottime_ms":9999999999999}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(b.config()); err != nil {
		t.Fatal(err)
	}
	if leading, _, _, ok := b.told(); leading || ok {
		t.Error("a file still says yes")
	}
	if info, err := os.Stat(b.status); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestFilesThatCannotBeKeptAreToldAtTheStart(t *testing.T) {
	b := newBench(t)
	for setting, change := range map[string]func(*Config){
		"--status-file": func(c *Config) { c.Status = "/nowhere/status" },
		"--leader-file": func(c *Config) { c.Leader = "/nowhere/leader" },
	} {
		cfg := b.config()
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), setting) || !strings.Contains(err.Error(), "/nowhere") {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

func TestFileThatCannotBeWrittenIsLoggedOnceAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		dir := filepath.Dir(b.status)
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * answerMax)
		synctest.Wait()
		if n := strings.Count(b.log.String(), "cannot be kept"); n != 1 {
			t.Errorf("logged %d times: %s", n, b.log.String())
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(answerMax)
		synctest.Wait()
		if _, until, _, ok := b.told(); !ok || int64(b.clock.Now()) >= until {
			t.Error("the files are not kept again")
		}
	})
}

func TestALinkIsNotWrittenThrough(t *testing.T) {
	b := newBench(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.Symlink(victim, b.status+".next"); err != nil {
		t.Fatal(err)
	}
	if _, err := New(b.config()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(victim); err == nil {
		t.Error("written through a link")
	}
}

func TestLinksThatComeLaterAreReplacedAndNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f, err := New(b.config())
		if err != nil {
			t.Fatal(err)
		}
		victim := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(victim, []byte("keep"), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, link := range map[string]func(old, name string) error{"symbolic": os.Symlink, "hard": os.Link} {
			for _, at := range []string{b.status, b.status + ".next"} {
				_ = os.Remove(at)
				if err := link(victim, at); err != nil {
					t.Fatal(err)
				}
				f.told = election.Answer{} // so that there is something to tell
				if f.keep(); f.failed != "" {
					t.Errorf("%s link at %s: %s", name, at, f.failed)
				}
				if text, err := os.ReadFile(victim); err != nil || string(text) != "keep" {
					t.Errorf("%s link at %s: written through: %q, %v", name, at, text, err)
				}
				if info, err := os.Lstat(b.status); err != nil || !info.Mode().IsRegular() {
					t.Errorf("%s link at %s: %v, %v", name, at, info, err)
				}
			}
		}
	})
}

func TestOnlyAPlainFileIsReplaced(t *testing.T) {
	b := newBench(t)
	if err := os.Symlink(os.DevNull, b.leader); err != nil {
		t.Fatal(err)
	}
	for setting, change := range map[string]func(*Config){
		"--status-file": func(c *Config) { c.Status = t.TempDir() },
		"--leader-file": func(c *Config) { c.Leader = b.leader },
	} {
		cfg := b.config()
		cfg.Leader = ""
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.HasPrefix(err.Error(), setting) || !strings.Contains(err.Error(), "no plain file") {
			t.Errorf("%s: %v", setting, err)
		}
	}
	if _, err := os.Lstat(b.leader); err != nil {
		t.Error("the link has gone")
	}
}

func TestLeaderFileNamesTheBootThatItsEndBelongsTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		if _, _, l, _ := b.told(); l.BootID != boottime.BootID() || l.BootID == "" {
			t.Errorf("boot %q, which is %q", l.BootID, boottime.BootID())
		}
	})
}

// gone waits until the leader file is not there, and returns how long before the end that it had.
func (b *bench) gone() time.Duration {
	b.Helper()
	var end time.Duration
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); {
		text, err := os.ReadFile(b.leader)
		if err != nil {
			return end - time.Duration(b.clock.Now())
		}
		var l leaderFile
		if err := json.Unmarshal(text, &l); err != nil {
			b.Fatalf("leader file %q: %v", text, err)
		}
		end = time.Duration(l.ExpiresBoottimeMs) * time.Millisecond
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	b.Fatal("the leader file stays")
	return 0
}

func TestLeaderFileGoesBeforeItsEndWhenTheLeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.cluster.Inject(func(string, string) electiontest.Fault { return electiontest.NeverReplies })
		if left := b.gone(); left < 50*time.Millisecond || left > answerMax/4 {
			t.Errorf("gone %v before its end", left)
		}
		if !b.Look().Leading {
			t.Error("gone only after the loss")
		}
	})
}

func TestLeaderFileThatCannotBeWrittenAnewGoesBeforeItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		inTheWay := filepath.Join(b.leader+".next", "something")
		if err := os.MkdirAll(inTheWay, 0o700); err != nil {
			t.Fatal(err)
		}
		if left := b.gone(); left < 50*time.Millisecond || left > answerMax/4 {
			t.Errorf("gone %v before its end", left)
		}
		if leading, _, _, _ := b.told(); !leading || !b.Look().Leading {
			t.Error("the other file and the elector do not go on")
		}
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		time.Sleep(answerMax)
		synctest.Wait()
		if _, _, _, ok := b.told(); !ok {
			t.Error("the leader file does not come back")
		}
	})
}
