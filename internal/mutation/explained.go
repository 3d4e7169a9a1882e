package main

import (
	_ "embed"
	"fmt"
	"strings"
)

// explained.txt says of each mutant that survives why nothing need notice it. An entry is the mutant's key and,
// indented in the lines below it, the reason; a line that begins with "package" says whose the ones below it are.
//
//go:embed explained.txt
var explainedText string

// explanations are the reasons of one package's survivors, by key.
func explanations(text, pkg string) (map[string]string, error) {
	all := map[string]string{}
	of, key := "", ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "package "):
			of, key = strings.TrimPrefix(line, "package "), ""
		case strings.HasPrefix(line, "\t"):
			if key == "" {
				return nil, fmt.Errorf("explained.txt:%d: a reason for nothing", i+1)
			}
			if of == pkg {
				all[key] = strings.TrimSpace(all[key] + " " + strings.TrimSpace(line))
			}
		default:
			key = line
			if of != pkg {
				continue
			}
			if _, twice := all[key]; twice {
				return nil, fmt.Errorf("explained.txt:%d: explained twice: %s", i+1, key)
			}
			all[key] = ""
		}
	}
	for key, reason := range all {
		if reason == "" {
			return nil, fmt.Errorf("explained.txt: no reason for %s", key)
		}
	}
	return all, nil
}
