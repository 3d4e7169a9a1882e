package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// The daemons that can be run.
const (
	Elector = "elector"
	Plain   = "plain" // only uses Campaign and Session.Done: what must fail
)

// The ways to cut electors and members off.
const (
	Namespaces = "namespaces" // each process on a host of its own; wants root and iproute2
	Proxies    = "proxies"    // all on loopback, with user-space links between electors and members
)

// StormScenario is the nemesis that draws faults by the seed; all others but the soak follow a script.
const StormScenario = "storm"

// SoakScenario is a storm that ends no process of an elector: what grows in one shows.
const SoakScenario = "soak"

// stormy reports whether a scenario draws its faults by the seed.
func stormy(scenario string) bool { return scenario == StormScenario || scenario == SoakScenario }

// Options say what to run. Validate fills nothing in: set every field but those with a default.
type Options struct {
	Seed     uint64
	For      time.Duration // how long a storm goes on; scripts end by themselves
	TTL      time.Duration // 0: what suits the scenario
	Electors int           // 0: three to five by the seed
	Program  string        // path of the daemon's executable
	Kind     string        // Elector or Plain
	Etcd     string        // path of etcd's own program; empty: the embedded one
	Members  int           // of etcd: 1, 3 or 5
	Race     bool          // the program looks for data races, and is told to go on after one
	Scenario string
	Poll     time.Duration
	Links    string                           // Namespaces or Proxies
	Dir      string                           // an existing directory for logs; the caller removes it
	Say      func(format string, args ...any) // told what a script does and what is left out; may be nil
	Progress func(Progress)                   // told once a second, from one goroutine; may be nil
}

// Progress is how far a run has come.
type Progress struct {
	Answers    int64
	Faults     int
	Violations int
	Left       time.Duration // of the storm; 0 when it is over
}

// Validate says in one sentence what cannot be run.
func (o Options) Validate() error {
	switch {
	case o.Kind != Elector && o.Kind != Plain:
		return fmt.Errorf("--kind %q is not known: give %s or %s", o.Kind, Elector, Plain)
	case o.Kind == Plain && o.Program == "":
		return fmt.Errorf("--kind %s wants --program, the path of the plain daemon", Plain)
	case o.Links != Namespaces && o.Links != Proxies:
		return fmt.Errorf("--links %q is not known: give %s or %s", o.Links, Namespaces, Proxies)
	case !slices.Contains(Scenarios(), o.Scenario):
		return fmt.Errorf("--scenario %q is not known: give one of %s", o.Scenario, strings.Join(Scenarios(), ", "))
	case o.Members != 1 && o.Members != 3 && o.Members != 5:
		return fmt.Errorf("--members %d is not possible here: give 1, 3 or 5", o.Members)
	case o.Members == 1 && scripts()[o.Scenario].followers:
		return fmt.Errorf("--scenario %s wants members that do not lead: give --members 3 or 5", o.Scenario)
	case o.For <= 0:
		return fmt.Errorf("--for %v is not a time to run for: give a positive one, such as 3m", o.For)
	case o.TTL != 0 && (o.TTL < election.MinTTL || o.TTL > time.Minute || o.TTL%time.Second != 0):
		return fmt.Errorf("--ttl %v is not possible here: give whole seconds from %v to 1m", o.TTL, election.MinTTL)
	case o.Electors != 0 && (o.Electors < 3 || o.Electors > 5):
		return fmt.Errorf("--electors %d is not possible here: give 3, 4 or 5", o.Electors)
	case o.Poll < time.Millisecond || o.Poll > time.Second:
		return fmt.Errorf("--poll %v is not possible here: give 1ms to 1s", o.Poll)
	case o.Links == Proxies && slices.Contains(wantNamespaces(), o.Scenario):
		return fmt.Errorf("--scenario %s cuts members off from each other: it wants --links %s", o.Scenario, Namespaces)
	}
	return nil
}

func (o Options) say(format string, args ...any) {
	if o.Say != nil {
		o.Say(format, args...)
	}
}
