package monitoring

import (
	"os"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"github.com/elector-dev/elector/test/monitoring/board"
)

const dashboardFile = deployed + "dashboard.json"

func readBoard(t *testing.T) *board.Board {
	t.Helper()
	b, err := board.Read(dashboardFile)
	must(t, err)
	return b
}

// There is no Grafana here to import it, but Grafana's own schema of dashboards, of these panels and of their options.
func TestDashboardIsWhatGrafanasSchemaAsksFor(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	must(t, err)
	known := cog.NewRuntime()
	known.RegisterPanelcfgVariant(heatmap.VariantConfig())
	known.RegisterPanelcfgVariant(stat.VariantConfig())
	known.RegisterPanelcfgVariant(statetimeline.VariantConfig())
	known.RegisterPanelcfgVariant(timeseries.VariantConfig())
	known.RegisterDataqueryVariant(prometheus.VariantConfig())
	//lint:ignore SA1019 its successor is for Grafana 12 and later; this one is imported by all
	var d dashboard.Dashboard
	if err := d.UnmarshalJSONStrict(text); err != nil && err.Error() != "" { // a list of mistakes, which may be empty
		t.Error(err)
	}
}

func TestPanelsNeitherOverlapNorShareANumber(t *testing.T) {
	taken, ids := map[[2]int]string{}, map[int]string{}
	for _, p := range readBoard(t).Panels {
		if other, ok := ids[p.ID]; ok {
			t.Errorf("%q and %q both are number %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		if g := p.Grid; g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > board.Columns {
			t.Errorf("%q lies outside of the board: %+v", p.Title, g)
		}
		for x := p.Grid.X; x < p.Grid.X+p.Grid.W; x++ {
			for y := p.Grid.Y; y < p.Grid.Y+p.Grid.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

func TestDashboardAsksTheDataSourceAndForTheElectionsThatAreChosen(t *testing.T) {
	b := readBoard(t)
	var variables []string
	for _, v := range b.Templating.List {
		variables = append(variables, v.Name)
	}
	if strings.Join(variables, " ") != "datasource election" {
		t.Errorf("variables %v", variables)
	}
	for _, p := range b.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%q asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, s := range selectors(target.Expr) {
				if !strings.Contains(s, `election=~"$election"`) {
					t.Errorf("%q asks for all elections with %s", p.Title, s)
				}
			}
		}
	}
}
