package main

import (
	"fmt"
	"os"
	"strings"
)

// row is a module in docs/dependencies.md.
type row struct{ licence, reason string }

// readTable reads the rows of a document's table, by their module: | `module` | licence | reason |.
func readTable(path string) (map[string]row, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rows := map[string]row{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || !strings.HasPrefix(line, "| `") {
			continue
		}
		module := strings.Trim(strings.TrimSpace(cells[0]), "`")
		if _, twice := rows[module]; twice {
			return nil, fmt.Errorf("%s has %s twice: remove one", path, module)
		}
		rows[module] = row{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])}
	}
	return rows, nil
}
