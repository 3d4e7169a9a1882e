package cli

import (
	"os/exec"
	"strings"
	"testing"
)

func TestRoleIsPrintedAsCommands(t *testing.T) {
	got := run(t, "", "etcd-role", "--election=orders", "--election-namespace=shop", "--etcd-user=worker", "--etcd-password-file=/p", "--etcd-endpoints=https://etcd:2379")
	for _, line := range []string{
		"etcdctl role add elector-shop-orders",
		"etcdctl role grant-permission elector-shop-orders readwrite --prefix=true /elector/shop/orders/",
		"etcdctl role grant-permission elector-shop-orders readwrite '/elector/shop/orders#value'",
		"etcdctl user add worker",
		"etcdctl user grant-role worker elector-shop-orders",
	} {
		if got.status != 0 || !strings.Contains(got.stdout, line+"\n") {
			t.Errorf("status %d, no %q in\n%s%s", got.status, line, got.stdout, got.stderr)
		}
	}
	want(t, 2, "--election is not set", "etcd-role")
}

func TestWordsAreQuotedForAShell(t *testing.T) {
	for _, word := range []string{"plain", "it's; $(true) `x`", "", "#", `a\b "c"`} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quoted(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q comes out as %q: %v", word, out, err)
		}
	}
}
