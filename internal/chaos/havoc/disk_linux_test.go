package havoc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/devetcd"
	"github.com/elector-dev/elector/internal/testenv"
)

// small is a disk that is made quickly, in MiB.
const small = 16

func newDisk(t *testing.T, sizeMiB int) *Disk {
	t.Helper()
	testenv.Disk(t)
	d, err := NewDisk(t.TempDir(), sizeMiB)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := gone(d.mount, d.image); err != nil {
			t.Error(err)
		}
	})
	return d
}

// gone tells what is left of a disk.
func gone(mount, image string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), mount) {
		return fmt.Errorf("%s is still mounted", mount)
	}
	for _, path := range []string{mount, image} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is still there: %v", path, err)
		}
	}
	devices, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return err
	}
	for _, d := range devices {
		if b, _ := os.ReadFile(d); strings.HasPrefix(string(b), image) {
			return fmt.Errorf("%s is still in use: %s", image, d)
		}
	}
	return nil
}

// write writes a file on the disk and sees it through to the device; done is closed when that is over.
func write(t *testing.T, d *Disk, name string) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.Create(filepath.Join(d.Dir(), name))
		if err == nil {
			_, err = f.WriteString("x")
			err = errors.Join(err, f.Sync(), f.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}()
	return done
}

func await(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		t.Fatal("it did not happen that " + what)
	}
}

func TestWritesWaitWhileTheDiskIsFrozen(t *testing.T) {
	d := newDisk(t, small)
	await(t, "a disk is written", write(t, d, "a"))
	if err := d.Freeze(time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := d.Freeze(time.Minute); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("freezing a frozen disk: %v", err)
	}
	done := write(t, d, "b")
	select {
	case <-done:
		t.Error("a frozen disk was written")
	case <-time.After(300 * time.Millisecond):
	}
	for range 2 {
		if err := d.Thaw(); err != nil {
			t.Error(err)
		}
	}
	await(t, "the disk is written after it was thawed", done)
}

func TestAFrozenDiskThawsByItselfAndCanBeFrozenAgain(t *testing.T) {
	d := newDisk(t, small)
	for _, name := range []string{"a", "b"} {
		if err := d.Freeze(300 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		await(t, "the disk is written after the bound", write(t, d, name))
		if waited := time.Since(begun); waited < 200*time.Millisecond {
			t.Errorf("it was written after %v", waited)
		}
	}
}

func TestClosingADiskThatIsFrozenAndInUseTakesItDown(t *testing.T) {
	d := newDisk(t, small)
	f, err := os.Create(filepath.Join(d.Dir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Freeze(time.Minute); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := d.Freeze(time.Minute); err == nil {
		t.Error("a closed disk was frozen")
	}
	f.Close() // or the device stays in use
}

// What is tried here must not be tried with Freeze: where the defence is missing, it would stop the machine.
func TestNoOtherFileSystemIsTakenForTheDisk(t *testing.T) {
	d, other := newDisk(t, small), newDisk(t, small)
	for name, wrong := range map[string]*Disk{
		"the machine's": {mount: t.TempDir(), image: d.image},
		"another disk":  {mount: other.mount, image: d.image},
		"another image": {mount: d.mount, image: other.image},
	} {
		if root, err := wrong.open(); err == nil {
			root.Close()
			t.Errorf("%s was taken for the disk", name)
		}
	}
	root, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	root.Close()
}

// freezeDisk makes a disk in a directory, freezes it for a time, says where it is and who guards it, and then
// waits for it.
func freezeDisk() {
	bound, err := time.ParseDuration(os.Args[2])
	var d *Disk
	if err == nil {
		d, err = NewDisk(os.Args[1], small)
	}
	if err == nil {
		err = d.Freeze(bound)
	}
	if err == nil {
		fmt.Println(d.mount, d.guard.cmd.Process.Pid)
		err = os.WriteFile(filepath.Join(d.mount, "a"), []byte("x"), 0o600)
	}
	fmt.Println(err)
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// startDoomed starts a process with a frozen disk and returns when a thread of it waits for that.
func startDoomed(t *testing.T, bound time.Duration) (c *child, mount string, guard int) {
	t.Helper()
	newDisk(t, small) // or the test is skipped
	c = startChild(t, "disk", t.TempDir(), bound.String())
	said := c.answer()
	mount, pid, _ := strings.Cut(said, " ")
	guard, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(said)
	}
	eventually(t, "a thread waits for the disk", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.Process.Pid))
		return slices.ContainsFunc(threads, func(path string) bool {
			b, _ := os.ReadFile(path)
			return strings.Contains(string(b), ") D ")
		})
	})
	return c, mount, guard
}

// The thread that waits keeps the process from ending altogether, and with that its guard from noticing.
func TestADiskIsThawedAndTakenDownWhenItsProcessIsKilled(t *testing.T) {
	c, mount, _ := startDoomed(t, time.Second)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var left error
	eventually(t, "the disk is gone", func() bool { left = gone(mount, mount+".img"); return left == nil })
}

func TestTheNextDiskTakesDownOneThatHasNobodyLeft(t *testing.T) {
	c, mount, guard := startDoomed(t, time.Minute)
	g, err := os.FindProcess(guard)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Kill(), c.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	if err := gone(mount, mount+".img"); err == nil {
		t.Fatal("somebody took the disk down already")
	}
	newDisk(t, small)
	eventually(t, "the disk is gone", func() bool { return gone(mount, mount+".img") == nil })
}

func TestAMemberWhoseDiskIsFrozenDoesNotLead(t *testing.T) {
	d := newDisk(t, 256)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	etcd, err := devetcd.StartProcesses(ctx, 3, devetcd.Options{DiskDir: func(i int) string {
		if i == 0 {
			return d.Dir()
		}
		return ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	if err := etcd.MoveLeader(ctx, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.Freeze(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	others, err := etcd.NewClient(ctx, etcd.Member(1).Endpoint(), etcd.Member(2).Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	defer others.Close()
	for leader := 0; leader == 0; {
		ask, cancel := context.WithTimeout(ctx, time.Second)
		_, _ = others.Put(ask, "a", "1") // what a leader has to write down
		cancel()
		if leader, err = etcd.Leader(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := others.Put(ctx, "a", "2"); err != nil {
		t.Errorf("the others cannot go on: %v", err)
	}
	if err := d.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := etcd.WaitHealthy(ctx); err != nil {
		t.Fatal(err)
	}
}
