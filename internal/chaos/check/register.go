package check

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/elector-dev/elector/internal/chaos/history"
)

const (
	// piece is how many accesses are put to porcupine at once, at least: it is quick with short histories.
	piece = 100
	// registerTime bounds all of the register's checking.
	registerTime = 5 * time.Second
)

// stored is what the register holds.
type stored struct{ token, value int64 }

// register is I9. The register takes a write whose token is not smaller than the greatest it has taken, and
// refuses all others; a read returns what was taken last. Porcupine looks for an order of the accesses
// that explains every outcome and keeps to their instants.
//
// The history is cut where one access has the register to itself and tells what it holds, so that each
// piece begins with a known content; nothing is lost by that.
func (j *judge) register() {
	if j.Run.Program != "elector" {
		return
	}
	accesses := slices.Clone(j.Register)
	for i := range accesses {
		if accesses[i].Return == 0 {
			accesses[i].Return = math.MaxInt64
		}
	}
	sortIfNeeded(accesses, func(a, b history.Access) int { return cmp.Compare(a.Call, b.Call) })
	left := time.Now().Add(registerTime)
	var content stored
	for len(accesses) > 0 {
		n, next := cut(accesses, content)
		switch result, stuck := explain(content, accesses[:n], time.Until(left)); result {
		case porcupine.Illegal:
			j.inexplicable(content, accesses[:n], stuck)
			return // what the register holds is not known from here on
		case porcupine.Unknown:
			j.unknown("I9: the register's history from %s on was not explained within %v.", j.at(accesses[0].Call), registerTime)
			return
		}
		accesses, content = accesses[n:], next
	}
}

// cut finds the end of a piece and what the register holds there.
func cut(accesses []history.Access, content stored) (int, stored) {
	var returned history.Instant // latest of those before
	token := content.token
	for i, a := range accesses {
		if a.Write && !a.Refused {
			token = max(token, a.Token)
		}
		alone := a.Call > returned && (i+1 == len(accesses) || a.Return < accesses[i+1].Call)
		returned = max(returned, a.Return)
		if !alone || i+1 < piece || a.Write && a.Refused || a.Return == math.MaxInt64 {
			continue
		}
		return i + 1, stored{token, a.Value}
	}
	return len(accesses), stored{}
}

// explain looks for an order. If there is none it gives the index of the access at which the longest
// attempt got stuck.
func explain(content stored, accesses []history.Access, bound time.Duration) (porcupine.CheckResult, int) {
	if bound <= 0 {
		return porcupine.Unknown, 0
	}
	ops := make([]porcupine.Operation, len(accesses))
	for i := range accesses {
		ops[i] = porcupine.Operation{Input: &accesses[i], Call: int64(accesses[i].Call), Return: int64(accesses[i].Return)}
	}
	model := porcupine.Model{
		Init: func() any { return content },
		Step: func(state, input, _ any) (bool, any) { return take(state.(stored), input.(*history.Access)) },
	}
	if result := porcupine.CheckOperationsTimeout(model, ops, bound); result != porcupine.Illegal {
		return result, 0
	}
	_, info := porcupine.CheckOperationsVerbose(model, ops, bound)
	return porcupine.Illegal, stuckAt(info, len(ops))
}

// take is the register as it should be.
func take(s stored, a *history.Access) (bool, stored) {
	switch {
	case !a.Write:
		return a.Value == s.value, s
	case a.Return == math.MaxInt64 && a.Token < s.token:
		return true, s // its outcome is not known
	case a.Token < s.token:
		return a.Refused, s
	case a.Refused:
		return false, s
	}
	return true, stored{a.Token, a.Value}
}

// stuckAt is the first access, by its call, that the longest explanation leaves out.
func stuckAt(info porcupine.LinearizationInfo, n int) int {
	explained := make([]bool, n)
	longest := []int(nil)
	for _, partition := range info.PartialLinearizations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	for _, i := range longest {
		explained[i] = true
	}
	return max(0, slices.Index(explained, false))
}

// inexplicable reports an access that has no place, with what should have been.
func (j *judge) inexplicable(content stored, accesses []history.Access, stuck int) {
	a := accesses[stuck]
	did := "read " + itoa(a.Value)
	if a.Write {
		did = "wrote " + itoa(a.Value) + " with token " + itoa(a.Token)
		if a.Refused {
			did += " and was refused"
		}
	}
	greatest, value := content.token, content.value
	for _, b := range accesses[:stuck] {
		if b.Write && !b.Refused && b.Return < a.Call {
			greatest, value = max(greatest, b.Token), b.Value
		}
	}
	j.violated("I9", a.Call, a.Return, []*term{{elector: a.Elector, token: a.Token}},
		"%s %s at %s, which no order of the register's accesses explains: it had taken token %d and held about %d.",
		a.Elector, did, j.at(a.Call), greatest, value)
}
