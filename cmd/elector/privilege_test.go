package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/client"
	"github.com/elector-dev/elector/internal/devetcd"
)

// The keys of the election of these tests, and the role that elector etcd-role makes for it.
const (
	keys     = "/elector/default/e2e/"
	valueKey = "/elector/default/e2e#value"
	theRole  = "elector-default-e2e"
)

// least is a member with TLS and users, where electors come as one who may do what elector etcd-role prints, and no more.
type least struct {
	*etcd
	t    *testing.T
	args []string
}

func newLeast(t *testing.T) *least {
	one := startOne(t, devetcd.Options{TLS: true, Auth: &devetcd.Auth{User: "nobody", Prefix: "/nothing/"}})
	cfg, err := one.ClientConfig()
	must(t, err)
	root, err := clientv3.New(cfg)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	files, password := one.TLS(), filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(password, []byte("right\n"), 0o600))
	l := &least{etcd: &etcd{client: root}, t: t, args: []string{
		"--etcd-endpoints", one.Endpoints()[0], "--etcd-cacert", files.CACert, "--etcd-cert", files.ClientCert,
		"--etcd-key", files.ClientKey, "--etcd-user", "worker", "--etcd-password-file", password, "--ttl", "3s", "--answer-max", "300ms",
	}}
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"etcd-role", "--election", "e2e"}, l.args...)...)
	cmd.Env = append(os.Environ(), asElector+"=1", "GORACE=atexit_sleep_ms=0")
	printed, err := cmd.Output()
	must(t, err)
	done := 0
	for line := range strings.Lines(string(printed)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			l.etcdctl(strings.Fields(strings.ReplaceAll(line, "'", "")))
			done++
		}
	}
	if done != 5 {
		t.Fatalf("elector etcd-role prints %d commands:\n%s", done, printed)
	}
	return l
}

// etcdctl does what a printed command does.
func (l *least) etcdctl(words []string) {
	l.t.Helper()
	l.do(func(ctx context.Context) (err error) {
		switch c := l.client; {
		case len(words) == 4 && words[1] == "role" && words[2] == "add":
			_, err = c.RoleAdd(ctx, words[3])
		case len(words) == 7 && words[2] == "grant-permission" && words[5] == "--prefix=true":
			_, err = c.RoleGrantPermission(ctx, words[3], words[6], clientv3.GetPrefixRangeEnd(words[6]), kind(words[4]))
		case len(words) == 6 && words[2] == "grant-permission":
			_, err = c.RoleGrantPermission(ctx, words[3], words[5], "", kind(words[4]))
		case len(words) == 4 && words[1] == "user" && words[2] == "add":
			_, err = c.UserAdd(ctx, words[3], "right")
		case len(words) == 5 && words[2] == "grant-role":
			_, err = c.UserGrantRole(ctx, words[3], words[4])
		default:
			err = fmt.Errorf("no such command: %q", words)
		}
		return err
	})
}

func kind(name string) clientv3.PermissionType {
	return map[string]clientv3.PermissionType{
		"read": clientv3.PermissionType(clientv3.PermRead), "write": clientv3.PermissionType(clientv3.PermWrite),
		"readwrite": clientv3.PermissionType(clientv3.PermReadWrite),
	}[name]
}

// do has root do something.
func (l *least) do(what func(context.Context) error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	must(l.t, what(ctx))
}

func TestWholeProductWorksUnderThePrintedRole(t *testing.T) {
	l := newLeast(t)
	dir := t.TempDir()
	var fleet []*process
	for _, id := range []string{"w1", "w2", "w3"} {
		p := l.start(t, id, append(l.args, "--state-dir", filepath.Join(dir, id))...)
		p.await("standing", "/status", func(a answer) bool { return a.Registered && a.Leader.Identity != "" })
		fleet = append(fleet, p)
	}
	l.observe(t, fleet...)
	first, yes := leader(t, fleet...)
	_, err := first.ask().PutValue(t.Context(), client.Value{Bytes: []byte("here"), Token: yes.Token})
	must(t, err)
	for _, p := range fleet {
		p.shows("here")
	}
	first.standingWith("w3", yes.Token)
	first.does("transfer", "w3")
	third := fleet[2]
	next := third.await("leading", "/leader", leads)
	third.does("drain")
	second, _ := leader(t, fleet[:2]...)
	third.does("undrain")
	third.standingWith("w3", next.Token)
	second.does("resign")
	last, now := leader(t, others(fleet, second)...)
	h, err := last.ask().History(t.Context())
	must(t, err)
	if len(h.Terms) < 4 {
		t.Errorf("the history has %d terms", len(h.Terms))
	}

	must(t, last.Kill()) // who comes after it removes its key
	again := l.start(t, last.id, append(l.args, "--state-dir", filepath.Join(dir, last.id))...)
	again.awaitLog("released the key that a dead process of this elector had left")
	fleet = append(others(fleet, last), again)
	if _, after := leader(t, fleet...); after.Token <= now.Token {
		t.Errorf("token %d after %d", after.Token, now.Token)
	}
	for _, p := range fleet {
		if a := p.get("/status"); a.Refusal != "" || strings.Contains(p.logged(), "refuse") {
			t.Errorf("%s is refused: %s\n%s", p.id, a.Refusal, p.logged())
		}
	}
}

