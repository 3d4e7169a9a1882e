// Package cli is the elector command: it reads the settings, builds the daemon's parts, and joins them.
//
// Exit status: 0 when the daemon was asked to stop and did, 1 when something failed, 2 when a setting
// or the command line is wrong, in which case each mistake is one line on standard error and nothing
// was started.
//
// The daemon stops in this order: the elector answers no, joins its work, lets promises run out and
// gives its key up; only then do the listeners close, so that whoever polls is told no meanwhile.
package cli
