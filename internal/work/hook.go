package work

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/elector-dev/elector/internal/election"
	"github.com/elector-dev/elector/internal/process"
)

// Hook is a command or a URL that is told of something. Exactly one of the two is set.
//
// A command is told in its environment and gets the state as a line of JSON on its standard input; status 0 is
// success. What it leaves of its process group is killed. A URL gets a POST whose body is that line; any 2xx is success,
// and redirects are not followed.
type Hook struct {
	Argv []string // Argv[0] is the file to run
	URL  string
}

// The hooks, as commands, requests, logs and metrics name them.
const (
	hookBeforeLead    = "before-lead"
	hookOnLead        = "on-lead"
	hookBeforeRelease = "before-release"
	hookOnFollow      = "on-follow"
	hookOnChange      = "on-change"
)

// The results of a run.
const (
	ranOK        = "ok"
	ranFailed    = "failed"    // it said so, or could not be run or reached
	ranTimeout   = "timeout"   // it was cut short since it took too long
	ranCancelled = "cancelled" // it was cut short since what it was told of is over
)

// Why a run was cut short, besides its context's end.
var (
	errTimeout = errors.New("has not ended within its timeout")
	errWorkEnd = errors.New("has not ended before the work of the term must have")
)

// word is what a hook is told: which it is, and of what.
type word struct {
	hook  string
	token int64 // 0: there is no own term
	key   string
	phase election.Phase
	cause election.Cause
	now   election.Answer // promises nothing: it comes from Look
}

// say is tell for a hook whose failure has no consequence: it is logged.
func (h *Hooks) say(ctx context.Context, hook *Hook, w word) {
	if err := h.tell(ctx, hook, w); err != nil {
		h.cfg.Logger.Warn("a hook has failed", "hook", w.hook, "token", w.token, "err", err)
	}
}

// tell runs a hook to its end, to its timeout or to that of ctx. The caller has the turn. The error has the last line of
// what a command wrote.
func (h *Hooks) tell(ctx context.Context, hook *Hook, w word) error {
	if hook == nil {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.set.Load().Timeout, errTimeout)
	defer cancel()
	began, run := time.Now(), h.execute
	if hook.URL != "" {
		run = h.post
	}
	err := run(ctx, hook, w)
	result, took := resultOf(err, context.Cause(ctx)), time.Since(began)
	h.cfg.Ran(w.hook, result, took)
	switch {
	case result == ranCancelled:
		return fmt.Errorf("cut short: %w", err)
	case err == nil:
		h.cfg.Logger.Debug("a hook has run", "hook", w.hook, "token", w.token, "took", took.String())
	}
	return err
}

// resultOf is how a run ended that returned an error, when its context has ended for a cause, or has not.
func resultOf(err, cause error) string {
	switch {
	case err == nil:
		return ranOK
	case cause == nil || !errors.Is(err, cause):
		return ranFailed
	case errors.Is(cause, errTimeout), errors.Is(cause, errWorkEnd):
		return ranTimeout
	}
	return ranCancelled
}

// execute runs a command.
func (h *Hooks) execute(ctx context.Context, hook *Hook, w word) error {
	output, status, err := process.Run(ctx, process.Spec{
		Argv: hook.Argv, Env: h.environment(w), Stdin: bytes.NewReader(h.body(w)),
	})
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	if line := output[strings.LastIndexByte(output, '\n')+1:]; err != nil && line != "" {
		err = fmt.Errorf("%w: %s", err, line)
	}
	return err
}

// environment is what a command gets. Variables without a value are there, so that none is inherited.
func (h *Hooks) environment(w word) []string {
	token := ""
	if w.token != 0 {
		token = strconv.FormatInt(w.token, 10)
	}
	return append(append([]string(nil), h.cfg.Env...),
		"ELECTOR_HOOK="+w.hook,
		"ELECTOR_TERM_TOKEN="+token,
		"ELECTOR_TERM_KEY="+w.key,
		"ELECTOR_TERM_IDENTITY="+h.cfg.Identity,
		"ELECTOR_TERM_ELECTION="+h.cfg.Election,
		"ELECTOR_TERM_STATE="+string(w.phase),
		"ELECTOR_TERM_CAUSE="+string(w.cause))
}

// body is the state as a line: a shell's read takes one without its end for a failure.
func (h *Hooks) body(w word) []byte { return append(h.cfg.Encode(w.now), '\n') }

// post sends a request. The status line is the answer; what follows it is not read.
func (h *Hooks) post(ctx context.Context, hook *Hook, w word) error {
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(h.body(w)))
	if err != nil {
		return err
	}
	rq.Header.Set("Content-Type", "application/json")
	rq.Header.Set("Elector-Hook", w.hook)
	rs, err := h.client.Do(rq)
	switch cause := context.Cause(ctx); {
	case err != nil && cause != nil:
		return cause
	case err != nil:
		return err
	}
	_ = rs.Body.Close() // nothing of it is wanted
	if rs.StatusCode/100 != 2 {
		return fmt.Errorf("answered with status %d", rs.StatusCode)
	}
	return nil
}

// newHookClient follows no redirect, since a hook goes where it was sent or nowhere; asks no proxy of the environment,
// which is the worker's; and keeps no connection, as the next change may be weeks away.
func newHookClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
