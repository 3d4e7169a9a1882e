package report

import (
	"strings"
	"testing"
)

func TestWhatIsKnownOfClientGoIsMarkedUntilItIsMeasured(t *testing.T) {
	f := Found{}
	f.Put("handover 2", bare, 1)
	lines := func() (handover, crash, worker, notes string) {
		for line := range strings.Lines(head(f)) {
			switch cells := strings.Split(line, "|"); {
			case len(cells) == 1:
				notes += line
			case strings.Contains(cells[1], "2 waiting, ms "):
				handover = strings.TrimSpace(cells[5])
			case strings.Contains(cells[1], "crash"):
				crash = strings.TrimSpace(cells[5])
			case strings.Contains(cells[1], "child"):
				worker = strings.TrimSpace(cells[5])
			}
		}
		return handover, crash, worker, notes
	}
	const foreign, ownRun = "from elsewhere, not from this run", "measured in this run"
	handover, crash, worker, notes := lines()
	if handover != `1265 to 1884\*` || crash != `16.2 s\* in all` || worker != `16.2 s\*` || !strings.Contains(notes, foreign) || strings.Contains(notes, ownRun) {
		t.Errorf("not measured: %q, %q, %q\n%s", handover, crash, worker, notes)
	}
	f.Put("handover 2", lease, 1000)
	f.Put("crash", lease, 17000)
	handover, crash, worker, notes = lines()
	if handover != "1000" || crash != "17.0 s in all" || worker != "17.0 s" || !strings.Contains(notes, foreign) || !strings.Contains(notes, ownRun) {
		t.Errorf("measured: %q, %q, %q\n%s", handover, crash, worker, notes)
	}
}
