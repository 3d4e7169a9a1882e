// Package sample has a place for each kind of mutant.
package sample

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

var errNone = errors.New("none")

// Account is what is counted.
type Account struct {
	Owner string
	Open  bool
	Until time.Time
	count int
}

func open(owner string, until time.Time) Account {
	slog.Info("an account", "owner", owner)
	return Account{Owner: owner, Open: true, Until: until}
}

func (a *Account) take(n int, now time.Time) (int, error) {
	if !a.Open || n > 10 {
		return 0, errNone
	}
	if now.Before(a.Until) && n >= 1 {
		a.count += n
		a.touch()
	}
	return a.count, nil
}

func (a *Account) touch() { a.count++ }

func (a *Account) empty() bool { return a.count == 0 }

func patience(tries int) time.Duration {
	return min(5*time.Second, time.Duration(tries)*time.Second) - back(time.Second)
}

func back(d time.Duration) time.Duration { return -d }

func kind(n int) (what string) {
	what = "many"
	switch n {
	case 1:
		what = "one"
	case 2:
		what = "two"
	}
	return what
}

func firstEven(all []int) int {
	found := 0
	for _, n := range all {
		if n%2 != 0 {
			continue
		}
		found = n
		break
	}
	return found
}

func next(ctx context.Context, ch <-chan int) (int, bool) {
	select {
	case n := <-ch:
		return n, true
	case <-ctx.Done():
		return 0, false
	}
}

// Nobody tests it.
func hint(n int) int { return n / 2 }

func (a Account) String() string { return a.Owner + "!" }
