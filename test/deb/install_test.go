//go:build e2e

package deb

import (
	"context"
	"debug/elf"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/elector-dev/elector/internal/dockertest"
)

// The life of the package on a host with systemd, in order: each part begins where the one before has ended.
func TestPackageOnAHost(t *testing.T) {
	h := newHost(t, map[string]string{"first.deb": made(t, "v1.2.0", "amd64"), "second.deb": made(t, "v1.2.0-4-g0123abc", "amd64")})
	before := h.files()

	h.sh("dpkg --install /mnt/first.deb")
	if units := h.sh("systemctl list-units --all --plain --no-legend 'elector@*'"); units != "" {
		t.Errorf("installing has started %s", units)
	}
	h.sh("printf 'election: mail\n' >/etc/elector/mail.yaml && systemctl enable --now elector@mail")
	token := h.leads("elector@mail", 0)
	t.Logf("installed and enabled: %s", h.property("elector@mail", "StatusText"))

	h.reload()
	token = h.leads("elector@mail", token-1) // the same term
	token = h.killed("elector@mail", token)
	h.watched(token)
	h.worker()
	h.upgraded()
	h.removed()
	h.purged(before)
}

func (h host) reload() {
	h.t.Helper()
	h.sh("printf 'election: mail\nlog-level: debug\n' >/etc/elector/mail.yaml && systemctl reload elector@mail")
	h.logged("elector@mail", `msg="settings were read anew" `)
	h.logged("elector@mail", "changed=log-level")
	if n := h.property("elector@mail", "NRestarts"); n != "0" {
		h.t.Errorf("it has been restarted %s times", n)
	}
	h.t.Log("reloaded: log-level has changed, in the same process")
}

// killed has systemd start what has been killed again, and returns the token of the term that it has then.
func (h host) killed(unit string, token int) int {
	h.t.Helper()
	was := h.property(unit, "MainPID")
	h.sh("kill -KILL " + was)
	h.restarted(unit, was)
	next := h.leads(unit, token)
	h.t.Logf("%s killed and started again: token %d after %d", unit, next, token)
	return next
}

func (h host) restarted(unit, pid string) {
	h.t.Helper()
	h.until(unit+" is another process, and ready", func() bool {
		now := h.property(unit, "MainPID")
		return now != pid && now != "0" && h.property(unit, "ActiveState") == "active"
	})
}

// watched freezes an elector: it tells systemd nothing any more.
func (h host) watched(token int) {
	h.t.Helper()
	h.sh("mkdir -p /etc/systemd/system/elector@mail.service.d && printf '[Service]\nWatchdogSec=2s\nTimeoutAbortSec=2s\n' " +
		">/etc/systemd/system/elector@mail.service.d/quick.conf && systemctl daemon-reload && systemctl restart elector@mail")
	token = h.leads("elector@mail", token)
	was := h.property("elector@mail", "MainPID")
	h.sh("kill -STOP " + was)
	h.logged("elector@mail", "Watchdog timeout (limit 2s)!")
	h.restarted("elector@mail", was)
	next := h.leads("elector@mail", token)
	h.t.Logf("frozen, noticed by the watchdog and started again: token %d after %d", next, token)
	h.sh("rm -r /etc/systemd/system/elector@mail.service.d && systemctl daemon-reload")
}

// worker runs the example of a unit whose worker is elector's child. Whichever of the two is killed, both are new.
func (h host) worker() {
	h.t.Helper()
	h.sh(`cp /usr/share/doc/elector/examples/worker@.service /etc/systemd/system
printf '#!/bin/sh\necho "works with token $ELECTOR_TERM_TOKEN as $$"\nexec sleep infinity\n' >/usr/local/bin/report-worker
chmod 755 /usr/local/bin/report-worker
useradd --system --no-create-home report
printf 'election: report\n' >/etc/elector/report.yaml
systemctl daemon-reload
systemctl start worker@report`)
	works := func(token int) { h.t.Helper(); h.logged("worker@report", "works with token "+strconv.Itoa(token)) }
	token := h.leads("worker@report", 0)
	works(token)
	works(h.killed("worker@report", token))
	if n := h.sh(`systemctl status worker@report | grep -c 'sleep infinity'`); n != "1" {
		h.t.Errorf("%s workers run", n)
	}
	h.sh("systemctl stop worker@report && rm -r /etc/systemd/system/worker@.service /usr/local/bin/report-worker && systemctl daemon-reload && userdel report")
	h.t.Log("a worker ran as elector's child, and was started anew with it")
}

