package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/boottime"
)

// maxBody bounds what is read of an answer: a thousand candidates or terms fit well.
const maxBody = 4 << 20

// Client asks one elector. Its methods may be called concurrently. Close it when it is not needed any more.
type Client struct {
	base   string
	local  bool // the elector's address is of this host, so its boot clock may be ours
	bearer string
	http   *http.Client
}

// Option changes how a Client asks.
type Option func(*Client)

// WithBearer has writes bring a token, as --http-token-file of the elector has it.
func WithBearer(token string) Option { return func(c *Client) { c.bearer = token } }

// New returns a client for an address: host:port, http://host:port or unix:/path. It contacts nothing. The
// error is a sentence about the address.
func New(address string, options ...Option) (*Client, error) {
	transport := &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second}
	c := &Client{http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	for _, o := range options {
		o(c)
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok && path != "" {
		c.base, c.local = "http://localhost", true
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
		return c, nil
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Port() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("%q is not the address of an elector: write host:port, http://host:port or unix:/path", strings.TrimPrefix(address, "http://"))
	}
	c.base = "http://" + u.Host
	ip, err := netip.ParseAddr(u.Hostname())
	c.local = u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// NoAnswerError is returned when the elector could not be asked or did not answer to the end.
type NoAnswerError struct{ Err error }

func (e *NoAnswerError) Error() string { return "the elector does not answer: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// StatusError is an answer that is an error.
type StatusError struct {
	Code    int    // HTTP status
	Message string // what is wrong
	Hint    string // what to do
	Leader  Leader // who leads, where the elector does not and knows
}

func (e *StatusError) Error() string {
	text := e.Message
	if text == "" {
		text = http.StatusText(e.Code)
	}
	if e.Leader.Identity != "" {
		text += fmt.Sprintf("; %q does", e.Leader.Identity)
	}
	if e.Hint != "" {
		text += ": " + e.Hint
	}
	return text
}

// request is one exchange.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte
}

// send exchanges a request for a response, whose body the caller closes. sent is the boot clock's reading
// before it went out.
func (c *Client) send(ctx context.Context, rq request) (resp *http.Response, sent time.Duration, err error) {
	target := c.base + rq.path
	if len(rq.query) > 0 {
		target += "?" + rq.query.Encode()
	}
	var body io.Reader
	if rq.body != nil {
		body = bytes.NewReader(rq.body)
	}
	r, err := http.NewRequestWithContext(ctx, rq.method, target, body)
	if err != nil {
		return nil, 0, fmt.Errorf("make the request: %w", err)
	}
	for k, v := range rq.header {
		r.Header[k] = v
	}
	if rq.method == http.MethodPut || rq.method == http.MethodPost {
		r.Header.Set("Elector-Request", "1")
		if c.bearer != "" {
			r.Header.Set("Authorization", "Bearer "+c.bearer)
		}
	}
	sent = boottime.Now()
	if resp, err = c.http.Do(r); err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, sent, &NoAnswerError{err}
	}
	return resp, sent, nil
}

// call exchanges a request for a body, which is decoded into into. Statuses other than those accepted are a
// *StatusError.
func (c *Client) call(ctx context.Context, rq request, into any, accepted ...int) (sent time.Duration, err error) {
	resp, sent, err := c.send(ctx, rq)
	if err != nil {
		return sent, err
	}
	body, err := read(resp)
	if err != nil {
		return sent, err
	}
	for _, code := range accepted {
		if resp.StatusCode == code && json.Unmarshal(body, into) == nil && !isFailure(body) {
			return sent, nil
		}
	}
	return sent, failureOf(resp.StatusCode, body)
}

// read reads and closes a body.
func read(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, &NoAnswerError{err}
	case len(body) > maxBody:
		return nil, &NoAnswerError{fmt.Errorf("its answer is longer than %d bytes", maxBody)}
	}
	return body, nil
}

// failure is the body of an error.
type failure struct {
	Error  string `json:"error"`
	Hint   string `json:"hint"`
	Leader Leader `json:"leader"`
}

// isFailure: a 503 has a state or an error.
func isFailure(body []byte) bool {
	var f failure
	return json.Unmarshal(body, &f) == nil && f.Error != ""
}

func failureOf(code int, body []byte) error {
	var f failure
	if json.Unmarshal(body, &f) != nil || f.Error == "" {
		return &StatusError{Code: code, Message: "unexpected answer " + strconv.Itoa(code), Hint: "is that the address of an elector?"}
	}
	return &StatusError{Code: code, Message: f.Error, Hint: f.Hint, Leader: f.Leader}
}
