// Package board reads the dashboard, as far as its queries are asked and drawn without a Grafana.
package board

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// Board is a dashboard.
type Board struct {
	Panels     []Panel `json:"panels"`
	Templating struct {
		List []struct {
			Name string `json:"name"`
		} `json:"list"`
	} `json:"templating"`
}

// Panel is one of its fields. A row, which is a headline, has no targets.
type Panel struct {
	ID      int      `json:"id"`
	Type    string   `json:"type"`
	Title   string   `json:"title"`
	Grid    Grid     `json:"gridPos"`
	Targets []Target `json:"targets"`
	Field   struct {
		Defaults  Defaults   `json:"defaults"`
		Overrides []Override `json:"overrides"`
	} `json:"fieldConfig"`
}

// Override shows some series in another way.
type Override struct {
	Matcher struct {
		Options string `json:"options"` // a regular expression for names
	} `json:"matcher"`
	Properties []struct {
		ID string `json:"id"`
	} `json:"properties"`
}

// Grid is a place on a board that is Columns wide.
type Grid struct{ X, Y, W, H int }

// Columns is the width of every board.
const Columns = 24

// Target is a query, and how its series are named.
type Target struct {
	Expr   string `json:"expr"`
	Legend string `json:"legendFormat"`
}

// Defaults say how values are shown.
type Defaults struct {
	Unit   string   `json:"unit"`
	Min    *float64 `json:"min"`
	Custom struct {
		DrawStyle         string `json:"drawStyle"`
		LineInterpolation string `json:"lineInterpolation"`
	} `json:"custom"`
	Mappings []struct {
		Options map[string]struct{ Text, Color string } `json:"options"`
	} `json:"mappings"`
	Thresholds struct {
		Steps []struct {
			Value *float64 `json:"value"`
			Color string   `json:"color"`
		} `json:"steps"`
	} `json:"thresholds"`
}

// Read reads a file that Grafana could import.
func Read(path string) (*Board, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b := &Board{}
	if err := json.Unmarshal(text, b); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// Query is the target's expression with Grafana's variables filled in, as for all elections. rate stands for what
// Grafana derives from the time range.
func (t Target) Query(rate time.Duration) string {
	return strings.NewReplacer("$election", ".+", "$__rate_interval", rate.String()).Replace(t.Expr)
}

var placeholder = regexp.MustCompile(`{{(\w+)}}`)

// Name is the name of a series with these labels.
func (t Target) Name(label func(string) string) string {
	return strings.TrimSpace(placeholder.ReplaceAllStringFunc(t.Legend, func(p string) string {
		return label(strings.Trim(p, "{}"))
	}))
}

// Dashed tells whether a series is a thin line of dashes.
func (p Panel) Dashed(name string) bool {
	for _, o := range p.Field.Overrides {
		if matched, err := regexp.MatchString("^(?:"+o.Matcher.Options+")$", name); err == nil && matched {
			return true
		}
	}
	return false
}

// Shown is how a value looks: its text, if the board has one for it, and its colour as #rrggbb, or transparent.
func (d Defaults) Shown(value float64) (text, colour string) {
	for _, s := range d.Thresholds.Steps {
		if s.Value == nil || *s.Value <= value {
			colour = s.Color
		}
	}
	for _, m := range d.Mappings {
		if o, ok := m.Options[fmt.Sprint(value)]; ok {
			return strings.TrimSpace(o.Text), o.Color
		}
	}
	return fmt.Sprint(value), colour
}
