// Package config turns flags, environment and file into one checked Config.
//
// A setting is declared once, as a row of the table in settings.go. From its name follow the flag
// (--some-name), the environment variable (ELECTOR_SOME_NAME) and the key in the YAML file (some-name);
// the row also holds its default and its line of help. For each setting the first of these that is
// present decides, and an empty text counts as present:
//
//  1. the flag,
//  2. ELECTOR_*,
//  3. ETCDCTL_*, for the settings that etcdctl has too (here an empty text counts as absent, as it
//     does for etcdctl),
//  4. the file named by --config,
//  5. the default.
//
// A value that a higher source hides is not even parsed. Everything that is wrong is reported at once,
// one sentence for each mistake. Nothing in the environment stops the start by its name alone, because
// Kubernetes puts ELECTOR_PORT and its like there for a Service named elector.
//
// Passwords never come from a flag, which every process of the host can read, nor from this file,
// which tends to be in version control: they come from a file of their own or from etcdctl's variables.
package config
