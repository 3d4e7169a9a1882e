package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// kind is a type of setting: how its value is read from text into its field, and shown again. An
// error of parse is the end of a sentence that begins with the setting and its text.
type kind struct {
	parse func(c *Config, raw string) error
	show  func(c *Config) string
	many  bool // given several times, the values add up
	lines bool // and are separated by line ends, since a comma may be part of one
	flag  bool // given without a value it means true
}

func text(field func(*Config) *string) kind {
	return kind{
		parse: func(c *Config, raw string) error { *field(c) = raw; return nil },
		show:  func(c *Config) string { return *field(c) },
	}
}

func duration(field func(*Config) *time.Duration) kind {
	return kind{
		parse: func(c *Config, raw string) error {
			d, err := time.ParseDuration(raw)
			if err != nil {
				return errors.New("is not a duration: write a number with its unit, as in 10s")
			}
			*field(c) = d
			return nil
		},
		show: func(c *Config) string { return field(c).String() },
	}
}

func list(field func(*Config) *[]string) kind {
	return kind{
		many: true,
		parse: func(c *Config, raw string) error {
			parts := strings.Split(raw, ",")
			for i := range parts {
				parts[i] = strings.TrimSpace(parts[i])
			}
			*field(c) = parts
			return nil
		},
		show: func(c *Config) string { return strings.Join(*field(c), ",") },
	}
}

// several is a list whose elements may hold commas. Empty text is none.
func several(field func(*Config) *[]string) kind {
	return kind{
		many: true, lines: true,
		parse: func(c *Config, raw string) error {
			*field(c) = nil
			for line := range strings.Lines(raw) {
				if line = strings.TrimSpace(line); line != "" {
					*field(c) = append(*field(c), line)
				}
			}
			return nil
		},
		show: func(c *Config) string { return strings.Join(*field(c), "\n") },
	}
}

// optional makes a list that may be empty.
func optional(k kind, field func(*Config) *[]string) kind {
	parse := k.parse
	k.parse = func(c *Config, raw string) error {
		if raw == "" {
			*field(c) = nil
			return nil
		}
		return parse(c, raw)
	}
	return k
}

func choice[T ~string](field func(*Config) *T, choices ...T) kind {
	return kind{
		parse: func(c *Config, raw string) error {
			words := make([]string, len(choices))
			for i, known := range choices {
				if raw == string(known) {
					*field(c) = known
					return nil
				}
				words[i] = string(known)
			}
			return notOneOf(words)
		},
		show: func(c *Config) string { return string(*field(c)) },
	}
}

func level(field func(*Config) *slog.Level) kind {
	words := []string{"debug", "info", "warn", "error"}
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	return kind{
		parse: func(c *Config, raw string) error {
			for i, w := range words {
				if raw == w {
					*field(c) = levels[i]
					return nil
				}
			}
			return notOneOf(words)
		},
		show: func(c *Config) string { return strings.ToLower(field(c).String()) },
	}
}

func number(field func(*Config) *int) kind {
	return kind{
		parse: func(c *Config, raw string) error {
			n, err := strconv.Atoi(raw)
			if err != nil {
				return errors.New("is not a whole number: write one, as in 3")
			}
			*field(c) = n
			return nil
		},
		show: func(c *Config) string { return strconv.Itoa(*field(c)) },
	}
}

func boolean(field func(*Config) *bool) kind {
	return kind{
		flag: true,
		parse: func(c *Config, raw string) error {
			b, err := strconv.ParseBool(raw)
			if err != nil {
				return errors.New("is neither true nor false: write one of them")
			}
			*field(c) = b
			return nil
		},
		show: func(c *Config) string { return strconv.FormatBool(*field(c)) },
	}
}

func notOneOf(words []string) error {
	last := len(words) - 1
	return fmt.Errorf("is not known: write %s or %s", strings.Join(words[:last], ", "), words[last])
}
