package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/work"
)

// The exit statuses.
const (
	exitClean   = 0
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a mistake in the settings or on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Run runs the elector command and returns its exit status. args are the arguments without the
// program's name, env is as os.Environ returns it. The daemon runs until ctx ends and has then wound
// up; nothing it started is left. Run touches no state of the process, so it may run several times,
// concurrently too.
func Run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return RunConfined(ctx, func() error { return nil }, args, env, stdin, stdout, stderr)
}

// RunConfined is Run for a process that is the elector's own. Before the daemon reads a secret it calls confine, which
// takes from the process, and from the commands that it starts, what none of them needs; with commands that may need it,
// confine is called only if the settings say so.
func RunConfined(ctx context.Context, confine func() error, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 2 && args[0] == guardVerb { // before all else, so that it stays small
		if err := work.Guard(stdin, args[1]); err != nil {
			fmt.Fprintf(stderr, "elector: %v\n", err)
			return exitUsage
		}
		return exitClean
	}
	root := newRoot(env, confine)
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var mistakes *config.Error
	var answer statusError
	switch {
	case err == nil:
		return exitClean
	case errors.As(err, &answer):
		if answer.text != "" {
			fmt.Fprintf(stderr, "elector: %s\n", answer.text)
		}
		return answer.status
	case errors.As(err, &mistakes):
		for _, m := range mistakes.Mistakes {
			fmt.Fprintf(stderr, "elector: %s\n", m)
		}
	default:
		fmt.Fprintf(stderr, "elector: %v\n", err)
	}
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailure
}

// newRoot builds the command and its subcommands.
func newRoot(env []string, confine func() error) *cobra.Command {
	root := daemonCommand("elector", env, confine)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), help()) })
	group := &cobra.Command{
		Use:  "config",
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("config needs to be told what to do: write elector config check")}
		},
	}
	group.AddCommand(checkCommand(env))
	root.AddCommand(daemonCommand("serve", env, confine), runCommand(env, confine), roleCommand(env), group, &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  noArguments,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintf(cmd.OutOrStdout(), "elector %s\n", Version()) },
	})
	root.AddCommand(
		statusCommand(env), waitCommand(env), watchCommand(env), leaderCommand(env), probeCommand(env),
		candidatesCommand(env), historyCommand(env), resignCommand(env), transferCommand(env), drainCommand(env), undrainCommand(env), valueCommand(env), unfenceCommand(env), completionCommand(root))
	return root
}

// completionCommand prints what makes a shell complete elector's command line.
func completionCommand(root *cobra.Command) *cobra.Command {
	write := map[string]func(io.Writer) error{
		"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":  root.GenZshCompletion,
		"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	}
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "print a shell's completion of this command line", ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || write[args[0]] == nil {
				return usageError{errors.New("completion needs a shell: write elector completion bash, zsh or fish")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return write[args[0]](cmd.OutOrStdout()) },
	}
}

// daemonCommand is the daemon, under a name.
func daemonCommand(name string, env []string, confine func() error) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: "take part in an election", Args: noArguments}
	flags := config.Register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, warnings, err := flags.Load(env)
		if err != nil {
			tell(cmd, warnings)
			return usageError{err}
		}
		_, err = serve(cmd.Context(), cfg, warnings, source{flags, env, confine}, cmd.ErrOrStderr(), nil)
		return err
	}
	return cmd
}

// runCommand is the daemon with a command that runs only while it leads.
func runCommand(env []string, confine func() error) *cobra.Command {
	cmd := &cobra.Command{Use: "run", Short: "run a command while this elector leads", DisableFlagsInUseLine: true}
	flags := config.Register(cmd.Flags())
	var argv []string
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		dash := cmd.ArgsLenAtDash()
		switch {
		case dash > 0 || dash < 0 && len(args) > 0:
			return usageError{fmt.Errorf("%q stands before the command: write elector run [settings] -- COMMAND [arguments]", args[0])}
		case len(args) == 0:
			return usageError{errors.New("run has no command: write elector run [settings] -- COMMAND [arguments]")}
		}
		argv = args
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, warnings, err := flags.Load(env)
		if err != nil {
			tell(cmd, warnings)
			return usageError{err}
		}
		return runCommandOf(cmd.Context(), cfg, warnings, source{flags, env, confine}, argv, streams{cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()})
	}
	return cmd
}

