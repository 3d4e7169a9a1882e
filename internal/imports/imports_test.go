// Package imports holds no code: its tests keep the direction of the project's
// imports and the weight of its binary. A rule that stands in the way is changed
// here, with its reason, not gone around.
package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/elector-dev/elector"

const (
	product   = module + "/cmd/elector"
	election  = module + "/internal/election"
	etcdstore = module + "/internal/etcdstore"
	httpapi   = module + "/internal/httpapi"
	metrics   = module + "/internal/metrics"
	works     = module + "/internal/work"
	files     = module + "/internal/statusfile"
	statedir  = module + "/internal/statedir"
	systemd   = module + "/internal/sdnotify"
	kubeAPI   = module + "/internal/kube"
)

// neverShipped are the commands that are not part of the product: they may
// import what is for tests.
var neverShipped = []string{
	module + "/cmd/elector-demo",
	module + "/cmd/elector-chaos",
}

// forTests are the packages of this module that only tests and commands that
// are never shipped may import, with the reason; what lies below one is one
// too.
var forTests = map[string]string{
	module + "/internal/devetcd":       "it embeds etcd's server",
	module + "/internal/electiontest":  "fakes have no place where real leases are held",
	module + "/internal/kube/kubetest": "it is an API server that says no on purpose",
	module + "/internal/netlab":        "it makes hosts out of network namespaces",
	module + "/internal/dockertest":    "it makes hosts out of containers",
	module + "/internal/testenv":       "it asks what a test machine offers",
	module + "/internal/chaos":         "it breaks things on purpose",
}

// tooHeavy are the packages of others that the product must not carry, with the
// reason; what lies below one is one too.
var tooHeavy = map[string]string{
	"go.etcd.io/etcd/server/v3": "the elector is a client of etcd; the server is for tests and the demo",
	"go.etcd.io/etcd/etcdutl":   "it rewrites the data of etcd's server, and brings that server",
	"go.etcd.io/bbolt":          "it is etcd's database, and nothing here stores data in one",
	"go.etcd.io/raft/v3":        "consensus is etcd's work",
	"k8s.io":                    "two kinds of requests to an API server need no client library: it would double the program",
	"testing":                   "it would bring its flags into the program, and with them code that only tests should reach",
}

func TestTheProductLeavesOutWhatItMustNotCarry(t *testing.T) {
	graph := load(t, product)
	for _, bans := range []map[string]string{tooHeavy, forTests} {
		for banned, reason := range bans {
			var shortest []string
			for path := range graph {
				if within(path, banned) {
					if way := chain(graph, product, path); shortest == nil || len(way) < len(shortest) {
						shortest = way
					}
				}
			}
			if shortest != nil {
				t.Errorf("%s must not import %s: %s\n\t%s", product, banned, reason, strings.Join(shortest, "\n\t→ "))
			}
		}
	}
}

// The core is to be read, tested and explored by itself.
func TestElectionImportsOnlyTheStandardLibrary(t *testing.T) {
	graph := load(t, election)
	for path, p := range graph {
		if path != election && !p.Standard {
			t.Errorf("%s imports more than the standard library:\n\t%s", election, strings.Join(chain(graph, election, path), "\n\t→ "))
		}
	}
}

// They meet in the elector's state and nowhere else, so that each can be read,
// replaced or left out without the others.
func TestPackagesAroundTheElectionDoNotImportOneAnother(t *testing.T) {
	around := []string{etcdstore, httpapi, metrics, files, works, statedir, systemd, kubeAPI}
	for _, from := range around {
		graph := load(t, from)
		if graph[election] == nil {
			t.Errorf("%s does not import %s, which it is about", from, election)
		}
		for _, to := range around {
			if to != from && graph[to] != nil {
				t.Errorf("%s must not import %s:\n\t%s", from, to, strings.Join(chain(graph, from, to), "\n\t→ "))
			}
		}
	}
}

// What etcd's packages promise, and what they do not, is known in one place.
func TestOnlyTheStoreImportsEtcdInTheProduct(t *testing.T) {
	for path, p := range load(t, product) {
		if !within(path, module) || path == etcdstore {
			continue
		}
		for _, imported := range p.Imports {
			if within(imported, "go.etcd.io") {
				t.Errorf("%s must not import %s: only %s may", path, imported, etcdstore)
			}
		}
	}
}

func TestOnlyTestsAndUnshippedCommandsImportWhatIsForTests(t *testing.T) {
	for path, p := range load(t, module+"/...") {
		if !within(path, module) || slices.Contains(neverShipped, path) || isForTests(path) {
			continue
		}
		for _, imported := range p.Imports {
			if isForTests(imported) {
				t.Errorf("%s must not import %s outside its tests", path, imported)
			}
		}
	}
}

// pkg is what go list tells of a package. Imports are those of its own files,
// its tests' files not among them.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Error      *struct{ Err string }
}

// load returns the packages that match the pattern, with everything that they
// import, as built for Linux.
func load(t *testing.T, pattern string) map[string]*pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Standard,Imports,Error", pattern)
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", pattern, err, &complaints)
	}
	graph := map[string]*pkg{}
	for list := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := new(pkg)
		if err := list.Decode(p); errors.Is(err, io.EOF) {
			return graph
		} else if err != nil {
			t.Fatalf("go list %s: %v", pattern, err)
		}
		if p.Error != nil {
			t.Fatalf("go list %s: %s", pattern, p.Error.Err)
		}
		graph[p.ImportPath] = p
	}
}

func isForTests(path string) bool {
	for root := range forTests {
		if within(path, root) {
			return true
		}
	}
	return false
}

// within tells whether a package is the one at root or lies below it.
func within(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

// chain returns one shortest way from a package to one that it depends on: who
// brought it in.
func chain(graph map[string]*pkg, from, to string) []string {
	ways := map[string][]string{from: {from}}
	for reached := []string{from}; len(reached) > 0; reached = reached[1:] {
		way := ways[reached[0]]
		if reached[0] == to {
			return way
		}
		for _, next := range graph[reached[0]].Imports {
			if graph[next] != nil && ways[next] == nil {
				ways[next] = append(slices.Clip(way), next)
				reached = append(reached, next)
			}
		}
	}
	return nil
}
