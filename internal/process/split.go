package process

import (
	"errors"

	"github.com/mattn/go-shellwords"
)

// Split splits a command into words as a shell would, with quotes and backslashes, but without a shell: nothing is
// substituted. What only a shell could do is an error, whose text is the end of a sentence that begins with the command.
func Split(command string) ([]string, error) {
	p := shellwords.NewParser()
	argv, err := p.Parse(command)
	switch {
	case err != nil:
		return nil, errors.New("cannot be split into words: close its quotes")
	case p.Position != -1:
		return nil, errors.New(`needs a shell: quote its special characters, or run one, as in sh -c "..."`)
	case len(argv) == 0 || argv[0] == "":
		return nil, errors.New("is empty: write a command")
	}
	return argv, nil
}
