package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/elector-dev/elector/internal/boottime"
	"github.com/elector-dev/elector/internal/client"
)

// orderPatience is how long a verb that changes something may take: promises run out first.
const orderPatience = 30 * time.Second

func resignCommand(env []string) *cobra.Command {
	v := newVerb(env, "resign", "give the lead up",
		"resign has the elector give the lead up, once the promises that it has made have run out. With --token, that of its\nterm, you say that whoever acted on them has stopped, and they are not waited for.", orderPatience)
	cooldown := v.Flags().Duration("cooldown", 0, "do not campaign again for so long")
	token := v.Flags().Int64("token", 0, "the token of the term; says that its work has stopped")
	return v.does(func(ctx context.Context, c *client.Client) error {
		r, err := c.Resign(ctx, *token, *cooldown)
		if err != nil {
			return err
		}
		if !r.Released {
			return statusError{exitTimedOut, "the elector leads no longer, and is still giving its key up"}
		}
		return nil
	}).Command
}

func transferCommand(env []string) *cobra.Command {
	v := newVerb(env, "transfer IDENTITY", "pass the lead on to another candidate",
		"transfer has the leading elector pass the lead on to another candidate, wherever that stands in the queue, once work has\nended and promises have run out. Those who stood before it come back behind it. Exit status 1 if somebody else leads in\nthe end, since the other had gone.", orderPatience)
	v.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usageError{errors.New("transfer needs to be told to whom: write elector transfer IDENTITY; elector candidates lists them")}
		}
		return nil
	}
	token := v.Flags().Int64("token", 0, "the token of the term; says that its work has stopped")
	v.does(func(ctx context.Context, c *client.Client) error {
		t, err := c.Transfer(ctx, v.Flags().Arg(0), *token, v.patience())
		switch {
		case err != nil:
			return err
		case t.Transferred:
			return nil
		case t.Leader.Identity == "" && t.Leader.Token == 0:
			return statusError{exitTimedOut, "the elector leads no longer, and nobody was seen to lead yet"}
		}
		return statusError{exitNo, fmt.Sprintf("%q leads: the candidate had gone when the lead was passed on", t.Leader.Identity)}
	})
	return v.Command
}

func drainCommand(env []string) *cobra.Command {
	v := newVerb(env, "drain", "stay out of the election",
		"drain has the elector give up the lead, if it has it, and campaign no more until elector undrain; with --state-dir, also\nafter a restart.", orderPatience)
	reason := v.Flags().String("reason", "", "why, for those who look at the elector's state")
	return v.does(func(ctx context.Context, c *client.Client) error {
		d, err := c.Drain(ctx, *reason)
		if err != nil {
			return err
		}
		if !d.Released {
			return statusError{exitTimedOut, "the elector is drained, and is still giving its key up"}
		}
		return nil
	}).Command
}

func undrainCommand(env []string) *cobra.Command {
	v := newVerb(env, "undrain", "come back into the election", "undrain lets a drained elector campaign again.", orderPatience)
	return v.does(func(ctx context.Context, c *client.Client) error { return c.Undrain(ctx) }).Command
}

func unfenceCommand(env []string) *cobra.Command {
	v := newVerb(env, "unfence", "go on with an etcd that went back in time",
		"unfence lifts the fence of an elector that has seen etcd go back in time, as after a restore from a snapshot. Read its\nlog first: where tokens have repeated, whoever stores the work's effects has to forget the greatest it has seen.", orderPatience)
	return v.does(func(ctx context.Context, c *client.Client) error { return c.Unfence(ctx) }).Command
}

func valueCommand(env []string) *cobra.Command {
	group := &cobra.Command{
		Use: "value", Short: "get or set what the leader shares with the fleet", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("value needs to be told what to do: write elector value get or elector value set TEXT")}
		},
	}
	group.AddCommand(valueGetCommand(env), valueSetCommand(env))
	return group
}

func valueGetCommand(env []string) *cobra.Command {
	v := newVerb(env, "get", "print the shared value", "value get prints what the leader shares, byte for byte, but on a terminal without what that would obey; exit status 1\nwhen there is nothing.", askPatience)
	return v.does(func(ctx context.Context, c *client.Client) error {
		value, err := c.Value(ctx)
		switch {
		case errors.Is(err, client.ErrNoValue):
			return no
		case err != nil:
			return err
		}
		w, text := v.OutOrStdout(), value.Bytes
		if onTerminal(w) {
			text = lines(text)
		}
		if _, err := w.Write(text); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
		return nil
	}).Command
}

func valueSetCommand(env []string) *cobra.Command {
	v := newVerb(env, "set TEXT|-", "share a value",
		"value set has the elector, which must lead, share a text with the fleet until its term ends; - reads it from standard\ninput. Without --token it is published in whichever term is under way.", askPatience)
	token := v.Flags().Int64("token", 0, "publish in the term with this token only")
	kind := v.Flags().String("content-type", "text/plain; charset=utf-8", "what the value is")
	var text string
	v.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{errors.New("value set takes one text: write elector value set TEXT, or - for standard input")}
		}
		text = args[0]
		return nil
	}
	return v.does(func(ctx context.Context, c *client.Client) error {
		value := client.Value{Bytes: []byte(text), ContentType: *kind, Token: *token}
		if text == "-" {
			var err error
			if value.Bytes, err = io.ReadAll(io.LimitReader(v.InOrStdin(), 1<<20)); err != nil {
				return fmt.Errorf("read standard input: %w", err)
			}
		}
		if value.Token == 0 {
			s, err := c.Status(ctx, client.Ask{Max: time.Millisecond})
			switch {
			case err != nil:
				return err
			case !s.Leading && s.Leader.Identity != "":
				return statusError{exitNo, fmt.Sprintf("this elector does not lead; %q does: ask that one's elector", plain(s.Leader.Identity))}
			case !s.Leading:
				return statusError{exitNo, "this elector does not lead"}
			}
			value.Token = s.Token
		}
		_, err := c.PutValue(ctx, value)
		return err
	}).Command
}

// checkFile reads a file that an elector keeps and reports, as an error, that it does not say yes now. An
// elector that was killed cannot remove its file, so it is worth what its expiry says; and nothing after a restart
// of the host, when the boot clock begins anew.
func checkFile(path string) error {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return no
	case err != nil:
		return statusError{exitNoAnswer, err.Error()}
	}
	var told struct {
		Leading   *bool  `json:"leading"` // a leader file has none: it is there while the elector leads
		Token     int64  `json:"token"`
		ExpiresIn int64  `json:"expires_in_ms"` // in a status file
		Expires   int64  `json:"expires_boottime_ms"`
		BootID    string `json:"boot_id"` // in a leader file
	}
	if err := json.Unmarshal(b, &told); err != nil {
		return statusError{exitNoAnswer, fmt.Sprintf("%s is no file of elector: %v", path, err)}
	}
	now := boottime.Now()
	var ours bool // whether the expiry is of this boot
	if told.Leading == nil {
		ours = told.BootID != "" && told.BootID == boottime.BootID()
	} else {
		ours = *told.Leading && now >= millis(told.Expires-told.ExpiresIn-1) // else it was written later than now
	}
	if !ours || told.Token <= 0 || now >= millis(told.Expires) {
		return no
	}
	return nil
}
