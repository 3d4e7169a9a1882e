package config

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
)

// Flags is what a command line said. It keeps texts, not values, so that all mistakes are found
// together and a flag is checked as the other sources are.
type Flags struct {
	given map[string]*flagText
}

// Register adds a flag for every setting. Read the result with Load once fs has parsed.
func Register(fs *pflag.FlagSet) *Flags {
	f := &Flags{given: make(map[string]*flagText)}
	for _, s := range settings {
		t := &flagText{many: s.many, separator: s.separator()}
		f.given[s.name] = t
		flag := fs.VarPF(t, s.name, "", s.help)
		if s.flag {
			flag.NoOptDefVal = "true"
		}
	}
	return f
}

// flagText implements pflag.Value.
type flagText struct {
	text string
	set  bool
	many bool

	separator string
}

// Set implements pflag.Value.
func (t *flagText) Set(s string) error {
	if t.set && t.many {
		s = t.text + t.separator + s
	}
	t.text, t.set = s, true
	return nil
}

// String implements pflag.Value.
func (t *flagText) String() string { return t.text }

// Type implements pflag.Value.
func (t *flagText) Type() string { return "string" }

// Help lists all settings by group, with their defaults.
func Help() string {
	var b strings.Builder
	b.WriteString(`Every setting --some-name can also be given as ELECTOR_SOME_NAME in the environment, or as
some-name: in the --config file. A flag wins over ELECTOR_*, that over etcdctl's ETCDCTL_*
(where named below), that over the file, and the file over the default.
`)
	for _, g := range groups {
		fmt.Fprintf(&b, "\n%s:\n", g)
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, s := range settings {
			if s.group == g {
				fmt.Fprintf(w, "  %s\t%s (%s)\n", strings.TrimSpace("--"+s.name+" "+s.arg), s.help, s.presetHelp())
			}
		}
		_ = w.Flush() // a strings.Builder accepts everything
	}
	return b.String()
}

// presetHelp is what the help says of the default, and of etcdctl's variable.
func (s setting) presetHelp() string {
	h := s.shown
	if h == "" {
		h = "default: " + s.preset
	}
	if s.etcdctl != "" {
		h += "; " + s.etcdctl
	}
	return h
}
