package check_test

import (
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/chaos/check"
	"github.com/elector-dev/elector/internal/chaos/history"
)

// accesses is a register's history, one access after the other unless their times overlap.
type accesses []history.Access

func (a *accesses) write(token, value int64, from, to int) *history.Access {
	*a = append(*a, history.Access{Elector: "a", Write: true, Token: token, Value: value, Call: at(from), Return: at(to)})
	return &(*a)[len(*a)-1]
}

func (a *accesses) read(value int64, from, to int) {
	*a = append(*a, history.Access{Elector: "b", Value: value, Call: at(from), Return: at(to)})
}

func judged(a accesses) check.Report {
	return check.Check(&history.History{Run: history.Run{Program: "elector", Began: began, Ended: at(100_000), TTL: ttl}, Register: a})
}

func TestARegisterIsToRefuseWhatIsOlder(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(*accesses)
		want string // empty: nothing is wrong
	}{
		{"writes and reads in turn", func(a *accesses) { a.write(5, 1, 0, 1); a.read(1, 2, 3); a.write(5, 2, 4, 5); a.read(2, 6, 7) }, ""},
		{"an empty register", func(a *accesses) { a.read(0, 0, 1); a.write(5, 1, 2, 3) }, ""},
		{"an older token that is refused", func(a *accesses) { a.write(5, 1, 0, 1); a.write(4, 2, 2, 3).Refused = true; a.read(1, 4, 5) }, ""},
		{"an older token that is taken", func(a *accesses) { a.write(5, 1, 0, 1); a.write(4, 2, 2, 3) }, "wrote 2 with token 4 at 0.002 s, which no order"},
		{"an older token that is refused and read", func(a *accesses) { a.write(5, 1, 0, 1); a.write(4, 2, 2, 3).Refused = true; a.read(2, 4, 5) }, "b read 2"},
		{"the greatest token, refused", func(a *accesses) { a.write(5, 1, 0, 1); a.write(5, 2, 2, 3).Refused = true }, "with token 5 and was refused"},
		{"a read of what was there before", func(a *accesses) { a.write(5, 1, 0, 1); a.write(5, 2, 2, 3); a.read(1, 4, 5) }, "b read 1 at 0.004 s"},
		{"a read during a write, of either", func(a *accesses) { a.write(5, 1, 0, 1); a.write(5, 2, 2, 9); a.read(1, 3, 4); a.read(2, 5, 6) }, ""},
		{"reads during a write, of the new and then the old", func(a *accesses) { a.write(5, 1, 0, 1); a.write(5, 2, 2, 9); a.read(2, 3, 4); a.read(1, 5, 6) }, "b read 1"},
		{"a write that never returned and was read", func(a *accesses) { a.write(5, 1, 0, 0).Return = 0; a.read(0, 2, 3); a.read(1, 4, 5) }, ""},
		{"a write that never returned and was not taken", func(a *accesses) { a.write(5, 1, 0, 1); a.write(4, 2, 2, 2).Return = 0; a.read(1, 4, 5) }, ""},
		{"overlapping writes, of which the smaller came second", func(a *accesses) { a.write(5, 1, 0, 9); a.write(4, 2, 1, 8).Refused = true; a.read(1, 10, 11) }, ""},
	} {
		var a accesses
		test.make(&a)
		r := judged(a)
		if test.want == "" && told(r) != "" || !strings.Contains(told(r), test.want) || test.want != "" && len(r.Violations) != 1 {
			t.Errorf("%s: %q; want %q", test.name, told(r), test.want)
		}
	}
}

// A long history is judged in pieces. The pieces may only end where nothing is under way.
func TestALongHistoryIsJudgedAsAWhole(t *testing.T) {
	var a accesses
	for i := range int64(1000) {
		from := int(i) * 10
		a.write(5+i/100, i+1, from, from+6) // while it is under way, the value before it is read
		a.read(i, from+1, from+3)
		if i%100 == 50 {
			a.write(4+i/100, -1, from+7, from+8).Refused = true
		}
		if i%10 == 0 {
			a.read(i+1, from+8, from+9)
		}
	}
	if r := judged(a); told(r) != "" {
		t.Fatal(told(r))
	}
	for _, i := range []int{5, 700, len(a) - 2} {
		if a[i].Write {
			i++
		}
		broken := append(accesses(nil), a...)
		broken[i].Value -= 3
		if r := judged(broken); strings.Join(rules(r), "") != "I9" {
			t.Errorf("access %d of %d: %q", i, len(a), told(r))
		}
	}
}
