package config

import (
	"fmt"
	"slices"
	"strings"
)

// Error is everything that is wrong with a configuration.
type Error struct {
	Mistakes []string // one sentence each
}

// Error implements error: one line for each mistake.
func (e *Error) Error() string { return strings.Join(e.Mistakes, "\n") }

// given is the text of a setting and where it stands.
type given struct {
	text   string
	origin string // empty: the command line, which needs no telling
}

// Load settles every setting by precedence and checks the result. env is as os.Environ returns it.
// Besides the file named by --config it reads nothing: not the certificates, not the password file.
// The warnings are sentences for the operator, valid with an error too. The error is an *Error.
func (f *Flags) Load(env []string) (cfg Config, warnings []string, err error) {
	vars := variables(env)
	l := loading{flags: f, vars: vars, etcdctl: fromEtcdctl(vars), origins: make(map[string]string)}
	l.readFile()
	cfg = Default(env)
	for _, s := range settings {
		g, ok := l.find(s)
		if !ok {
			continue
		}
		if g.origin != "" {
			l.origins[s.name] = g.origin
		}
		if err := s.parse(&cfg, g.text); err != nil {
			l.bad = append(l.bad, s.name)
			l.mistakes = append(l.mistakes, mistake{[]string{s.name}, fmt.Sprintf("--%s %q %v", s.name, g.text, err)})
		}
	}
	l.password(&cfg)
	for _, m := range cfg.mistakes() {
		if !slices.ContainsFunc(m.about, func(name string) bool { return slices.Contains(l.bad, name) }) {
			l.mistakes = append(l.mistakes, m)
		}
	}
	warnings = typingErrors(vars)
	if cfg.UseClusterCredentials {
		warnings = append(warnings, "--use-cluster-credentials does nothing, because the election is held in etcd and not in Kubernetes: remove it and set --etcd-endpoints")
	}
	return cfg, warnings, l.failure()
}

// loading is one Load in progress.
type loading struct {
	flags   *Flags
	vars    map[string]string
	etcdctl etcdctl
	file    map[string]given

	origins  map[string]string // of the settings that were not given by a flag
	bad      []string          // settings whose text could not be read
	mistakes []mistake
}

// find returns the setting's text from the highest source that has it.
func (l *loading) find(s setting) (given, bool) {
	if t := l.flags.given[s.name]; t.set {
		return given{text: t.text}, true
	}
	if text, ok := l.vars[s.env()]; ok {
		return given{text, s.env()}, true
	}
	if g, ok := l.etcdctl.given[s.name]; ok {
		return g, true
	}
	g, ok := l.file[s.name]
	return g, ok
}

// readFile reads the file that --config or its variable names, if any.
func (l *loading) readFile() {
	row, _ := settingNamed("config")
	g, ok := l.find(row)
	if !ok || g.text == "" {
		return
	}
	var mistakes []string
	l.file, mistakes = readFile(g.text)
	for _, m := range mistakes {
		l.mistakes = append(l.mistakes, mistake{text: m})
	}
}

// password puts etcdctl's password beside the password file: one secret, of which the higher source
// decides. One that came within ETCDCTL_USER belongs to that user and to no other.
func (l *loading) password(cfg *Config) {
	const file = "etcd-password-file"
	_, fromEnv := l.vars[envPrefix+"ETCD_PASSWORD_FILE"]
	ofAnother := l.etcdctl.passwordOf != "" && l.etcdctl.passwordOf != cfg.Etcd.User
	if l.etcdctl.password == "" || l.flags.given[file].set || fromEnv || ofAnother {
		return
	}
	cfg.Etcd.Password, cfg.Etcd.PasswordFile = l.etcdctl.password, ""
	delete(l.origins, file)
}

// failure turns the mistakes into an error, each with the places that its values come from.
func (l *loading) failure() error {
	if len(l.mistakes) == 0 {
		return nil
	}
	e := &Error{}
	for _, m := range l.mistakes {
		var from []string
		for _, name := range m.about {
			if o := l.origins[name]; o != "" {
				from = append(from, "--"+name+" is from "+o)
			}
		}
		if len(from) > 0 {
			m.text += " (" + strings.Join(from, ", ") + ")"
		}
		e.Mistakes = append(e.Mistakes, m.text)
	}
	return e
}
