package httpapi

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The limits of what a query may ask for.
const (
	maxWait    = 10 * time.Minute       // what waits for longer than a person would is to be asked anew now and then
	minRenewed = 100 * time.Millisecond // of max with renewals, so that no reader makes an event stream a busy loop
)

// query is what a request asks for beyond its route; without a parameter of it, all is zero but the place.
type query struct {
	place    *place        // where the request sits
	contact  bool          // with etcd, now
	leading  bool          // now
	renewals bool          // of the yes in an event stream
	max      time.Duration // the longest promise that is wanted; 0: the longest there is
	waits    bool          // wait was given
	wait     time.Duration // 0: not at all
	after    position      // a state that is known already; zero: none
	revision int64         // of the value that is known already; 0: none is
	known    bool          // after was given, of either kind
}

// position names a state among those of all processes.
type position struct {
	incarnation string // empty: none
	seq         uint64
}

func (p position) String() string { return p.incarnation + "-" + strconv.FormatUint(p.seq, 10) }

// parsePosition reads what String writes. The incarnation may be any process's.
func parsePosition(text string) (position, bool) {
	at := max(0, strings.LastIndexByte(text, '-'))
	seq, err := strconv.ParseUint(strings.TrimPrefix(text[at:], "-"), 10, 64)
	if at == 0 || err != nil {
		return position{}, false
	}
	return position{text[:at], seq}, true
}

// param is a query parameter.
type param struct{ name, form string }

// The parameters that routes may take.
var (
	contactParam  = param{"contact", "contact=required"}
	roleParam     = param{"role", "role=leader"}
	renewalsParam = param{"renewals", "renewals=1"}
	maxParam      = param{"max", "max=500ms (above 0s)"}
	waitParam     = param{"wait", "wait=30s (0s to 10m)"}
	afterParam    = param{"after", "after=INCARNATION-SEQ (of the state that is known)"}
	revisionParam = param{"after", "after=REVISION (of the value that is known, 0 for none)"}
)

// params are the parameters that a route takes.
type params []param

// The sets that stand for more than what they hold.
var (
	noQuery  = params{}
	anyQuery params // whatever it is, it is not read
)

// hint says what may be asked.
func (p params) hint() string {
	if len(p) == 0 {
		return "this path takes no query"
	}
	forms := make([]string, len(p))
	for i, known := range p {
		forms[i] = known.form
	}
	return "this path takes " + strings.Join(forms, ", ")
}

// named finds a parameter.
func (p params) named(name string) (param, bool) {
	for _, known := range p {
		if known.name == name {
			return known, true
		}
	}
	return param{}, false
}

// read reads a request's query. Whatever it does not know is an error, names of parameters included: a
// mistyped demand must not pass for one that is met.
func (p params) read(raw string) (query, error) {
	if raw == "" || p == nil {
		return query{}, nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, errors.New("the query can not be read")
	}
	var q query
	for name, all := range values {
		known, ok := p.named(name)
		if !ok {
			return query{}, errors.New("unknown query parameter")
		}
		for _, value := range all {
			if value != all[0] {
				return query{}, fmt.Errorf("%s is given twice", name)
			}
		}
		if !q.set(known, all[0]) {
			return query{}, fmt.Errorf("%s can not have this value", name)
		}
	}
	switch _, waitable := p.named(waitParam.name); {
	case q.known && !q.waits && waitable:
		return query{}, errors.New("after is given without wait")
	case q.renewals && q.max > 0 && q.max < minRenewed:
		return query{}, fmt.Errorf("max is less than %v, which is the least with renewals", minRenewed)
	}
	return q, nil
}

// set takes one parameter. It reports whether the parameter can have the value.
func (q *query) set(p param, value string) (ok bool) {
	switch p {
	case contactParam:
		q.contact, ok = true, value == "required"
	case roleParam:
		q.leading, ok = true, value == "leader"
	case renewalsParam:
		q.renewals, ok = true, value == "1"
	case maxParam:
		d, err := time.ParseDuration(value)
		q.max, ok = d, err == nil && d > 0
	case waitParam:
		d, err := time.ParseDuration(value)
		q.waits, q.wait, ok = true, d, err == nil && d >= 0 && d <= maxWait
	case afterParam:
		q.known = true
		q.after, ok = parsePosition(value)
	case revisionParam:
		n, err := strconv.ParseInt(value, 10, 64)
		q.known, q.revision, ok = true, n, err == nil && n >= 0
	}
	return ok
}