const (
	keysRefused  = `user "worker" lacks permission: its role needs readwrite on the keys under /elector/default/e2e/ (etcdctl role grant-permission ROLE readwrite --prefix=true /elector/default/e2e/)`
	valueRefused = `user "worker" lacks permission: its role needs readwrite on the value's key too (etcdctl role grant-permission ROLE readwrite '/elector/default/e2e#value')`
	userRefused  = `user "worker" or its password is wrong: check --etcd-user and --etcd-password-file`
)

// removal is a permission that is taken away and given back.
type removal struct {
	what       string
	take, give func(context.Context) error
	says       string
	keeps      bool // the term
	waits      bool // who waits is told too, at once
}

func (l *least) removals() []removal {
	end := clientv3.GetPrefixRangeEnd(keys)
	prefix := func(k string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := l.client.RoleGrantPermission(ctx, theRole, keys, end, kind(k))
			return err
		}
	}
	value := func(k string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := l.client.RoleGrantPermission(ctx, theRole, valueKey, "", kind(k))
			return err
		}
	}
	revoke := func(key, end string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := l.client.RoleRevokePermission(ctx, theRole, key, end)
			return err
		}
	}
	grantRole := func(ctx context.Context) error {
		_, err := l.client.UserGrantRole(ctx, "worker", theRole)
		return err
	}
	revokeRole := func(ctx context.Context) error {
		_, err := l.client.UserRevokeRole(ctx, "worker", theRole)
		return err
	}
	deleteUser := func(ctx context.Context) error {
		_, err := l.client.UserDelete(ctx, "worker")
		return err
	}
	addUser := func(ctx context.Context) error {
		if _, err := l.client.UserAdd(ctx, "worker", "right"); err != nil {
			return err
		}
		return grantRole(ctx)
	}
	return []removal{
		{"reading the value", value("write"), value("readwrite"), valueRefused, true, true},
		{"writing the value", value("read"), value("readwrite"), valueRefused, true, false},
		{"the value", revoke(valueKey, ""), value("readwrite"), valueRefused, true, true},
		{"reading the keys", prefix("write"), prefix("readwrite"), keysRefused, false, true},
		{"writing the keys", prefix("read"), prefix("readwrite"), keysRefused, false, false},
		{"the keys", revoke(keys, end), prefix("readwrite"), keysRefused, false, true},
		{"the role", revokeRole, grantRole, keysRefused, false, true},
		{"the user", deleteUser, addUser, userRefused, false, true},
	}
}

// Each permission is taken away under a leader and a follower, and given back.
func TestEachPermissionTakenAwayIsToldAndItsReturnNoticed(t *testing.T) {
	l := newLeast(t)
	fleet := l.fleetOf(t, 2, l.args...)
	p, yes := leader(t, fleet...)
	_, err := p.ask().PutValue(t.Context(), client.Value{Bytes: []byte("here"), Token: yes.Token})
	must(t, err)
	for _, r := range l.removals() {
		if !t.Run(r.what, func(t *testing.T) { l.without(t, fleet, r) }) {
			break
		}
	}
}

// without takes a permission away from a fleet that shares a value, and gives it back.
func (l *least) without(t *testing.T, fleet []*process, r removal) {
	p, yes := leader(t, fleet...)
	told, before, began := []*process{p}, map[*process]int{}, time.Now()
	if r.waits {
		told = fleet
	}
	for _, q := range fleet {
		q.t, before[q] = t, q.counts("elector_etcd_errors_total", "")
	}
	l.do(r.take)
	if r.keeps {
		_, err := p.ask().PutValue(t.Context(), client.Value{Bytes: []byte("there"), Token: yes.Token})
		if err == nil || !strings.Contains(err.Error(), r.says) {
			t.Errorf("publishing the value: %v", err)
		}
	}
	for _, q := range told {
		(&ground{}).refuses(q, r.says)
	}
	l.do(r.give)
	for _, q := range fleet {
		q.await("being let in again", "/status", func(a answer) bool { return a.Connected && a.Refusal == "" })
	}
	next, now := leader(t, fleet...)
	if r.keeps && (next != p || now.Token != yes.Token) {
		t.Errorf("the term with token %d has ended: %s leads with %d", yes.Token, next.id, now.Token)
	}
	_, err := next.ask().PutValue(t.Context(), client.Value{Bytes: []byte("here"), Token: now.Token})
	must(t, err)
	for _, q := range fleet {
		q.shows("here")
		if failed, took := q.counts("elector_etcd_errors_total", "")-before[q], time.Since(began); float64(failed) > 40*took.Seconds() {
			t.Errorf("%s does not back off: %d requests failed in %v", q.id, failed, took)
		}
	}
	t.Logf("%-20s %s", r.what, r.says)
}
