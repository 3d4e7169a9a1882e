package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// goesOn is the exit status of who does not exit.
const goesOn = -1

// mistake is a misconfiguration: what an elector is given, and what it must say to that, in the words of
// docs/etcd-access.md. "…" stands for the settings that get it in, without those that follow.
type mistake struct {
	what, given, says string
	exit              int
}

// mistakes are those at the start.
var mistakes = []mistake{
	{"no endpoint", `--etcd-endpoints ,`, `--etcd-endpoints "" is not an endpoint of etcd: write http://host:port, https://host:port, host:port or unix:///path`, 2},
	{"an endpoint that is none", `--etcd-endpoints ftp://tls`, `--etcd-endpoints "ftp://tls" is not an endpoint of etcd: write http://host:port, https://host:port, host:port or unix:///path`, 2},
	{"half a pair", `… without --etcd-key`, `--etcd-cert "/run/secrets/tls.crt" is set and --etcd-key is "": set both or neither`, 2},
	{"no such certificate", `… --etcd-cert /run/secrets/missing`, `--etcd-cert "/run/secrets/missing" cannot be read: no such file or directory: put it there, or name another`, 2},
	{"an unreadable key", `… --etcd-key /run/secrets/empty`, `--etcd-cert "/run/secrets/tls.crt" and --etcd-key "/run/secrets/empty" are not a pair: put in a certificate and the key that it was made for, in PEM form (tls: failed to find any PEM data in key input)`, 2},
	{"a key of another certificate", `… --etcd-key /run/secrets/foreign.key`, `--etcd-cert "/run/secrets/tls.crt" and --etcd-key "/run/secrets/foreign.key" are not a pair: put in a certificate and the key that it was made for, in PEM form (tls: private key does not match public key)`, 2},
	{"a certificate that has ended", `… --etcd-cert /run/secrets/ended.crt --etcd-key /run/secrets/ended.key`, `--etcd-cert "/run/secrets/ended.crt" has ended at TIME: renew it`, 2},
	{"a certificate that is yet to begin", `… --etcd-cert /run/secrets/early.crt --etcd-key /run/secrets/early.key`, `--etcd-cert "/run/secrets/early.crt" is not valid before TIME, and it is TIME: wait, or set this host's clock`, 2},
	{"no such authority", `… --etcd-cacert /run/secrets/missing`, `--etcd-cacert "/run/secrets/missing" cannot be read: no such file or directory: put it there, or name another`, 2},
	{"an authority without a certificate", `… --etcd-cacert /run/secrets/empty`, `--etcd-cacert "/run/secrets/empty" holds no certificate in PEM form: put the authority that signs the members' certificates into it`, 2},
	{"a user without a password", `… without --etcd-password-file`, `--etcd-user "worker" has no password: set --etcd-password-file (or ETCDCTL_PASSWORD), or remove the user`, 2},
	{"a password without a user", `… without --etcd-user`, `--etcd-password-file "/run/secrets/password" is set and --etcd-user is "": set both or neither`, 2},
	{"a password in the clear", `--etcd-endpoints http://plain --etcd-user worker --etcd-password-file /run/secrets/password`, `--etcd-endpoints "http://plain" is not encrypted and must not be used with --etcd-user "worker": write "https://plain", or remove the credentials`, 2},
	{"no such password file", `… --etcd-password-file /run/secrets/missing`, `--etcd-password-file "/run/secrets/missing" cannot be read: no such file or directory: put it there, or name another`, 2},
	{"an empty password file", `… --etcd-password-file /run/secrets/empty`, `--etcd-password-file "/run/secrets/empty" is empty: put the password of user "worker" into it`, 2},
	{"an unreadable password file", `… --etcd-password-file /run/secrets/directory`, `--etcd-password-file "/run/secrets/directory" cannot be read: is a directory: name a file in it`, 2},
	{"a password file on a disk that fails", `… --etcd-password-file /proc/self/mem`, `--etcd-password-file "/proc/self/mem" cannot be read: input/output error: look at its disk`, 1},

	{"an unknown authority", `… --etcd-cacert /run/secrets/foreign-ca.crt`, `the member's certificate is of an authority that is not in --etcd-cacert: put the one that signs the members' certificates into it`, goesOn},
	{"no authority, and the system does not know it", `… without --etcd-cacert`, `the member's certificate is of an authority that is not in --etcd-cacert: put the one that signs the members' certificates into it`, goesOn},
	{"a wrong server name", `… --etcd-endpoints https://other`, `the member's certificate is for other names than the endpoint's: use one of its names in --etcd-endpoints, or have the certificate name the endpoint (x509: certificate is valid for NAMES, not 127.0.0.2)`, goesOn},
	{"a member whose certificate has ended", `… --etcd-endpoints https://old`, `the member's certificate has ended, or is not valid yet: renew it there, or set this host's clock (x509: certificate has expired or is not yet valid: current time TIME is after TIME)`, goesOn},
	{"no client certificate", `… without --etcd-cert --etcd-key`, `the member wants a client certificate: set --etcd-cert and --etcd-key (tls: certificate required)`, goesOn},
	{"a client certificate of another authority", `… --etcd-cert /run/secrets/foreign.crt --etcd-key /run/secrets/foreign.key`, `the member does not accept the client's certificate: check --etcd-cert and --etcd-key, and that the members trust the authority which signed it (tls: unknown certificate authority)`, goesOn},
	{"http:// to a member that speaks TLS", `--etcd-endpoints http://tls`, `the member closed the connection, as it does when it speaks TLS: use https:// in --etcd-endpoints`, goesOn},
	{"https:// to one that does not", `… --etcd-endpoints https://plain`, `the endpoint does not speak TLS: use http:// in --etcd-endpoints, or turn TLS on in etcd`, goesOn},
	{"no user", `--etcd-endpoints http://plain`, `etcd wants a user: set --etcd-user and --etcd-password-file`, goesOn},
	{"no user, and a certificate whose common name is none", `… without --etcd-user --etcd-password-file`, `user "elector" (the common name of the client certificate) lacks permission: its role needs readwrite on the keys under /elector/default/e2e/ (etcdctl role grant-permission ROLE readwrite --prefix=true /elector/default/e2e/)`, goesOn},
	{"a wrong user", `… --etcd-user nobody`, `user "nobody" or its password is wrong: check --etcd-user and --etcd-password-file`, goesOn},
	{"a wrong password", `… --etcd-password-file /run/secrets/wrong`, `user "worker" or its password is wrong: check --etcd-user and --etcd-password-file`, goesOn},
	{"no permission", `… --prefix /elsewhere`, `user "worker" lacks permission: its role needs readwrite on the keys under /elsewhere/default/e2e/ (etcdctl role grant-permission ROLE readwrite --prefix=true /elsewhere/default/e2e/)`, goesOn},
}

