package httpapi

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest that one request may wait. Proxies and people lose patience earlier.
const maxWait = 10 * time.Minute

// asked is what a query asks for.
type asked struct {
	max      time.Duration // longest promise wanted; 0: as long as there is
	wait     time.Duration
	waits    bool   // wait was given
	after    string // what the reader has seen already; empty: not given
	renewals bool   // fresh events while nothing but the expiry changes
	contact  bool   // with etcd, now
	leading  bool   // now
}

// parameters reads each parameter of all routes. An error is the end of a sentence that begins with the
// parameter.
var parameters = map[string]func(*asked, string) error{
	"max": func(a *asked, v string) (err error) {
		if a.max, err = time.ParseDuration(v); err != nil || a.max <= 0 {
			return errors.New("is no time above zero: write a number with its unit, as in max=500ms")
		}
		return nil
	},
	"wait": func(a *asked, v string) (err error) {
		a.waits = true
		if a.wait, err = time.ParseDuration(v); err != nil || a.wait < 0 || a.wait > maxWait {
			return fmt.Errorf("is no time from 0s to %v: write a number with its unit, as in wait=30s", maxWait)
		}
		return nil
	},
	"after": func(a *asked, v string) error {
		if a.after = v; v == "" {
			return errors.New("is empty: give what the last answer had, or leave it out")
		}
		return nil
	},
	"renewals": func(a *asked, v string) error {
		a.renewals = v == "1"
		return only(v, "1")
	},
	"contact": func(a *asked, v string) error {
		a.contact = v == "required"
		return only(v, "required")
	},
	"role": func(a *asked, v string) error {
		a.leading = v == "leader"
		return only(v, "leader")
	},
}

func only(value, known string) error {
	if value != known {
		return fmt.Errorf("has an unknown value: the one that it may have is %s", known)
	}
	return nil
}

// parseQuery reads a query strictly: a mistyped demand must not pass for one that is met. takes has the
// names of the parameters that may be there.
func parseQuery(query, takes string) (asked, error) {
	if takes == anyQuery {
		return asked{}, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return asked{}, errors.New("the query can not be read: write it as in ?name=value&name=value")
	}
	known := strings.Fields(takes)
	var a asked
	for name, all := range values {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return asked{}, fmt.Errorf("%q is unknown: this path takes no parameters", name)
		case !slices.Contains(known, name):
			return asked{}, fmt.Errorf("%q is unknown: this path takes %s", name, strings.Join(known, ", "))
		case slices.ContainsFunc(all, func(v string) bool { return v != all[0] }):
			return asked{}, fmt.Errorf("%s is given twice: give it once", name)
		}
		if err := parameters[name](&a, all[0]); err != nil {
			return asked{}, fmt.Errorf("%s %w", name, err)
		}
	}
	return a, nil
}

// position is a place in the states of one process: "<incarnation>-<seq>", the id of an event.
type position struct {
	incarnation string
	seq         uint64
}

func (p position) String() string { return p.incarnation + "-" + strconv.FormatUint(p.seq, 10) }

// parsePosition reads one.
func parsePosition(s string) (position, bool) {
	cut := strings.LastIndexByte(s, '-')
	if cut <= 0 {
		return position{}, false
	}
	seq, err := strconv.ParseUint(s[cut+1:], 10, 64)
	p := position{s[:cut], seq}
	return p, err == nil && p.String() == s
}
