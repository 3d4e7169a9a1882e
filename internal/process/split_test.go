package process

import (
	"slices"
	"testing"
)

func TestCommandsAreSplitAsAShellWould(t *testing.T) {
	for command, want := range map[string][]string{
		`notify --to "the people on call" it\ is 'so; $HOME'`: {"notify", "--to", "the people on call", "it is", "so; $HOME"},
		`  a   b `:     {"a", "b"},
		`a '' $X`:      {"a", "", "$X"},
		`sh -c "a; b"`: {"sh", "-c", "a; b"},
		"a `b`":        {"a", "`b`"},
		"":             nil,
		`''`:           nil,
		`a "b`:         nil,
		"a; b":         nil,
		"a | b":        nil,
		"a > b":        nil,
		"a && b":       nil,
		"a $(b)":       {"a", "$(b)"},
	} {
		argv, err := Split(command)
		if !slices.Equal(argv, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %q, %v", command, argv, err)
		}
	}
}
