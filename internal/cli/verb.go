package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/elector-dev/elector/internal/client"
	"github.com/elector-dev/elector/internal/config"
)

// The exit statuses of the verbs, beside exitClean (yes, or done) and exitUsage.
const (
	exitNo       = 1
	exitNoAnswer = 3
	exitTimedOut = 4
)

// defaultAddr is where an elector listens if the environment says nothing else.
const defaultAddr = "127.0.0.1:4040"

// statusError has the command end with a status. Its text is told; empty text tells nothing.
type statusError struct {
	status int
	text   string
}

func (e statusError) Error() string { return e.text }

// no is the answer no, which needs no words.
var no = statusError{status: exitNo}

// verb is a command that asks an elector over HTTP.
type verb struct {
	*cobra.Command
	addr      string
	tokenFile string
	timeout   time.Duration
	env       map[string]string
}

// newVerb makes a command with the flags that all verbs have. patience is the default of --timeout; 0: for
// ever.
func newVerb(env []string, use, short, long string, patience time.Duration) *verb {
	v := &verb{Command: &cobra.Command{Use: use, Short: short, Long: long, Args: noArguments}, env: environment(env)}
	v.Flags().StringVar(&v.addr, "addr", v.or("ELECTOR_ADDR", cmp.Or(config.Reached(v.env["ELECTOR_HTTP"]), defaultAddr)),
		"address of the elector: host:port, http://host:port or unix:/path (ELECTOR_ADDR, else that of ELECTOR_HTTP)")
	v.Flags().StringVar(&v.tokenFile, "http-token-file", v.env["ELECTOR_HTTP_TOKEN_FILE"], "file with the bearer token that changes need (ELECTOR_HTTP_TOKEN_FILE)")
	v.Flags().DurationVar(&v.timeout, "timeout", patience, "how long to try; 0: for ever")
	v.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: %s -h lists the flags", err, cmd.CommandPath())}
	})
	v.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), verbHelp(cmd)) })
	return v
}

func environment(env []string) map[string]string {
	vars := make(map[string]string, len(env))
	for _, kv := range env {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

func (v *verb) or(name, otherwise string) string {
	if text := v.env[name]; text != "" {
		return text
	}
	return otherwise
}

// does sets what the verb does: f asks c until ctx ends, by --timeout or by a signal.
func (v *verb) does(f func(ctx context.Context, c *client.Client) error) *verb {
	v.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := v.client()
		if err != nil {
			return err
		}
		defer c.Close()
		ctx := cmd.Context()
		if v.timeout < 0 {
			return usageError{fmt.Errorf("--timeout %v is below 0s: set a time, or 0s for ever", v.timeout)}
		}
		if v.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, v.timeout)
			defer cancel()
		}
		return judge(f(ctx, c))
	}
	return v
}

// patience is what of --timeout an elector may use to wait; it takes ten minutes at most.
func (v *verb) patience() time.Duration {
	if v.timeout == 0 {
		return 10 * time.Minute
	}
	return min(10*time.Minute, v.timeout*9/10)
}

func (v *verb) client() (*client.Client, error) {
	var options []client.Option
	if v.tokenFile != "" {
		b, err := os.ReadFile(v.tokenFile)
		if err != nil {
			return nil, usageError{fmt.Errorf("--http-token-file: %w", err)}
		}
		options = append(options, client.WithBearer(strings.TrimRight(string(b), "\r\n")))
	}
	c, err := client.New(v.addr, options...)
	if err != nil {
		return nil, usageError{fmt.Errorf("--addr %w", err)}
	}
	return c, nil
}

// judge turns the client's errors into exit statuses.
func judge(err error) error {
	var silent *client.NoAnswerError
	var refused *client.StatusError
	switch {
	case errors.As(err, &silent) && errors.Is(err, context.DeadlineExceeded):
		return statusError{exitTimedOut, "no answer in time: is the elector running, and is --addr right?"}
	case errors.As(err, &silent):
		return statusError{exitNoAnswer, silent.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return statusError{exitTimedOut, "it has not come about in time"}
	case errors.As(err, &refused):
		return statusError{exitNo, refused.Error()}
	}
	return err
}

// output writes what a verb has found in the form that was asked for.
type output struct {
	form  string
	forms []string
}

// outputFlag adds -o to a verb. The first form is the default.
func (v *verb) outputFlag(forms ...string) *output {
	o := &output{form: forms[0], forms: forms}
	v.Flags().VarP(o, "output", "o", "form of the output: "+strings.Join(forms, ", "))
	_ = v.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	return o
}

// Set implements pflag.Value.
func (o *output) Set(s string) error {
	for _, form := range o.forms {
		if s == form {
			o.form = s
			return nil
		}
	}
	return fmt.Errorf("write %s", strings.Join(o.forms, " or "))
}

// String implements pflag.Value.
func (o *output) String() string { return o.form }

// Type implements pflag.Value.
func (o *output) Type() string { return "FORM" }

// verbHelp is what -h prints for a verb.
func verbHelp(cmd *cobra.Command) string {
	return cmd.Long + "\n\nUsage:\n  " + cmd.UseLine() + "\n\nFlags:\n" + cmd.LocalFlags().FlagUsages() + `
Exit status: 0 yes or done, 1 no, 2 usage, 3 no answer, 4 timed out.
`
}

// colours reports whether a stream is a terminal that wants them.
func (v *verb) colours(w io.Writer) bool {
	return v.env["NO_COLOR"] == "" && v.env["TERM"] != "dumb" && onTerminal(w)
}

func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isTerminal(f)
}
