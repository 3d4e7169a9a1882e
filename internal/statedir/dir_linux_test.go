package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/elector-dev/elector/internal/election"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a directory on a host of the mind.
type bench struct {
	*testing.T
	dir   string
	host  host
	clock election.Instant
	group int // the one that exists
	runs  int
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, dir: filepath.Join(t.TempDir(), "state"), clock: election.Instant(time.Hour)}
	b.host = host{
		boot: "boot-1", pids: "pid:[1]",
		now:        func() election.Instant { return b.clock },
		fileSystem: func(int) (int64, error) { return unix.EXT4_SUPER_MAGIC, nil },
		exists:     func(group int) bool { return group == b.group },
	}
	return b
}

func self(incarnation string) Self {
	return Self{Prefix: "/elector", Election: "default/mail", Identity: "w1", Incarnation: incarnation, AnswerMax: 2 * time.Second}
}

// open is the start of one more process, i1, i2 and so on.
func (b *bench) open() (*Dir, election.Past) {
	b.Helper()
	b.runs++
	d, past, err := open(b.dir, self("i"+strconv.Itoa(b.runs)), b.host)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.Close)
	return d, past
}

// refused is a start that must not succeed.
func (b *bench) refused(as Self, want string) {
	b.Helper()
	before := b.content()
	d, past, err := open(b.dir, as, b.host)
	if err == nil {
		d.Close()
		b.Fatalf("taken, with %+v; want %q", past, want)
	}
	if text := err.Error(); !strings.Contains(text, want) || strings.ContainsRune(text, '\n') {
		b.Errorf("%q does not say %q in one line", text, want)
	}
	if after := b.content(); after != before {
		b.Errorf("the state was changed from %s to %s", before, after)
	}
}

