package config

// Changes are the names of settings to which the sources give other values than those in force.
type Changes struct {
	Live  []string // taken over
	Fixed []string // that wait for a restart
}

// Reload settles the settings anew, as Load does, and returns running with the ones taken over that may change while an
// elector runs. The command line and the environment of a process stay, so what can have changed is the file. With an
// error, which is an *Error, nothing is taken over.
func (f *Flags) Reload(env []string, running Config) (Config, Changes, []string, error) {
	fresh, warnings, err := f.Load(env)
	if err != nil {
		return running, Changes{}, warnings, err
	}
	next, c := running, Changes{}
	for _, s := range settings {
		switch text := s.show(&fresh); {
		case text == s.show(&running):
		case !s.live:
			c.Fixed = append(c.Fixed, s.name)
		default:
			c.Live = append(c.Live, s.name)
			if err := s.parse(&next, text); err != nil {
				panic("config: --" + s.name + " cannot be read back: " + err.Error())
			}
		}
	}
	// A rule between two settings may hold for what the sources say, and not for a new one beside one that stays.
	if err := next.Validate(); err != nil {
		return running, Changes{}, warnings, err
	}
	return next, c, warnings, nil
}