// upgraded wants what runs to go on as the new version, and what does not run to stay so.
func (h host) upgraded() {
	h.t.Helper()
	h.sh("printf 'election: idle\n' >/etc/elector/idle.yaml; systemctl start elector@idle; systemctl stop elector@idle")
	was := h.property("elector@mail", "MainPID")
	h.sh("dpkg --install /mnt/second.deb")
	h.restarted("elector@mail", was)
	h.leads("elector@mail", 0)
	if state := h.property("elector@idle", "ActiveState"); state != "inactive" {
		h.t.Errorf("elector@idle is %s after the upgrade", state)
	}
	if said := h.sh("elector version"); said != "elector v1.2.0-4-g0123abc" {
		h.t.Errorf("after the upgrade there is %s", said)
	}
	h.t.Log("upgraded: the instance that ran goes on as the new version")
}

// removed wants no instance left and, in etcd, no key of theirs: they have ended in order.
func (h host) removed() {
	h.t.Helper()
	h.sh("dpkg --remove elector")
	if units := h.sh("systemctl list-units --state=active,activating --plain --no-legend 'elector@*'"); units != "" {
		h.t.Errorf("after removal there is %s", units)
	}
	h.sh("test -e /etc/elector/mail.yaml && test -e /var/lib/elector/mail")
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	address := dockertest.Docker(h.t, "inspect", "--format={{.NetworkSettings.IPAddress}}", h.name)
	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: []string{"http://" + address + ":2379"}})
	must(h.t, err)
	defer client.Close()
	left, err := client.Get(ctx, "/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	must(h.t, err)
	for _, kv := range left.Kvs {
		h.t.Errorf("etcd has %s still", kv.Key)
	}
	h.t.Log("removed: no instance, no key in etcd; settings and states are there")
}

// purged wants the host to be as it was.
func (h host) purged(before map[string]bool) {
	h.t.Helper()
	h.sh("dpkg --purge elector")
	if said := h.try("getent passwd elector || getent group elector"); !strings.Contains(said, "exit status") {
		h.t.Errorf("after purging there is %s", said)
	}
	if units := h.sh("systemctl list-units --all --plain --no-legend 'elector@*'; systemctl list-unit-files --no-legend 'elector@*' || true"); units != "" {
		h.t.Errorf("after purging systemd knows %s", units)
	}
	after := h.files()
	for _, file := range slices.Sorted(maps.Keys(after)) {
		if !before[file] && !strings.HasSuffix(file, "-") { // of /etc/passwd and its like, adduser keeps the one before
			h.t.Errorf("after purging there is %s", file)
		}
	}
	for file := range before {
		if !after[file] {
			h.t.Errorf("purging has removed %s", file)
		}
	}
	if h.t.Failed() {
		return
	}
	h.t.Logf("purged: of %d files none is new and none is gone; no user, no group, no unit", len(after))
}

// Where systemd does not run, as when an image is built, there is nothing to tell it.
func TestPackageOnAHostWithoutSystemd(t *testing.T) {
	file := made(t, "v1.2.0", "amd64")
	out := dockertest.Docker(t, "run", "--rm", "--network=none", "--volume="+file+":/tmp/elector.deb:ro", dockertest.Base(t), "sh", "-euc",
		"dpkg --install /tmp/elector.deb; elector version; getent passwd elector; dpkg --purge elector; ! getent passwd elector; test ! -e /etc/elector")
	if !strings.Contains(out, "elector v1.2.0") {
		t.Error(out)
	}
}

func TestPackageForTheOtherArchitecture(t *testing.T) {
	file := made(t, "v1.2.0", "arm64")
	if arch := strings.TrimSpace(command(t, "dpkg-deb", "--field", file, "Architecture")); arch != "arm64" {
		t.Errorf("it is for %s", arch)
	}
	dir := t.TempDir()
	command(t, "dpkg-deb", "--extract", file, dir)
	program, err := elf.Open(filepath.Join(dir, "usr/bin/elector"))
	must(t, err)
	defer program.Close()
	if program.Machine != elf.EM_AARCH64 {
		t.Errorf("the program is for %v", program.Machine)
	}
}
