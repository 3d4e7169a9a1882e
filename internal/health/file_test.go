package health

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestFilePassesWhileItIsFresh(t *testing.T) {
	const maxAge = time.Minute
	dir := t.TempDir()
	path := filepath.Join(dir, "alive")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	const (
		old   = "last modified at %s, which is more than 1m0s ago"
		ahead = "last modified at %s, which is more than 1m0s ahead: a clock was wrong then, or is now"
	)
	for age, want := range map[time.Duration]string{
		0:                          "",
		maxAge - 10*time.Second:    "",
		maxAge + time.Second:       old,
		5000 * time.Hour:           old,
		-(maxAge - 10*time.Second): "", // as between hosts that share it
		-(maxAge + 10*time.Second): ahead,
		-5000 * time.Hour:          ahead,
	} {
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if want != "" {
			want = fmt.Sprintf(want, at.Format(time.RFC3339))
		}
		expect(t, file(t, path, maxAge), want)
		expect(t, file(t, link, maxAge), want)
		expect(t, file(t, path, 0), "")
	}
}

func file(t *testing.T, path string, maxAge time.Duration) Check {
	t.Helper()
	c, err := File(path, maxAge)
	if err != nil || c.Name != "file "+path {
		t.Fatalf("%q, %v", c.Name, err)
	}
	return c
}

func TestFileMustBeOne(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, file(t, filepath.Join(dir, "none"), 0), "stat "+filepath.Join(dir, "none")+": no such file or directory")
	expect(t, file(t, dir, 0), "is not a regular file: "+mode(t, dir))
	expect(t, file(t, pipe, 0), "is not a regular file: "+mode(t, pipe))
	if _, err := File("", 0); err == nil {
		t.Error("a file without a path")
	}
	if _, err := File("a", -1); err == nil {
		t.Error("a file of a negative age")
	}
}

func mode(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().String()
}
