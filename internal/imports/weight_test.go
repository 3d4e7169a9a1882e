package imports

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The most that the product may weigh. Whoever has to raise one says what that brings. The bytes have a twentieth of
// room for other versions of Go.
const (
	mostModules = 29
	mostBytes   = 16_400_000
)

// modules are those that the product is built from, its own not among them.
func modules(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", "grpcnotrace", "-f", "{{with .Module}}{{.Path}}{{end}}", product)
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out)))))
	return slices.DeleteFunc(all, func(path string) bool { return path == module })
}

func TestTheProductIsBuiltFromFewModules(t *testing.T) {
	if all := modules(t); len(all) > mostModules {
		t.Errorf("%d modules, more than %d:\n\t%s", len(all), mostModules, strings.Join(all, "\n\t"))
	} else {
		t.Logf("%d modules", len(all))
	}
}

func TestTheProductsBinaryIsSmall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "elector")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", file, product)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0") // of one architecture, wherever it is built
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > mostBytes {
		t.Errorf("%d bytes, more than %d", info.Size(), mostBytes)
	}
}