// letIn is what gets an elector in.
const letIn = `--etcd-endpoints https://tls --etcd-cacert /run/secrets/ca.crt --etcd-cert /run/secrets/tls.crt --etcd-key /run/secrets/tls.key --etcd-user worker --etcd-password-file /run/secrets/password`

// settings are the arguments that the document's words stand for.
func settings(given string) []string {
	rest, ok := strings.CutPrefix(given, "…")
	if !ok {
		return strings.Fields(given)
	}
	rest, without := strings.CutPrefix(rest, " without")
	var args []string
	words := strings.Fields(letIn)
	for i := 0; i < len(words); i += 2 {
		if !strings.Contains(rest+" ", " "+words[i]+" ") {
			args = append(args, words[i:i+2]...)
		}
	}
	if !without {
		args = append(args, strings.Fields(rest)...)
	}
	return args
}

// ends runs the command to its end.
func (g *ground) ends(args []string) (said string, exit int) {
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"serve", "--election", "e2e", "--id", "w1", "--http", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), asElector+"=1", "GORACE=atexit_sleep_ms=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run()
	return g.inWords(strings.TrimPrefix(stderr.String(), "elector: ")), cmd.ProcessState.ExitCode()
}

func TestEachMisconfigurationIsToldInOneSentence(t *testing.T) {
	g := newGround(t)
	rows := [][]string{{"what is wrong", "settings", "what is said", "exit status"}}
	for _, m := range mistakes {
		exit := fmt.Sprint(m.exit)
		if m.exit == goesOn {
			exit = "goes on"
		}
		rows = append(rows, []string{m.what, "`" + m.given + "`", "`" + m.says + "`", exit})
		t.Run(m.what, func(t *testing.T) {
			args := g.real(settings(m.given))
			if m.exit != goesOn {
				if said, exit := g.ends(args); said != m.says || exit != m.exit {
					t.Errorf("exit status %d, %s", exit, said)
				}
				return
			}
			p := (&etcd{}).start(t, "w1", args...)
			g.refuses(p, m.says)
			if a := p.get("/livez"); a.code != http.StatusOK {
				t.Errorf("/livez is %d while etcd refuses", a.code)
			}
			must(t, p.Terminate())
			if exit := p.awaitExit(); exit != 0 {
				t.Errorf("exit status %d after SIGTERM", exit)
			}
		})
	}
	inDocument(t, "misconfigurations", rows)
}

// refuses waits until an elector says why it is refused, wherever it is to say so.
func (g *ground) refuses(p *process, says string) {
	p.t.Helper()
	told := func(refusal string) bool { return refusal != "" && g.sentence(refusal) == says }
	a := p.await("telling "+says, "/status", func(a answer) bool { return told(a.Refusal) })
	if log := p.logged(); !strings.Contains(unquoted(log), a.Refusal) {
		p.t.Errorf("the log does not say %s:\n%s", a.Refusal, log)
	}
	for _, path := range []string{"/leader", "/replica"} {
		if b := p.get(path); b.Seq == a.Seq && b.Refusal != a.Refusal {
			p.t.Errorf("%s says %q", path, b.Refusal)
		}
	}
	p.await("telling it to who asks for contact", "/readyz?contact=required", func(a answer) bool {
		return told(a.Refusal) || a.code != http.StatusOK && told(a.Hint)
	})
}
