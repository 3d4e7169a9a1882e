package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/elector-dev/elector/internal/client"
)

// The patience of verbs that ask once, and of probes, which the kubelet gives one second by default.
const (
	askPatience   = 10 * time.Second
	probePatience = 900 * time.Millisecond
)

// pollWait is how long one request of a verb that waits may wait at the elector.
const pollWait = time.Minute

func statusCommand(env []string) *cobra.Command {
	v := newVerb(env, "status", "show all that the elector knows",
		"status shows all that an elector knows. With -o name it prints who leads, and nothing (exit status 1) when that is\nnot known; with -o json what it prints is not for acting on: what leads asks /leader itself.", askPatience)
	out := v.outputFlag("table", "json", "name")
	return v.does(func(ctx context.Context, c *client.Client) error {
		s, err := c.Status(ctx, client.Ask{})
		if err != nil {
			return err
		}
		w := v.OutOrStdout()
		switch out.form {
		case "json":
			return asJSON(w, s)
		case "name":
			if s.Leader.Identity == "" {
				return no
			}
			fmt.Fprintln(w, plain(s.Leader.Identity))
			return nil
		}
		return showStatus(w, s, v.colours(w))
	}).Command
}

func leaderCommand(env []string) *cobra.Command {
	v := newVerb(env, "leader", "is this elector the leader?",
		"leader asks whether the elector leads, by its exit status: for exec probes in an image without a shell. It\nis promised nothing; with -o json it prints the answer, whose yes is a promise.", probePatience)
	out := v.outputFlag("none", "json")
	return v.does(func(ctx context.Context, c *client.Client) error {
		if out.form == "none" {
			return v.probe(ctx, c, "/leader")
		}
		s, err := c.Leader(ctx, client.Ask{})
		if err != nil {
			return err
		}
		if err := asJSON(v.OutOrStdout(), s); err != nil || s.Leading {
			return err
		}
		return no
	}).Command
}

func (v *verb) probe(ctx context.Context, c *client.Client, path string) error {
	yes, err := c.Probe(ctx, path)
	if err == nil && !yes {
		return no
	}
	return err
}

// roles are what check can ask for, and the route that knows.
var roles = map[string]string{"leader": "/leader", "follower": "/follower", "any": "/read-only", "health": "/health", "live": "/livez", "ready": "/readyz"}

// roleNames has them in the order of the help.
var roleNames = []string{"leader", "follower", "any", "health", "live", "ready"}

func probeCommand(env []string) *cobra.Command {
	v := newVerb(env, "check", "has this elector a role?",
		"check asks for a role of the elector by its exit status, for exec probes: leader, follower, any of the two, health\n(runs and is in contact with etcd), live and ready (as /livez and /readyz). With --file it reads a status file or a\nleader file instead: 0 only while that says yes and has not expired on this host's boot clock.", probePatience)
	role := v.Flags().String("role", "", "leader, follower, any, health, live or ready")
	file := v.Flags().String("file", "", "status file or leader file to read instead of asking")
	_ = v.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(roleNames, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	asks := v.does(func(ctx context.Context, c *client.Client) error { return v.probe(ctx, c, roles[*role]) }).RunE
	v.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case *file != "" && (*role == "" || *role == "leader"):
			return checkFile(*file)
		case *file != "":
			return usageError{errors.New("--file tells who leads and no other role: leave --role out")}
		case roles[*role] == "":
			return usageError{fmt.Errorf("--role %q is no role: write leader, follower, any, health, live or ready", *role)}
		}
		return asks(cmd, args)
	}
	return v.Command
}

func waitCommand(env []string) *cobra.Command {
	v := newVerb(env, "wait", "wait until this elector leads",
		"wait ends as soon as the elector leads (--leader, the default), stands in the queue without leading (--follower), or\nis in another state than now (--change). It waits at the elector, asks again when that does not answer, and prints nothing.", 0)
	leader := v.Flags().Bool("leader", false, "until it leads (the default)")
	follower := v.Flags().Bool("follower", false, "until it stands in the queue, in contact with etcd, and does not lead")
	change := v.Flags().Bool("change", false, "until its state is another one")
	asks := v.does(func(ctx context.Context, c *client.Client) error {
		enough := func(s, _ *client.Status) bool { return s.Certain() > 0 }
		switch {
		case *follower:
			enough = func(s, _ *client.Status) bool { return s.State == "follower" && s.Connected }
		case *change:
			enough = func(s, first *client.Status) bool { return s.Position() != first.Position() }
		}
		return await(ctx, c, enough)
	}).RunE
	v.RunE = func(cmd *cobra.Command, args []string) error {
		if *leader && *follower || *leader && *change || *follower && *change {
			return usageError{errors.New("wait waits for one thing: give one of --leader, --follower and --change")}
		}
		return asks(cmd, args)
	}
	return v.Command
}

// await polls the states until one is enough. What does not answer is asked again, for as long as ctx lasts.
func await(ctx context.Context, c *client.Client, enough func(s, first *client.Status) bool) error {
	var first *client.Status
	var ask client.Ask
	for pause := 100 * time.Millisecond; ; {
		s, err := c.Status(ctx, ask)
		var refused *client.StatusError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &refused) && refused.Code < 500:
			return err
		case err == nil:
			if first == nil {
				first = s
			}
			if enough(s, first) {
				return nil
			}
			ask, pause = client.Ask{Wait: pollWait, After: s.Position()}, 100*time.Millisecond
			continue
		}
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
		}
		pause, ask = min(2*pause, time.Second), client.Ask{}
	}
}

func watchCommand(env []string) *cobra.Command {
	v := newVerb(env, "watch", "print every state as it comes",
		"watch prints a line for every state of the elector, the current one first, until it is interrupted. When the elector\ndoes not answer it says so and tries again.", 0)
	out := v.outputFlag("table", "json")
	return v.does(func(ctx context.Context, c *client.Client) error {
		w, told := v.OutOrStdout(), ""
		for s, err := range c.Events(ctx, false) {
			switch {
			case err != nil:
				if text := err.Error(); text != told && ctx.Err() == nil {
					fmt.Fprintf(v.ErrOrStderr(), "elector: %s\n", plain(text))
					told = text
				}
				continue
			case out.form == "json":
				err = asJSON(w, s)
			default:
				_, err = fmt.Fprintln(w, line(s, v.colours(w)))
			}
			if told = ""; err != nil {
				return err
			}
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ctx.Err()
		}
		return nil
	}).Command
}

func candidatesCommand(env []string) *cobra.Command {
	v := newVerb(env, "candidates", "show the queue", "candidates shows who stands in the election, in the order in which they would lead.", askPatience)
	out := v.outputFlag("table", "json")
	return v.does(func(ctx context.Context, c *client.Client) error {
		q, err := c.Candidates(ctx)
		switch {
		case err != nil:
			return err
		case out.form == "json":
			return asJSON(v.OutOrStdout(), q)
		}
		return showQueue(v.OutOrStdout(), q)
	}).Command
}

func historyCommand(env []string) *cobra.Command {
	v := newVerb(env, "history", "show the latest terms", "history shows the latest terms that the elector has seen, the newest first.", askPatience)
	out := v.outputFlag("table", "json")
	return v.does(func(ctx context.Context, c *client.Client) error {
		h, err := c.History(ctx)
		switch {
		case err != nil:
			return err
		case out.form == "json":
			return asJSON(v.OutOrStdout(), h)
		}
		return showHistory(v.OutOrStdout(), h)
	}).Command
}