// checkCommand checks what the daemon would check before it starts, the named files included.
func checkCommand(env []string) *cobra.Command {
	cmd := &cobra.Command{Use: "check", Args: noArguments}
	flags := config.Register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, warnings, err := flags.Load(env)
		tell(cmd, warnings)
		if err != nil {
			return usageError{err}
		}
		if _, err := newDaemon(cfg, memory{incarnation: newIncarnation()}, false, env, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		if err := checkMemory(cfg); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "the settings are good: %q would take part in %s, with keys under %s/%s/ in etcd\n",
			cfg.ID, cfg.Path(), cfg.Prefix, cfg.Path())
		return nil
	}
	return cmd
}

// tell writes warnings for a command that does not get as far as having a log.
func tell(cmd *cobra.Command, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "elector: warning: %s\n", w)
	}
}

// noArguments refuses words that are neither commands nor flags.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // letters that may differ
	remedy := "elector -h lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		remedy = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), near[0])
	}
	return usageError{fmt.Errorf("%q is not a command: %s", args[0], remedy)}
}

// flagError turns the flag library's errors into sentences with the remedy.
func flagError(_ *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		remedy := "elector -h lists all settings"
		if near := config.Suggest(unknown.GetSpecifiedName()); near != "" {
			remedy = fmt.Sprintf("did you mean --%s?", near)
		}
		err = fmt.Errorf("--%s is not a setting: %s", unknown.GetSpecifiedName(), remedy)
	case errors.As(err, &unknown):
		err = fmt.Errorf("-%s is not a setting: settings begin with two dashes, and elector -h lists them", unknown.GetSpecifiedShortnames())
	case errors.As(err, &bare):
		err = fmt.Errorf("--%s has no value: write --%[1]s=value", bare.GetSpecifiedName())
	}
	return usageError{err}
}

// help is what -h prints, for every command.
func help() string {
	return `elector takes part in an election that is held in etcd, and tells programs whether it leads,
for how long that is certain, and with which fencing token.

Usage:
  elector [serve] --election NAME [settings]        take part, until SIGTERM or SIGINT
  elector run --election NAME [settings] -- COMMAND [arguments]
                                                    run a command while this elector leads
  elector config check --election NAME [settings]   check the settings and the files they name, and no more
  elector etcd-role --election NAME [settings]      print how to make the role that they need in etcd

  elector status [-o table|json|name]               show what the elector on this host knows
  elector wait [--leader|--follower|--change]       wait until it leads
  elector watch                                     print every state as it comes
  elector leader                                    does it lead? exit status 0 or 1
  elector check --role=ROLE | --file=FILE           has it a role? exit status 0 or 1
  elector candidates                                show the queue
  elector history                                   show the latest terms
  elector resign [--cooldown DURATION]              give the lead up
  elector transfer IDENTITY                         pass the lead on to another candidate
  elector drain [--reason TEXT]                     stay out of the election
  elector undrain                                   come back into the election
  elector value get | set TEXT                      what the leader shares with the fleet
  elector unfence                                   go on with an etcd that went back in time

  elector completion bash|zsh|fish                  print a shell's completion
  elector version                                   print the version

Each of these tells more with -h. They ask the elector at --addr, or ELECTOR_ADDR, or where
ELECTOR_HTTP has it listen, or 127.0.0.1:4040.

` + config.Help() + `
Exit status: 0 after a clean stop, 1 after a failure, 2 if a setting or the command line is wrong; of the
commands that ask an elector: 0 yes or done, 1 no, 2 usage, 3 no answer, 4 timed out; of elector run: the
command's own, 125 if elector failed, 126 if the command cannot be executed, 127 if it is not found.
`
}
