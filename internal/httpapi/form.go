package httpapi

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/elector-dev/elector/internal/election"
)

// form is the body of /status with blanks for what moves while nothing happens: the three times. All else in it
// follows from the published state, whether the elector leads, and whether it is in contact. The answer is evaluated
// each time all the same; the form only spares writing down anew what has not changed. It is immutable.
type form struct {
	state              election.State // as the answer has it, made true for its instant
	leading, connected bool

	beforeExpiry, beforeEnd, beforeRenewal, rest []byte

	token   []string   // the value of the header
	lengths [][]string // values of Content-Length by the digits of the times, with a newline at the end
}

// The fields that are left blank, as they are written when they are zero. A string in the body cannot hold any of
// this, since its quotation marks have a backslash before them.
var (
	blankExpiry  = []byte(`"expires_in_ms":0,"expires_boottime_ms":0,`)
	blankRenewal = []byte(`"since_renewal_ms":0}`)
)

// mostDigits are those of three numbers of 64 bits.
const mostDigits = 60

// newForm makes the form of an answer.
func (a *API) newForm(answer election.Answer) *form {
	f := &form{state: answer.State, leading: answer.Leading, connected: answer.Connected}
	answer.ExpiresIn, answer.ExpiresAt, answer.SinceRenewal = 0, 0, 0
	body := encode(a.body(answer))
	before, after, _ := bytes.Cut(body, blankExpiry)
	between, rest, _ := bytes.Cut(after, blankRenewal)
	f.beforeExpiry = slices.Concat(before, []byte(`"expires_in_ms":`))
	f.beforeEnd = []byte(`,"expires_boottime_ms":`)
	f.beforeRenewal = slices.Concat([]byte(","), between, []byte(`"since_renewal_ms":`))
	f.rest = slices.Concat([]byte("}"), rest)
	f.token = []string{strconv.FormatInt(answer.Token, 10)}
	fixed := len(f.beforeExpiry) + len(f.beforeEnd) + len(f.beforeRenewal) + len(f.rest) + len("\n")
	for digits := range mostDigits + 1 {
		f.lengths = append(f.lengths, []string{strconv.Itoa(fixed + digits)})
	}
	return f
}

// fits reports whether the form is that of an answer.
func (f *form) fits(answer *election.Answer) bool {
	return f != nil && f.leading == answer.Leading && f.connected == answer.Connected && f.state == answer.State
}

// fill appends the body of an answer that the form fits, and returns how many digits its times have.
func (f *form) fill(b []byte, answer *election.Answer) (body []byte, digits int) {
	number := func(text []byte, v int64) {
		b = append(b, text...)
		n := len(b)
		b = strconv.AppendInt(b, v, 10)
		digits += len(b) - n
	}
	number(f.beforeExpiry, answer.ExpiresIn.Milliseconds())
	number(f.beforeEnd, time.Duration(answer.ExpiresAt).Milliseconds())
	number(f.beforeRenewal, answer.SinceRenewal.Milliseconds())
	return append(b, f.rest...), digits
}

// formOf is the form that fits an answer: mostly the one that fitted the answer before.
func (a *API) formOf(answer *election.Answer) *form {
	f := a.form.Load()
	if !f.fits(answer) {
		f = a.newForm(*answer)
		a.form.Store(f)
	}
	return f
}
