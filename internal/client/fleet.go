package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Queue is who stands in an election, in the order in which they would lead.
type Queue struct {
	Election   string      `json:"election"`
	Candidates []Candidate `json:"candidates"`
	Total      int         `json:"total"` // more than are listed if there are more than 1,000
}

// Candidate is one of them.
type Candidate struct {
	Identity    string     `json:"identity"`
	Incarnation string     `json:"incarnation"`
	Token       int64      `json:"token"`
	Since       *time.Time `json:"since"`
	Version     string     `json:"version"`
	Position    int        `json:"position"`
	Self        bool       `json:"self"`
	Duplicate   bool       `json:"duplicate"`
}

// History is the latest terms that an elector has seen, the newest first.
type History struct {
	Election string `json:"election"`
	Terms    []Term `json:"terms"`
}

// Term is one of them.
type Term struct {
	Identity    string     `json:"identity"`
	Incarnation string     `json:"incarnation"`
	Token       int64      `json:"token"`
	From        time.Time  `json:"from"`
	To          *time.Time `json:"to"`
	Cause       string     `json:"cause"`
}

// Candidates asks for the queue, which the elector reads from etcd.
func (c *Client) Candidates(ctx context.Context) (*Queue, error) {
	q := &Queue{}
	if _, err := c.call(ctx, request{method: http.MethodGet, path: "/candidates"}, q, http.StatusOK); err != nil {
		return nil, err
	}
	return q, nil
}

// History asks for the latest terms.
func (c *Client) History(ctx context.Context) (*History, error) {
	h := &History{}
	if _, err := c.call(ctx, request{method: http.MethodGet, path: "/history"}, h, http.StatusOK); err != nil {
		return nil, err
	}
	return h, nil
}

// Value is what the leader shares with the fleet.
type Value struct {
	Bytes       []byte
	ContentType string
	Token       int64 // of the term that it belongs to
	Revision    int64
}

// ErrNoValue is returned by Value when there is none.
var ErrNoValue = errors.New("there is no value")

// Value asks for the shared value.
func (c *Client) Value(ctx context.Context) (*Value, error) {
	resp, _, err := c.send(ctx, request{method: http.MethodGet, path: "/value"})
	if err != nil {
		return nil, err
	}
	body, err := read(resp)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound && isFailure(body):
		return nil, ErrNoValue
	case resp.StatusCode != http.StatusOK:
		return nil, failureOf(resp.StatusCode, body)
	}
	v := &Value{Bytes: body, ContentType: resp.Header.Get("Content-Type")}
	v.Token, _ = strconv.ParseInt(resp.Header.Get("Elector-Token"), 10, 64)
	v.Revision, err = strconv.ParseInt(strings.Trim(resp.Header.Get("ETag"), `"`), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read the value's revision: %w", err)
	}
	return v, nil
}

// PutValue publishes a value in the term with v's token. A NoAnswerError, or a StatusError of 503, says nothing
// of its outcome.
func (c *Client) PutValue(ctx context.Context, v Value) (revision int64, err error) {
	header := http.Header{"Elector-Token": {strconv.FormatInt(v.Token, 10)}}
	if v.ContentType != "" {
		header.Set("Content-Type", v.ContentType)
	}
	if v.Bytes == nil {
		v.Bytes = []byte{}
	}
	var done struct {
		Revision int64 `json:"revision"`
	}
	_, err = c.call(ctx, request{method: http.MethodPut, path: "/value", header: header, body: v.Bytes}, &done, http.StatusOK)
	return done.Revision, err
}

// Resigned tells what came of Resign.
type Resigned struct {
	Released bool  `json:"released"` // the key is known to have gone
	Token    int64 `json:"token"`    // of the term that was given up
}

// Resign has the elector give the lead up, and campaign again after cooldown at the earliest. token, if it is not
// 0, is the caller's word that whoever acts on the elector's promises has stopped; they are not waited for. It
// blocks until the key has gone, or the elector's bound for that is over.
func (c *Client) Resign(ctx context.Context, token int64, cooldown time.Duration) (*Resigned, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	if token != 0 {
		header.Set("Elector-Token", strconv.FormatInt(token, 10))
	}
	body, err := json.Marshal(map[string]string{"cooldown": cooldown.String()})
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	r := &Resigned{}
	if _, err = c.call(ctx, request{method: http.MethodPost, path: "/resign", header: header, body: body}, r, http.StatusOK); err != nil {
		return nil, err
	}
	return r, nil
}

// Transferred tells what came of Transfer.
type Transferred struct {
	To          string `json:"to"`
	Token       int64  `json:"token"`       // of the term that was given up
	Transferred bool   `json:"transferred"` // the one that it was to go to leads
	Leader      Leader `json:"leader"`      // who leads; nobody, if that had not come about in time
}

// Transfer has the elector pass the lead on to another candidate. token is as in Resign. It blocks until somebody
// leads under another token, or for wait at most.
func (c *Client) Transfer(ctx context.Context, to string, token int64, wait time.Duration) (*Transferred, error) {
	rq := request{method: http.MethodPost, path: "/transfer", header: http.Header{"Content-Type": {"application/json"}}}
	if token != 0 {
		rq.header.Set("Elector-Token", strconv.FormatInt(token, 10))
	}
	if wait > 0 {
		rq.query = query("wait", wait.String())
	}
	var err error
	if rq.body, err = json.Marshal(map[string]string{"to": to}); err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	t := &Transferred{}
	if _, err = c.call(ctx, rq, t, http.StatusOK, http.StatusAccepted); err != nil {
		return nil, err
	}
	return t, nil
}

// Drained tells what came of Drain and Undrain.
type Drained struct {
	Drained  bool `json:"drained"`
	Released bool `json:"released"` // no key of the elector's stands
}

// Drain takes the elector out of the election until Undrain, for a reason that it shows. It blocks until its key has
// gone, or the elector's bound for that is over.
func (c *Client) Drain(ctx context.Context, reason string) (*Drained, error) {
	body, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	d := &Drained{}
	rq := request{method: http.MethodPost, path: "/drain", header: http.Header{"Content-Type": {"application/json"}}, body: body}
	if _, err = c.call(ctx, rq, d, http.StatusOK); err != nil {
		return nil, err
	}
	return d, nil
}

// Undrain lets the elector campaign again.
func (c *Client) Undrain(ctx context.Context) error {
	_, err := c.call(ctx, request{method: http.MethodPost, path: "/undrain"}, &Drained{}, http.StatusOK)
	return err
}

// Unfence has a fenced elector go on with etcd as it is now.
func (c *Client) Unfence(ctx context.Context) error {
	var done struct {
		Unfenced bool `json:"unfenced"`
	}
	_, err := c.call(ctx, request{method: http.MethodPost, path: "/unfence"}, &done, http.StatusOK)
	return err
}

func position(incarnation string, seq uint64) string {
	return incarnation + "-" + strconv.FormatUint(seq, 10)
}

// query makes one from pairs.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}
