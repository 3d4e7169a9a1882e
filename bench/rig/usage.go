package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Use is what a process has used so far, and holds now. Memory is in bytes.
type Use struct {
	CPU               time.Duration
	Switches          int64 // context switches, voluntary and not
	RSS, PSS, Private int64
	Anonymous, Mapped int64 // the resident heap and stacks; resident pages of files, the program's own
	Threads           int
}

// Usage reads a process's use from /proc, in nanoseconds where the kernel counts so.
func Usage(pid int) (Use, error) {
	var u Use
	dir := fmt.Sprintf("/proc/%d", pid)
	tasks, err := filepath.Glob(dir + "/task/*")
	if err != nil || len(tasks) == 0 {
		return u, fmt.Errorf("read the use of process %d: it is gone", pid)
	}
	u.Threads = len(tasks)
	for _, task := range tasks {
		sched, err := os.ReadFile(task + "/schedstat")
		if err != nil {
			continue // a thread that has ended meanwhile
		}
		ran, _, _ := strings.Cut(string(sched), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read the use of process %d: %w", pid, err)
		}
		u.CPU += time.Duration(ns)
		each(task+"/status", func(name string, n int64) {
			if strings.HasSuffix(name, "voluntary_ctxt_switches") {
				u.Switches += n
			}
		})
	}
	each(dir+"/smaps_rollup", func(name string, kb int64) {
		switch name {
		case "Rss":
			u.RSS = kb << 10
		case "Pss":
			u.PSS = kb << 10
		case "Private_Clean", "Private_Dirty":
			u.Private += kb << 10
		case "Anonymous":
			u.Anonymous = kb << 10
		}
	})
	u.Mapped = u.RSS - u.Anonymous
	return u, nil
}

// each hands the numbers of a file of "name: number" lines to take.
func each(file string, take func(name string, n int64)) {
	b, err := os.ReadFile(file)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
			take(name, n)
		}
	}
}
