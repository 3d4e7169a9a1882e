package sample

import (
	"context"
	"testing"
	"time"
)

var noon = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

var company int

// Each of the two passes alone, and the second of them in one process does not.
func TestCompanyOne(t *testing.T) { inCompany(t) }
func TestCompanyTwo(t *testing.T) { inCompany(t) }

func inCompany(t *testing.T) {
	if company++; company > 1 {
		t.Error("not alone")
	}
}

func TestOpen(t *testing.T) {
	if a := open("a", noon); a != (Account{Owner: "a", Open: true, Until: noon}) {
		t.Error(a)
	}
}

func TestTake(t *testing.T) {
	for _, c := range []struct {
		n    int
		now  time.Time
		want int
		err  error
	}{
		{10, noon.Add(-1), 11, nil}, {11, noon.Add(-1), 0, errNone}, {1, noon, 0, nil}, {0, noon.Add(-1), 0, nil}, {1, noon.Add(-1), 2, nil},
	} {
		a := Account{Open: true, Until: noon}
		got, err := a.take(c.n, c.now)
		if got != c.want || err != c.err || a.empty() != (a.count == 0) {
			t.Error(c, got, err)
		}
	}
	if _, err := new(Account).take(1, noon); err != errNone {
		t.Error(err)
	}
}

func TestRest(t *testing.T) {
	if patience(2) != 3*time.Second || patience(7) != 6*time.Second {
		t.Error("patience")
	}
	if kind(1)+kind(2)+kind(3) != "onetwomany" {
		t.Error("kind")
	}
	if firstEven([]int{1, 4, 6}) != 4 || firstEven(nil) != 0 {
		t.Error("firstEven")
	}
	ch := make(chan int, 1)
	ch <- 3
	if n, ok := next(context.Background(), ch); n != 3 || !ok {
		t.Error("next")
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if n, ok := next(ended, nil); n != 0 || ok {
		t.Error("next, ended")
	}
}
