package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/elector-dev/elector/internal/config"
	"github.com/elector-dev/elector/internal/etcdstore"
)

// roleCommand prints how to make the role that the settings need.
func roleCommand(env []string) *cobra.Command {
	cmd := &cobra.Command{Use: "etcd-role", Short: "print how to make the role that the settings need in etcd", Args: noArguments}
	flags := config.Register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, warnings, err := flags.Load(env)
		tell(cmd, warnings)
		if err != nil {
			return usageError{err}
		}
		need := etcdstore.AccessTo(cfg.Prefix, cfg.Namespace, cfg.Election)
		role, user := quoted("elector-"+cfg.Namespace+"-"+cfg.Election), quoted(cmp.Or(cfg.Etcd.User, "elector"))
		fmt.Fprintf(cmd.OutOrStdout(), `# What every elector of %[1]s needs, and no more: its keys and the shared value.
etcdctl role add %[2]s
etcdctl role grant-permission %[2]s readwrite --prefix=true %[3]s
etcdctl role grant-permission %[2]s readwrite %[4]s
# A user for it; etcdctl asks for the password that goes into --etcd-password-file. With client certificates the user
# is the certificate's common name, made with --no-password.
etcdctl user add %[5]s
etcdctl user grant-role %[5]s %[2]s
`, cfg.Path(), role, quoted(need.Prefix), quoted(need.Value), user)
		return nil
	}
	return cmd
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
