package chaos

import (
	"testing"
	"time"

	"github.com/elector-dev/elector/internal/chaos/history"
)

func TestGrowthComparesTheLastProcessWithItselfInAnEarlierCalm(t *testing.T) {
	at := func(s float64) history.Instant { return history.Instant(s * float64(time.Second)) }
	h := &history.History{Run: history.Run{TTL: 4 * time.Second, Electors: []string{"w1", "w2", "w3", "w4", "w5"}}}
	h.Processes = []history.Process{
		{Elector: "w1", Incarnation: "old", From: at(1), To: at(10)},
		{Elector: "w1", Incarnation: "new", From: at(11)},
		{Elector: "w2", Incarnation: "late", From: at(95)}, // too young to be compared
		{Elector: "w3", Incarnation: "died", From: at(1), To: at(90)},
		{Elector: "w5", Incarnation: "starved", From: at(36)}, // not up before the machine stood still
		{Elector: "w4", Incarnation: "cut off", From: at(81)}, // in a fault, and then in the recovery from it
	}
	h.Stalls = []history.Stall{{From: at(35), To: at(40)}}
	h.Faults = []history.Fault{{From: at(10), To: at(20)}, {From: at(80), To: at(85)}}
	sample := func(lane, incarnation string, s float64, n int) {
		h.Samples = append(h.Samples, history.Sample{
			Elector: lane, Incarnation: incarnation, Sent: at(s), Received: at(s + 0.01), Goroutines: n, Descriptors: 2 * n,
		})
	}
	for s := 2.0; s < 100; s++ {
		switch n := 40; {
		case s < 10:
			sample("w1", "old", s, 10)
		case s < 36:
			sample("w1", "new", s, 15) // cut off, and coming back
		case s > 90:
			sample("w1", "new", s, n+7)
		case int(s)%5 == 0:
			sample("w1", "new", s, n+100) // a passing crowd
		default:
			sample("w1", "new", s, n)
		}
		if s > 36 && s < 56 {
			sample("w5", "starved", s, 20)
		}
		if s >= 56 {
			sample("w5", "starved", s, 40)
		}
		if s > 81 {
			sample("w4", "cut off", s, int(s))
		}
	}
	left := &history.Leftover{Goroutines: map[string]int{}, Descriptors: map[string]int{}}
	growth(h, at(100), left)
	if len(left.Goroutines) != 2 || left.Goroutines["w5"] != 0 || left.Goroutines["w1"] != 7 || left.Descriptors["w1"] != 14 {
		t.Errorf("growth %+v", left)
	}
}

func TestMetricsAreReadByTheirNames(t *testing.T) {
	s, ok := readMetrics([]byte(`# HELP elector_leading x
elector_leading{election="default/chaos"} 1
elector_fencing_token{election="default/chaos"} 1.234567e+06
go_goroutines{election="default/chaos"} 33
process_open_fds{election="default/chaos"} 12
elector_renewals_total{election="default/chaos",result="confirmed"} 7
elector_renewals_total{election="default/chaos",result="late"} 0
elector_leading_other 0
nonsense
`))
	if !ok || !s.Leading || s.Token != 1234567 || s.Goroutines != 33 || s.Descriptors != 12 || s.Renewals["confirmed"] != 7 || len(s.Renewals) != 2 {
		t.Errorf("read %+v, %v", s, ok)
	}
	if _, ok := readMetrics([]byte("go_goroutines 3\n")); ok {
		t.Error("took a page without the gauge of leading for a scrape")
	}
}

func TestAddressesAreFoundAsTheKernelShowsThem(t *testing.T) {
	if got, ok := hexAddress("10.213.4.12:2379"); !ok || got != "0C04D50A:094B" {
		t.Errorf("10.213.4.12:2379 is %s, %v", got, ok)
	}
	if _, ok := hexAddress("localhost:2379"); ok {
		t.Error("a name was taken for an address")
	}
}
