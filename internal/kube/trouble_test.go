package kube

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elector-dev/elector/internal/kube/kubetest"
)

// A trouble is made before the term, and mended while it lasts.
var troubles = []struct {
	name       string
	make, mend func(*rig)
	says       string // with the remedy
	calls      int    // that are waited for, so that there was occasion to tell it again
}{
	{name: "a deleted slice", calls: 3,
		make: func(r *rig) { r.server.Delete(slicePath) },
		mend: func(r *rig) { r.server.Create(slicePath, kubetest.Slice("mail", "shop/mail")) },
		says: "make the Service and the slice; elector never does"},
	{name: "a slice of another election", calls: 3,
		make: func(r *rig) { r.server.Create(slicePath, kubetest.Slice("mail", "shop/billing")) },
		mend: func(r *rig) { r.server.Create(slicePath, kubetest.Slice("mail", "shop/mail")) },
		says: `is that of the election "shop/billing"`},
	{name: "a slice that nobody marked", calls: 3,
		make: func(r *rig) { r.server.Create(slicePath, kubetest.Slice("mail", "")) },
		mend: func(r *rig) { r.server.Create(slicePath, kubetest.Slice("mail", "shop/mail")) },
		says: "kubectl -n shop annotate endpointslice mail elector.dev/election=shop/mail"},
	{name: "an etcd that was restored", calls: 3,
		make: func(r *rig) { bear(r.server, "77", "9000") },
		mend: func(r *rig) { r.server.Create(slicePath, kubetest.Slice("mail", "shop/mail")) },
		says: "kubectl -n shop annotate endpointslice mail elector.dev/cluster- elector.dev/token-"},
	{name: "a slice for addresses that the pod lacks", calls: 3,
		make: func(r *rig) {
			s := kubetest.Slice("mail", "shop/mail")
			s["addressType"] = "FQDN"
			r.server.Create(slicePath, s)
		},
		mend: func(r *rig) { r.server.Create(slicePath, kubetest.Slice("mail", "shop/mail")) },
		says: "is for FQDN addresses"},
	{name: "a missing role", calls: 3,
		make: func(r *rig) { r.server.Allow() },
		mend: func(r *rig) { r.server.Allow(role()...) },
		says: "kubectl -n shop create role elector-mail --verb=get,patch --resource=endpointslices.discovery.k8s.io --resource-name=mail"},
	{name: "an expired token", calls: 3,
		make: func(r *rig) { r.server.Expire("w1") },
		mend: func(r *rig) { r.server.Renew(r.dir, "w1") },
		says: "mount it as a projected volume, which the kubelet renews"},
	{name: "a storm of conflicts", calls: 3 * 2 * readAgain,
		make: func(r *rig) {
			r.server.Gate(func(c kubetest.Call) int {
				if c.Verb == "patch" {
					r.server.Create(slicePath, r.server.Object(slicePath))
				}
				return 0
			})
		},
		mend: func(r *rig) { r.server.Gate(nil) },
		says: "others keep writing to it"},
	{name: "a webhook that refuses", calls: 3,
		make: func(r *rig) { r.server.Gate(func(kubetest.Call) int { return http.StatusUnprocessableEntity }) },
		mend: func(r *rig) { r.server.Gate(nil) },
		says: "an admission webhook or a policy may refuse"},
	{name: "an API server with too much to do", calls: 3,
		make: func(r *rig) { r.server.Gate(func(kubetest.Call) int { return http.StatusTooManyRequests }) },
		mend: func(r *rig) { r.server.Gate(nil) },
		says: "answers 429"},
	{name: "an API server that is slow", calls: 0,
		make: func(r *rig) {
			slow := make(chan struct{})
			r.t.Cleanup(func() { close(slow) })
			r.server.Gate(func(kubetest.Call) int { <-slow; return 0 })
		},
		mend: func(r *rig) { r.server.Gate(nil) },
		says: "no answer within 5s"},
	{name: "an API server that is away", calls: 0,
		make: func(r *rig) { r.server.Away() },
		mend: func(r *rig) { r.server.Back() },
		says: "connection refused"},
	{name: "an authority of another", calls: 0,
		make: func(r *rig) { r.write("ca.crt", another(r.t)) },
		mend: func(r *rig) { r.restore() },
		says: "ca.crt of --kube-credentials has to hold the authority"},
	{name: "no authority", calls: 0,
		make: func(r *rig) { r.write("ca.crt", "nothing") },
		mend: func(r *rig) { r.restore() },
		says: "ca.crt holds no certificate"},
	{name: "no token", calls: 0,
		make: func(r *rig) { r.write("token", "") },
		mend: func(r *rig) { r.server.Renew(r.dir, "w1") },
		says: "automountServiceAccountToken: true"},
}

func TestEachTroubleIsToldOnceWithItsRemedyAndGotOver(t *testing.T) {
	for _, row := range troubles {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, newServer(t), "w1", nil)
			row.make(r)
			r.lead(5)
			r.log.await(t, row.says)
			if up := r.Objects()[0]; up.Up || up.Name != "service" {
				t.Errorf("the metric has %+v", up)
			}
			r.server.Await(t.Context(), "more attempts", func() bool { return len(r.server.Calls()) >= row.calls })
			row.mend(r)
			r.await("5", "10.0.0.1")
			r.log.await(t, "as it should be again")
			if secret, err := os.ReadFile(filepath.Join(r.dir, "token")); err != nil || strings.Contains(r.log.String(), string(secret)) {
				t.Errorf("the log has the token, or that cannot be read: %v", err)
			}
			told := r.log.lines()
			if len(told) != 2 || !strings.Contains(told[0].Err, row.says) || told[1].Level != "INFO" {
				t.Errorf("the log has %+v", told)
			}
			if up := r.Objects()[0]; !up.Up {
				t.Errorf("the metric has %+v", up)
			}
		})
	}
}

// bear has the slice bear another cluster and token, with somebody else's endpoint.
func bear(s *kubetest.Server, cluster, token string) {
	o := kubetest.Slice("mail", "shop/mail")
	marks := o["metadata"].(map[string]any)["annotations"].(map[string]any)
	marks["elector.dev/cluster"], marks["elector.dev/token"] = cluster, token
	s.Create(slicePath, o)
}

func (r *rig) write(file, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, file), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// another is an authority that has signed nothing.
func another(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, is, is, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// restore brings the authority back.
func (r *rig) restore() {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.server.Credentials("nobody"), "ca.crt"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.write("ca.crt", string(b))
}

func TestARestoredEtcdLeavesTheSliceAloneUntilAPersonResetsIt(t *testing.T) {
	s := newServer(t)
	bear(s, "77", "9000")
	before := s.Object(slicePath)
	r := newRig(t, s, "w1", nil)
	end := r.lead(5)
	r.log.await(t, `bears token "9000" of etcd cluster "77"`)
	end()
	after := s.Object(slicePath)
	if b, a := before["metadata"].(map[string]any)["resourceVersion"], after["metadata"].(map[string]any)["resourceVersion"]; a != b {
		t.Errorf("the slice was written: version %v became %v", b, a)
	}
}