// content is what the state's file says, if it is one.
func (b *bench) content() string {
	if st, err := os.Lstat(b.path(stateName)); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	content, err := os.ReadFile(b.path(stateName))
	must(b.T, err)
	return string(content)
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func candidacyOf(lease election.LeaseID, token int64) election.Candidacy {
	return election.Candidacy{ClusterID: 7, Key: "/elector/default/mail/" + lease.String(), Lease: lease, Token: token}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// led is a directory whose owner has led with token 40 and died.
func led(t *testing.T) *bench {
	b := newBench(t)
	d, _ := b.open()
	must(t, d.Candidacy(candidacyOf(0x77, 40)))
	d.Close()
	return b
}

func TestNextProcessIsToldOfTheDeadOne(t *testing.T) {
	b := newBench(t)
	d, past := b.open()
	if past.Seen != (election.Mark{}) || past.Fenced != "" || past.Predecessors != nil {
		t.Errorf("an empty directory tells %+v", past)
	}
	must(t, d.Candidacy(candidacyOf(0x77, 0)))
	must(t, d.Seen(election.Mark{Revision: 100, Token: 20}))
	must(t, d.Candidacy(candidacyOf(0x77, 40)))
	must(t, d.Seen(election.Mark{Revision: 90, Token: 30}))
	d.Close()
	b.clock += election.Instant(time.Minute)
	_, past = b.open()
	if want := (election.Mark{Revision: 100, Token: 40}); past.Seen != want || len(past.Predecessors) != 1 {
		t.Fatalf("told %+v", past)
	}
	p := past.Predecessors[0]
	if p.Candidacy != candidacyOf(0x77, 40) || p.Incarnation != "i1" || p.FreeAt != b.clock.Add(2*time.Second+2*time.Second/99) {
		t.Errorf("told of %+v at %v", p, b.clock)
	}
}

func TestProcessThatPutNoKeyLeavesNothing(t *testing.T) {
	b := newBench(t)
	d, _ := b.open()
	d.Close()
	if _, past := b.open(); past.Predecessors != nil {
		t.Errorf("told of %+v", past.Predecessors)
	}
}

// A process that dies before it has released its predecessor's key leaves two.
func TestKeyIsRememberedUntilItIsKnownToBeGone(t *testing.T) {
	b := led(t)
	second, past := b.open()
	free := past.Predecessors[0].FreeAt
	must(t, second.Candidacy(candidacyOf(0x78, 0)))
	second.Close()
	b.clock += election.Instant(time.Second)
	third, past := b.open()
	if n := len(past.Predecessors); n != 2 || past.Predecessors[0].FreeAt != free || past.Predecessors[1].FreeAt != b.clock.Add(2*time.Second+2*time.Second/99) {
		t.Fatalf("told of %+v", past.Predecessors)
	}
	past.Predecessors[0].Forget()
	must(t, third.Candidacy(candidacyOf(0x79, 0)))
	third.Close()
	fourth, past := b.open()
	if n := len(past.Predecessors); n != 2 || past.Predecessors[0].Incarnation != "i2" || past.Predecessors[1].Incarnation != "i3" {
		t.Fatalf("told of %+v", past.Predecessors)
	}
	for _, p := range past.Predecessors {
		p.Forget()
	}
	must(t, fourth.Candidacy(candidacyOf(0x80, 50)))
	fourth.Close()
	if _, past = b.open(); len(past.Predecessors) != 1 || past.Predecessors[0].Token != 50 {
		t.Errorf("told of %+v", past.Predecessors)
	}
}

func TestCrashLoopKeepsTheLatestKeys(t *testing.T) {
	b := newBench(t)
	for n := range 3 * maxProcesses {
		d, past := b.open()
		if len(past.Predecessors) != min(n, maxProcesses) {
			t.Fatalf("start %d is told of %d", n, len(past.Predecessors))
		}
		must(t, d.Candidacy(candidacyOf(election.LeaseID(n+1), 0)))
		d.Close()
	}
}

func TestNothingIsConcludedOfAnotherBootButWhatWasSeen(t *testing.T) {
	b := led(t)
	b.host.boot = "boot-2"
	must(t, os.Rename(b.path(lockName), b.path("gone"))) // device and inode may differ as well
	_, past := b.open()
	if past.Predecessors != nil || past.Seen.Token != 40 {
		t.Errorf("told %+v", past)
	}
}

func TestFenceOutlastsItsProcessUntilItIsLifted(t *testing.T) {
	b := led(t)
	d, _ := b.open()
	must(t, d.Fenced(election.CauseTokenRegression))
	d.Close()
	b.host.boot = "boot-2"
	d, past := b.open()
	if past.Fenced != election.CauseTokenRegression || past.Seen.Token != 40 {
		t.Errorf("told %+v", past)
	}
	must(t, d.Fenced(election.CauseNone))
	must(t, d.Seen(election.Mark{Revision: 3}))
	d.Close()
	if _, past = b.open(); past.Fenced != election.CauseNone || past.Seen != (election.Mark{Revision: 3}) {
		t.Errorf("after it was lifted, told %+v", past)
	}
}

func TestDrainOutlastsItsProcessUntilItIsUndone(t *testing.T) {
	b := led(t)
	d, _ := b.open()
	if _, drained := d.Drained(); drained {
		t.Error("drained from the start")
	}
	must(t, d.Drain("kernel update"))
	d.Close()
	b.host.boot = "boot-2"
	d, _ = b.open()
	if reason, drained := d.Drained(); !drained || reason != "kernel update" {
		t.Errorf("after a restart: %v, %q", drained, reason)
	}
	must(t, d.Undrain())
	d.Close()
	d, _ = b.open()
	if _, drained := d.Drained(); drained {
		t.Error("drained after it was undone")
	}
}

func TestWorkOfADeadProcessIsLookedFor(t *testing.T) {
	for _, row := range []struct {
		name          string
		note          []int
		pids          string
		stopped, fail bool
	}{
		{name: "none", stopped: true},
		{name: "ended", note: []int{Starting, 4711, NoWork}, stopped: true},
		{name: "running", note: []int{Starting, 4711}},
		{name: "gone with its elector", note: []int{Starting, 4712}, stopped: true},
		{name: "being started", note: []int{Starting}, fail: true},
		{name: "in another namespace", note: []int{Starting, 4712}, pids: "pid:[2]", fail: true},
		{name: "none, in another namespace", pids: "pid:[2]", stopped: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			b.group = 4711
			d, _ := b.open()
			must(t, d.Candidacy(candidacyOf(0x77, 40)))
			for _, g := range row.note {
				must(t, d.Work(g))
			}
			d.Close()
			if row.pids != "" {
				b.host.pids = row.pids
			}
			_, past := b.open()
			if stopped, err := past.Predecessors[0].Stopped(); stopped != row.stopped || (err != nil) != row.fail {
				t.Errorf("stopped: %v, %v", stopped, err)
			}
		})
	}
}

func TestDirectoryThatIsNotThisElectorsAloneIsRefused(t *testing.T) {
	as := self("i9")
	for name, row := range map[string]struct {
		spoil func(*bench, *Self)
		want  string
	}{
		"in use":            {func(b *bench, _ *Self) { b.open() }, "is in use by another process"},
		"another identity":  {func(_ *bench, s *Self) { s.Identity = "w2" }, `holds the state of "w1"`},
		"another election":  {func(_ *bench, s *Self) { s.Election = "default/post" }, "/elector/default/mail"},
		"another namespace": {func(_ *bench, s *Self) { s.Election = "prod/mail" }, "and this is"},
		"another prefix":    {func(_ *bench, s *Self) { s.Prefix = "/e2" }, "and this is"},
		"a copy":            {func(b *bench, _ *Self) { b.copy() }, "is a copy"},
		"the lock replaced": {func(b *bench, _ *Self) { must(b.T, os.Rename(b.path(lockName), b.path("old"))) }, "its lock file was replaced"},
		"a network":         {func(b *bench, _ *Self) { b.on(unix.NFS_SUPER_MAGIC) }, "is on NFS"},
		"FUSE":              {func(b *bench, _ *Self) { b.on(unix.FUSE_SUPER_MAGIC) }, "is on FUSE"},
		"an unknown kind":   {func(b *bench, _ *Self) { b.on(0x1234) }, "unknown kind (0x1234)"},
		"no file system known": {func(b *bench, _ *Self) {
			b.host.fileSystem = func(int) (int64, error) { return 0, errors.New("no idea") }
		}, "no idea"},
		"writable by the group": {func(b *bench, _ *Self) { must(b.T, os.Chmod(b.dir, 0o770)) }, "can be written to by others (mode 0770)"},
		"writable by all":       {func(b *bench, _ *Self) { must(b.T, os.Chmod(b.dir, 0o777)) }, "chmod go-w"},
		"the state writable":    {func(b *bench, _ *Self) { must(b.T, os.Chmod(b.path(stateName), 0o666)) }, `state.json" can be written to by others`},
		"the lock a link":       {func(b *bench, _ *Self) { b.link(lockName) }, `lock" is a symbolic link`},
		"the state a link":      {func(b *bench, _ *Self) { b.link(stateName) }, `state.json" is a symbolic link`},
		"the state a pipe":      {func(b *bench, _ *Self) { b.replace(func(p string) error { return unix.Mkfifo(p, 0o600) }) }, "is not a plain file"},
		"the state a directory": {func(b *bench, _ *Self) { b.replace(func(p string) error { return os.Mkdir(p, 0o700) }) }, "is not a plain file"},
		"the lock a pipe": {func(b *bench, _ *Self) {
			must(b.T, errors.Join(os.Remove(b.path(lockName)), unix.Mkfifo(b.path(lockName), 0o600)))
		}, "is not a plain file"},
		"the state a socket": {func(b *bench, _ *Self) {
			b.replace(func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o600, 0) })
		}, "open"},
		"a link to one of all": {func(b *bench, _ *Self) {
			shared := b.T.TempDir()
			must(b.T, errors.Join(os.Chmod(shared, 0o777), os.Rename(b.dir, b.dir+"-own"), os.Symlink(shared, b.dir)))
		}, "can be written to by others (mode 0777)"},
		"no such parent":    {func(b *bench, _ *Self) { b.dir = filepath.Join(b.dir, "no", "state") }, "cannot be made"},
		"a file":            {func(b *bench, _ *Self) { b.dir = b.path(stateName) }, "cannot be opened as a directory"},
		"cannot be written": {func(b *bench, _ *Self) { b.block() }, "cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			b, as := led(t), as
			row.spoil(b, &as)
			b.refused(as, row.want)
		})
	}
}

func TestDirectoryOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: run the tests as root to see it")
	}
	b := led(t)
	must(t, os.Chown(b.dir, 12345, 0))
	b.refused(self("i9"), "belongs to user 12345")
	for _, name := range []string{lockName, stateName} { // who may have left it there when all could
		b := led(t)
		must(t, os.Chown(b.path(name), 12345, 0))
		b.refused(self("i9"), name+`" belongs to user 12345`)
	}
}

func TestStateThatIsNotAsItWasWrittenIsRefused(t *testing.T) {
	good, err := os.ReadFile(led(t).path(stateName))
	must(t, err)
	replaced := func(old, by string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("%s does not hold %q", good, old)
		}
		return strings.ReplaceAll(string(good), old, by)
	}
	for name, row := range map[string]struct{ content, want string }{
		"empty":                   {"", "remove it when no process uses it"},
		"torn":                    {string(good[:len(good)/2]), "not a state that this elector can read"},
		"of a newer elector":      {replaced(`"version": 1`, `"version": 2, "news": []`), "version 2, and this elector reads version 1"},
		"with more behind":        {string(good) + "{}", "something follows"},
		"with an unknown field":   {replaced(`"boot"`, `"more": 1, "boot"`), "unknown field"},
		"too long":                {string(good) + strings.Repeat(" ", maxSize), "more than"},
		"a list":                  {"[]", "not a state"},
		"binary":                  {"\x00\xff", "not a state"},
		"without an election":     {"{\"version\": 1}", "is missing"},
		"with a foreign key":      {replaced("/elector/default/mail/77", "/elector/default/post/77"), "is not that of a candidate"},
		"with no key of a lease":  {replaced("/elector/default/mail/77", "/elector/default/mail/"), "is not that of a candidate"},
		"with a negative token":   {replaced(`"token": 40`, `"token": -40`), "negative"},
		"with all processes":      {replaced(`"group": 0`, `"group": 1`), "group 1 is none"},
		"with an unknown fence":   {replaced(`"fenced": ""`, `"fenced": "fire"`), "which is no cause"},
		"with endless promises":   {replaced(`"answer_max_ms": 2000`, `"answer_max_ms": 9000000`), "answer_max_ms is 9000000"},
		"with nobody's processes": {replaced(`"incarnation": "i1"`, `"incarnation": ""`), "it has no incarnation"},
	} {
		t.Run(name, func(t *testing.T) {
			b := led(t)
			must(t, os.WriteFile(b.path(stateName), []byte(row.content), 0o600))
			b.refused(self("i9"), row.want)
		})
	}
}

