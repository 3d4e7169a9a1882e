package cli

import (
	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/statedir"
)

// memory is what a process knows from those before it, and where it writes for those after it.
type memory struct {
	incarnation string
	past        election.Past
	dir         *statedir.Dir // nil: nothing is kept
}

// remember makes the process known to its state directory, if there is one. For its errors see
// blame. The memory is to be closed when the elector has ended.
func remember(cfg config.Config) (memory, error) {
	m := memory{incarnation: newIncarnation()}
	if cfg.StateDir == "" {
		return m, nil
	}
	var err error
	m.dir, m.past, err = statedir.Open(cfg.StateDir, statedir.Self{
		Prefix: cfg.Prefix, Election: cfg.Path(), Identity: cfg.ID, Incarnation: m.incarnation, AnswerMax: cfg.AnswerMax,
	})
	if err != nil {
		return memory{}, blame(err)
	}
	return m, nil
}

// checkMemory is what can be told of the state directory without taking it.
func checkMemory(cfg config.Config) error {
	if cfg.StateDir == "" {
		return nil
	}
	if err := statedir.Check(cfg.StateDir); err != nil {
		return blame(err)
	}
	return nil
}

// journal is nil when nothing is kept.
func (m memory) journal() election.Journal {
	if m.dir == nil {
		return nil
	}
	return m.dir
}

// group notes the process group of the work; nil where nothing is kept.
func (m memory) group() func(int) error {
	if m.dir == nil {
		return nil
	}
	return m.dir.Work
}

func (m memory) close() {
	if m.dir != nil {
		m.dir.Close()
	}
}
