package dockertest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/httpapi"
)

// Answer is what an elector said, and when, in milliseconds of the boot clock, which containers share with their host.
type Answer struct {
	Sent, Received int64
	httpapi.Status
}

// Ask asks an elector at GET /leader. It blocks until the reply is there or ctx ends.
func Ask(ctx context.Context, client *http.Client, url string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/leader", nil)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Sent: boottime.Now().Milliseconds()}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(resp.Body).Decode(&a.Status)
	a.Received = boottime.Now().Milliseconds()
	return a, err
}

// Holds reports whether an answer is a yes that is still certain.
func (a Answer) Holds() bool {
	return a.Leading && boottime.Now().Milliseconds() < min(a.Sent+a.ExpiresInMs, a.ExpiresBoottimeMs)
}

// term is the time from the instant at which an elector's first yes with a token was evaluated to the latest end of those
// that it has given.
type term struct {
	identity    string
	token       int64
	from, until int64
}

// Judge returns how often the lead was held, and what there is to say against it: two terms at one instant, the yes that
// were promised included, a token that is not greater than the one before, a yes that was not evaluated between its
// request and its reply.
func Judge(answers []Answer) (terms int, wrong []string) {
	byToken := map[string]*term{}
	for _, a := range answers {
		if !a.Leading {
			continue
		}
		at := a.ExpiresBoottimeMs - a.ExpiresInMs
		if at < a.Sent-1 || at > a.Received+1 { // all are rounded to milliseconds
			wrong = append(wrong, fmt.Sprintf("%s said yes at %d, to a request of %d with its reply at %d", a.Identity, at, a.Sent, a.Received))
		}
		key := fmt.Sprintf("%s %s %d", a.Identity, a.Incarnation, a.Token)
		if byToken[key] == nil {
			byToken[key] = &term{a.Identity, a.Token, at, a.ExpiresBoottimeMs}
		}
		x := byToken[key]
		x.from, x.until = min(x.from, at), max(x.until, a.ExpiresBoottimeMs)
	}
	var all []*term
	for _, x := range byToken {
		all = append(all, x)
	}
	slices.SortFunc(all, func(x, y *term) int { return cmp.Compare(x.from, y.from) })
	for i, y := range all {
		for _, x := range all[:i] {
			if over := time.Duration(x.until-y.from) * time.Millisecond; over > time.Millisecond {
				wrong = append(wrong, fmt.Sprintf("%s had promised with token %d for %v more when %s said yes with token %d", x.identity, x.token, over, y.identity, y.token))
			}
			if x.token >= y.token {
				wrong = append(wrong, fmt.Sprintf("%s had token %d before %s had %d", x.identity, x.token, y.identity, y.token))
			}
		}
	}
	return len(all), wrong
}