func TestWhatACrashLeftOfAWriteIsReplaced(t *testing.T) {
	b := led(t)
	must(t, os.WriteFile(b.path(tempName), []byte("{"), 0o600))
	if _, past := b.open(); past.Seen.Token != 40 {
		t.Errorf("told %+v", past)
	}
	if _, err := os.Stat(b.path(tempName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// Somebody whose directory it once was may have given other files the names of its files.
func TestOtherNamesOfAFileKeepWhatTheyHold(t *testing.T) {
	b := led(t)
	before, err := os.ReadFile(b.path(stateName))
	must(t, err)
	elsewhere, victim := filepath.Join(t.TempDir(), "elsewhere"), filepath.Join(t.TempDir(), "victim")
	must(t, os.Link(b.path(stateName), elsewhere))
	must(t, os.WriteFile(victim, before, 0o600))
	must(t, os.Link(victim, b.path(tempName)))
	d, _ := b.open()
	must(t, d.Seen(election.Mark{Revision: 99}))
	must(t, os.Symlink(victim, b.path(tempName)))
	must(t, d.Seen(election.Mark{Revision: 100}))
	for _, file := range []string{elsewhere, victim} {
		if now, err := os.ReadFile(file); err != nil || string(now) != string(before) {
			t.Errorf("%s: %s, %v", file, now, err)
		}
	}
}

func TestEntryThatCouldNotBeWrittenGoesWithTheNext(t *testing.T) {
	b := led(t)
	d, _ := b.open()
	unblock := b.block()
	if err := d.Seen(election.Mark{Revision: 99}); err == nil {
		t.Fatal("written")
	}
	unblock()
	must(t, d.Fenced(election.CauseTokenRegression))
	must(t, d.Seen(election.Mark{Revision: 99}))
	d.Close()
	if _, past := b.open(); past.Seen.Revision != 99 || past.Fenced == "" {
		t.Errorf("told %+v", past)
	}
}

func TestDirectoryIsFoundByWhatItIsNotByItsName(t *testing.T) {
	b := led(t)
	moved := b.dir + "-moved"
	d, _ := b.open()
	must(t, os.Rename(b.dir, moved))
	must(t, d.Seen(election.Mark{Revision: 99}))
	b.dir = moved
	b.refused(self("i9"), "is in use by another process")
	d.Close()
	if _, past := b.open(); past.Seen.Revision != 99 || len(past.Predecessors) != 1 {
		t.Errorf("told %+v", past)
	}
}

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	b := led(t)
	for path, want := range map[string]os.FileMode{b.dir: 0o700, b.path(lockName): 0o600, b.path(stateName): 0o600} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
}

func TestThisHostTellsWhatIsNeeded(t *testing.T) {
	h, err := thisHost()
	must(t, err)
	if len(h.boot) < 36 || h.pids == "" || h.now() <= 0 {
		t.Errorf("%q, %q, %v", h.boot, h.pids, h.now())
	}
	d, _, err := Open(filepath.Join(t.TempDir(), "state"), self("i1"))
	if err != nil && strings.Contains(err.Error(), "unknown kind") {
		t.Skipf("tests run on a file system that is not known to be local: %v", err)
	}
	must(t, err)
	d.Close()
	if _, _, err := Open("/proc", self("i1")); err == nil || !strings.Contains(err.Error(), "unknown kind (0x9fa0)") {
		t.Errorf("/proc: %v", err)
	}
	if own := unix.Getpgrp(); !h.exists(own) || h.exists(1<<22+1) { // above any process id
		t.Errorf("own group %d: %v, a group beyond all: %v", own, h.exists(own), h.exists(1<<22+1))
	}
}

// copy puts a copy of the directory in its place, as a backup does; the original stays where it is.
func (b *bench) copy() {
	b.Helper()
	original := b.dir
	b.dir += "-copy"
	must(b.T, os.CopyFS(b.dir, os.DirFS(original)))
	must(b.T, os.Chmod(b.dir, 0o700))
	for _, name := range []string{lockName, stateName} {
		must(b.T, os.Chmod(b.path(name), 0o600))
	}
}

// on has the directory on a kind of file system.
func (b *bench) on(kind int64) { b.host.fileSystem = func(int) (int64, error) { return kind, nil } }

// link puts a file elsewhere, and a link to it in its place.
func (b *bench) link(name string) {
	b.Helper()
	must(b.T, os.Rename(b.path(name), b.path("elsewhere")))
	must(b.T, os.Symlink("elsewhere", b.path(name)))
}

func (b *bench) replace(mk func(string) error) {
	b.Helper()
	must(b.T, os.Remove(b.path(stateName)))
	must(b.T, mk(b.path(stateName)))
}

// block keeps the state from being written, by something in its way that is not removed as a file is.
func (b *bench) block() (unblock func()) {
	b.Helper()
	must(b.T, os.Mkdir(b.path(tempName), 0o700))
	return func() { must(b.T, os.Remove(b.path(tempName))) }
}
