package report

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/elector-dev/elector/bench/rig"
)

// Facts are what the figures were taken on and with.
type Facts struct {
	Cores                  int
	Memory, Kernel, CPU    string
	Go, Etcd, Load, System string
	ClientGo               string // with which it was measured; empty: it was not
}

// Machine reads the facts. It names neither the host nor a path.
func Machine(ctx context.Context, p rig.Programs) Facts {
	f := Facts{Cores: runtime.NumCPU(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	f.Kernel = strings.TrimSpace(read("/proc/sys/kernel/osrelease"))
	f.CPU = strings.TrimSpace(after(read("/proc/cpuinfo"), "model name"))
	if fields := strings.Fields(after(read("/proc/meminfo"), "MemTotal")); len(fields) > 0 {
		f.Memory = fields[0] + " kB"
	}
	if fields := strings.Fields(read("/proc/loadavg")); len(fields) > 0 {
		f.Load = fields[0]
	}
	out, _ := exec.CommandContext(ctx, p.Etcdctl, "version").Output() // empty when it cannot be asked
	f.Etcd = strings.TrimSpace(after(string(out), "etcdctl version"))
	if p.Kubeconfig != "" {
		f.ClientGo = module(p.ClientGo, "k8s.io/client-go")
	}
	return f
}

// module is the version of a module in a program.
func module(program, path string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "" // what cannot be read is left out
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}

func read(file string) string {
	b, _ := os.ReadFile(file) // what cannot be read is left out
	return string(b)
}

// after is what stands behind a name and a colon, to the end of the line.
func after(text, name string) string {
	_, rest, _ := strings.Cut(text, name)
	line, _, _ := strings.Cut(rest, "\n")
	_, value, _ := strings.Cut(line, ":")
	return value
}

// Write writes the results and the pictures, and returns the table that stands at the head.
func Write(results, pictures, size string, f Found, m Facts) (string, error) {
	table, how, with := head(f), "", ""
	if m.ClientGo != "" {
		how, with = "-kube", ", client-go "+m.ClientGo
	}
	if size == "long" {
		how = "-long"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Measured side by side\n\n")
	fmt.Fprintf(&b, "Written by `make bench%s`, in one run of %s minutes; not edited. Machines are noisy, so ratios within a run\ncount, not milliseconds.\n\n", how, number(f.Median("minutes", "run")))
	fmt.Fprintf(&b, "%d cores (%s), %s of memory, Linux %s; %s %s, etcd %s%s; load average %s at the end. Each etcd is one\nmember without fsync, on loopback, so that the disk is not part of a figure, but where three members are named. The TTL is 10 s where nothing else is said. Medians.\nElector is built as it is shipped, with the tag grpcnotrace; the floor and the naive daemon are built as programs usually\nare, and would have 3 MB less with it.\n\n", m.Cores, m.CPU, m.Memory, m.Kernel, m.Go, m.System, m.Etcd, with, m.Load)
	b.WriteString(table)
	b.WriteString(explained(f))
	b.WriteString(pictured)
	b.WriteString(requests(f))
	b.WriteString(all(f))
	err := errors.Join(os.WriteFile(results, b.Bytes(), 0o644))
	for name, picture := range map[string]string{
		"bench-handover.svg": handoverPicture(f), "bench-crash.svg": crashPicture(f), "bench-memory.svg": memoryPicture(f),
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(pictures, name), []byte(picture), 0o644))
	}
	return table, err
}

const pictured = `
## Pictures

![Planned handover by peer, on a log scale](../docs/bench-handover.svg)

![From kill -9 to the next yes, by TTL](../docs/bench-crash.svg)

![Memory of an idle process, by part](../docs/bench-memory.svg)
`

// all is every figure.
func all(f Found) string {
	var b strings.Builder
	b.WriteString("\n## Every figure\n\n| measure | who | samples | least | median | 90 % | most |\n|---|---|---|---|---|---|---|\n")
	for _, m := range slices.Sorted(maps.Keys(f)) {
		for _, p := range slices.Sorted(maps.Keys(f[m])) {
			s := f[m][p]
			fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s | %s |\n", m, p, len(s), number(s.Quantile(0)), number(s.Median()), number(s.Quantile(0.9)), number(s.Quantile(1)))
		}
	}
	return b.String()
}
