package config

import (
	"slices"
	"strings"
	"testing"
)

func TestEachMistakeIsOneSentenceWithItsValuesAndTheRemedy(t *testing.T) {
	long := strings.Repeat("a", 254)
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"--election="}, `--election is not set: name the election, as in --election=mail-worker`},
		{[]string{"--election=a/b"}, `--election "a/b" holds '/', which separates the parts of a key: use another character, as in "a-b"`},
		{[]string{"--election=a#value"}, `--election "a#value" holds '#', which separates the parts of a key: use another character, as in "a-value"`},
		{[]string{"--election=a\nb"}, `--election "a\nb" holds a control character or a broken one: use only characters that can be read`},
		{[]string{"--election-namespace="}, `--election-namespace is not set: name it, as in --election-namespace=default`},
		{[]string{"--election-namespace=a/b"}, `--election-namespace "a/b" holds '/', which separates the parts of a key: use another character, as in "a-b"`},
		{[]string{"--id="}, `--id is not set: give each candidate a name of its own, as in --id=worker-1`},
		{[]string{"--id=a\x7f"}, `--id "a\x7f" holds a control character or a broken one: use only characters that can be read`},
		{[]string{"--id=\xff"}, `--id "\xff" holds a control character or a broken one: use only characters that can be read`},
		{[]string{"--id=" + long}, `--id "` + long + `" has 254 bytes, more than 253: choose a shorter one`},
		{[]string{"--id=host/worker#1"}, ""},

		{[]string{"--prefix=elector"}, `--prefix "elector" does not both start with "/" and end without one: write "/elector"`},
		{[]string{"--prefix=/a/"}, `--prefix "/a/" does not both start with "/" and end without one: write "/a"`},
		{[]string{"--prefix=/"}, `--prefix "/" does not both start with "/" and end without one: write "/elector"`},
		{[]string{"--prefix="}, `--prefix "" does not both start with "/" and end without one: write "/elector"`},
		{[]string{"--prefix=/a\tb"}, `--prefix "/a\tb" holds a control character or a broken one: use only characters that can be read`},
		{[]string{"--prefix=/team/elector"}, ""},

		{[]string{"--ttl=soon"}, `--ttl "soon" is not a duration: write a number with its unit, as in 10s`},
		{[]string{"--ttl=10"}, `--ttl "10" is not a duration: write a number with its unit, as in 10s`},
		{[]string{"--ttl=1s"}, `--ttl 1s is below 2s, the shortest lease that etcd grants: set 2s or more`},
		{[]string{"--ttl=-5s"}, `--ttl -5s is below 2s, the shortest lease that etcd grants: set 2s or more`},
		{[]string{"--ttl=301s"}, `--ttl 5m1s is above 5m0s, beyond which etcd does not keep leases exactly: set 5m0s or less`},
		{[]string{"--ttl=2500ms"}, `--ttl 2.5s is not a whole number of seconds, in which etcd counts leases: set 2s or 3s`},
		{[]string{"--ttl=2s", "--answer-max=1s"}, ""},
		{[]string{"--ttl=300s"}, ""},
		{[]string{"--answer-max=0s"}, `--answer-max 0s is not above 0s, so that no yes would be certain: set 2s, or any time less than 9.8s (--ttl 10s less its margin of 200ms)`},
		{[]string{"--answer-max=9.8s"}, `--answer-max 9.8s is not less than 9.8s, which is --ttl 10s less its margin of 200ms: lower --answer-max or raise --ttl`},
		{[]string{"--answer-max=9.799s"}, ""},
		{[]string{"--ttl=2s"}, `--answer-max 2s is not less than 1.85s, which is --ttl 2s less its margin of 150ms: lower --answer-max or raise --ttl`},
		{[]string{"--ttl=nonsense", "--answer-max=20s"}, `--ttl "nonsense" is not a duration: write a number with its unit, as in 10s`},
		{[]string{"--answer-max=fast"}, `--answer-max "fast" is not a duration: write a number with its unit, as in 10s`},
		{[]string{"--shutdown-release=later"}, `--shutdown-release "later" is not known: write promised or now`},

		{[]string{"--http=4040"}, `--http "4040" is not an address to listen on: write host:port, as in 127.0.0.1:4040, unix:/path, or "" for no server`},
		{[]string{"--http=:99999"}, `--http ":99999" is not an address to listen on: write host:port, as in 127.0.0.1:4040, unix:/path, or "" for no server`},
		{[]string{"--http=http://127.0.0.1:4040"}, `--http "http://127.0.0.1:4040" is not an address to listen on: write host:port, as in 127.0.0.1:4040, unix:/path, or "" for no server`},
		{[]string{"--probe-http=localhost"}, `--probe-http "localhost" is not an address to listen on: write host:port, as in 127.0.0.1:4040, unix:/path, or "" for no server`},
		{[]string{"--probe-http=127.0.0.1:4040"}, `--http "127.0.0.1:4040" and --probe-http "127.0.0.1:4040" want the same port: give one of them another`},
		{[]string{"--probe-http=:4040"}, `--http "127.0.0.1:4040" and --probe-http ":4040" want the same port: give one of them another`},
		{[]string{"--http=[::]:80", "--probe-http=10.0.0.1:80"}, `--http "[::]:80" and --probe-http "10.0.0.1:80" want the same port: give one of them another`},
		{[]string{"--probe-http=10.0.0.1:4040"}, ""},
		{[]string{"--http=unix:/run/elector/http.sock", "--probe-http=unix:p"}, ""},
		{[]string{"--status-file=/run/a", "--leader-file=/run/a"}, `--status-file and --leader-file are both "/run/a": name two files`},
		{[]string{"--probe-http-web-config=f"}, `--probe-http-web-config "f" is set and --probe-http is "": set both or neither`},
		{[]string{"--stop-signal=term"}, ""},
		{[]string{"--stop-signal=STOP"}, `--stop-signal "STOP" is not a signal: write one as in SIGTERM, SIGINT or SIGQUIT`},
		{[]string{"--stop-grace=-1s"}, `--stop-grace -1s is below 0s: set a time, as in 2s`},
		{[]string{"--restart=sometimes"}, `--restart "sometimes" is not known: write never, on-failure or always`},
		{[]string{"--hold-timeout=-1s"}, `--hold-timeout -1s is below 0s: set a time, as in 10s`},
		{[]string{"--require-hold", "--http="}, `--require-hold is set and --http is "", where holds are taken: set an address, or do not require one`},
		{[]string{"--http=unix:"}, `--http "unix:" names no socket: write unix:/path with a path of at most 107 bytes`},
		{[]string{"--http=unix:/run/"}, `--http "unix:/run/" names no socket: write unix:/path with a path of at most 107 bytes`},
		{[]string{"--http=unix:a", "--probe-http=unix:a"}, `--http and --probe-http want the same socket "a": give one of them another`},
		{[]string{"--http-allowed-hosts=a.example.org,10.0.0.1,::1"}, ""},
		{[]string{"--http-allowed-hosts=a:80"}, `--http-allowed-hosts "a:80" is not the name of a host: write names or addresses without a port, as in elector.example.org`},
		{[]string{"--value=" + strings.Repeat("x", 65537)}, `--value has 65537 bytes, more than 65536: share where it is to be found instead`},
		{[]string{"--http=:0", "--probe-http=:0"}, ""},
		{[]string{"--http=", "--probe-http="}, ""},

		{[]string{"--log-level=loud"}, `--log-level "loud" is not known: write debug, info, warn or error`},
		{[]string{"--log-format=xml"}, `--log-format "xml" is not known: write text or json`},
		{[]string{"--use-cluster-credentials=maybe"}, `--use-cluster-credentials "maybe" is neither true nor false: write one of them`},
	} {
		expect(t, row.args, row.want)
	}
}

func TestEachMistakeAboutEtcdIsOneSentence(t *testing.T) {
	const (
		syntax = `: write http://host:port, https://host:port, host:port or unix:///path`
		tls    = "--etcd-endpoints=https://a:1"
	)
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"--etcd-endpoints="}, `--etcd-endpoints "" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=http://a:1,"}, `--etcd-endpoints "" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=http://a"}, `--etcd-endpoints "http://a" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=a"}, `--etcd-endpoints "a" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=:2379"}, `--etcd-endpoints ":2379" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=a:0"}, `--etcd-endpoints "a:0" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=ftp://a:1"}, `--etcd-endpoints "ftp://a:1" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=HTTP://a:1"}, `--etcd-endpoints "HTTP://a:1" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=http://a:1/v3"}, `--etcd-endpoints "http://a:1/v3" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=unix://"}, `--etcd-endpoints "unix://" is not an endpoint of etcd` + syntax},
		{[]string{"--etcd-endpoints=http://bob:pw@a:1"}, `--etcd-endpoints "http://...@a:1" is not an endpoint of etcd: set --etcd-user and --etcd-password-file instead of a user within it`},
		{[]string{"--etcd-endpoints=bob:pw@a:1"}, `--etcd-endpoints "...@a:1" is not an endpoint of etcd: set --etcd-user and --etcd-password-file instead of a user within it`},
		{[]string{"--etcd-endpoints=http://a:1,https://b:1"}, `--etcd-endpoints mixes "http://a:1" without TLS and "https://b:1" with it, of which etcd's client would use one for all: write them all alike`},
		{[]string{"--etcd-endpoints=http://a:1/,b:1,http://[::1]:2379,unix:///run/etcd.sock"}, ""},
		{[]string{"--etcd-dial-timeout=0s"}, `--etcd-dial-timeout 0s is not above 0s: set some seconds, as in 5s`},
		{[]string{"--etcd-dial-timeout=1"}, `--etcd-dial-timeout "1" is not a duration: write a number with its unit, as in 10s`},

		{[]string{tls, "--etcd-cert=c"}, `--etcd-cert "c" is set and --etcd-key is "": set both or neither`},
		{[]string{tls, "--etcd-key=k"}, `--etcd-key "k" is set and --etcd-cert is "": set both or neither`},
		{[]string{tls, "--etcd-user=bob"}, `--etcd-user "bob" has no password: set --etcd-password-file (or ETCDCTL_PASSWORD), or remove the user`},
		{[]string{tls, "--etcd-password-file=f"}, `--etcd-password-file "f" is set and --etcd-user is "": set both or neither`},
		{[]string{tls, "--etcd-user=bob:pw"}, `--etcd-user holds ":", as if a password followed: give the user alone, and the password in --etcd-password-file`},
		{[]string{tls, "--etcd-cert=c", "--etcd-key=k", "--etcd-cacert=a", "--etcd-user=bob", "--etcd-password-file=f"}, ""},

		{[]string{"--etcd-user=bob", "--etcd-password-file=f"},
			`--etcd-endpoints "http://127.0.0.1:2379" is not encrypted and must not be used with --etcd-user "bob": write "https://127.0.0.1:2379", or remove the credentials`},
		{[]string{"--etcd-endpoints=unixhost:1", "--etcd-user=bob", "--etcd-password-file=f"},
			`--etcd-endpoints "unixhost:1" is not encrypted and must not be used with --etcd-user "bob": write "https://unixhost:1", or remove the credentials`},
		{[]string{"--etcd-endpoints=http://a:1", "--etcd-cacert=ca", "--etcd-cert=c", "--etcd-key=k"},
			`--etcd-endpoints "http://a:1" is not encrypted and must not be used with --etcd-cacert "ca", --etcd-cert "c", --etcd-key "k": write "https://a:1", or remove the credentials`},
		{[]string{"--etcd-endpoints=a:1", "--etcd-cacert=ca", "--etcd-user=bob", "--etcd-password-file=f"}, ""},
		{[]string{"--etcd-endpoints=unix:///run/etcd.sock", "--etcd-user=bob", "--etcd-password-file=f"}, ""},
	} {
		expect(t, row.args, row.want)
	}
}

// expect wants exactly one mistake from args, or none if want is empty.
func expect(t *testing.T, args []string, want string) {
	t.Helper()
	_, _, mistakes := load(t, append([]string{"--election=x", "--id=me"}, args...), nil, "")
	if want == "" && mistakes == nil || len(mistakes) == 1 && mistakes[0] == want {
		return
	}
	t.Errorf("%q:\n got %s\nwant %s", args, strings.Join(mistakes, "\n     "), want)
}

func TestAMistakeSaysWhichSourceItsValuesAreFrom(t *testing.T) {
	path := write(t, "election: a/b\nttl: 5s\n")
	_, _, got := load(t, []string{"--id=me", "--config=" + path}, []string{"ELECTOR_ANSWER_MAX=20s", "ETCDCTL_USER=bob:pw", "ETCDCTL_DIAL_TIMEOUT=x"}, "")
	for i := range got {
		got[i] = strings.ReplaceAll(got[i][strings.LastIndex(got[i], " (--")+1:], path, "FILE")
	}
	want := []string{
		"(--etcd-dial-timeout is from ETCDCTL_DIAL_TIMEOUT)",
		"(--election is from FILE line 1)",
		"(--answer-max is from ELECTOR_ANSWER_MAX, --ttl is from FILE line 2)",
		"(--etcd-user is from ETCDCTL_USER)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestEtcdctlsPasswordNeedsAUser(t *testing.T) {
	_, _, got := load(t, []string{"--election=x", "--etcd-endpoints=https://a:1"}, []string{"ETCDCTL_PASSWORD=pw"}, "")
	if want := []string{`ETCDCTL_PASSWORD is set and --etcd-user is "": set both or neither`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMistakesInTheFileNameTheirLineAndTheRemedy(t *testing.T) {
	for _, row := range []struct{ file, want string }{
		{"\nelction: x\n", `FILE line 2: "elction" is not a setting: did you mean "election"?`},
		{"namespace: x\n", `FILE line 1: "namespace" is not a setting: did you mean "election-namespace"?`},
		{"unheard: x\n", `FILE line 1: "unheard" is not a setting: elector -h lists all settings`},
		{"config: x\n", `FILE line 1: "config" cannot stand in the file: set --config or ELECTOR_CONFIG`},
		{"ttl: 5s\nttl: 6s\n", `FILE line 2: "ttl" stands here for the second time: remove one of the two`},
		{"http:\n", `FILE line 1: "http" has no value: write http: "" for an empty one, or remove the line`},
		{"id: [a]\n", `FILE line 1: "id" is not a text: write id: value`},
		{"etcd-endpoints: {a: b}\n", `FILE line 1: "etcd-endpoints" is neither a text nor a list: write etcd-endpoints: [first, second]`},
		{"etcd-endpoints:\n- [a]\n", `FILE line 2: "etcd-endpoints" holds something that is not a text: write etcd-endpoints: [first, second]`},
		{"- a\n", `--config "FILE" does not hold settings: write lines of the form name: value`},
		{"ttl: 5s\n---\nttl: 6s\n", `--config "FILE" holds more than one document: remove the second "---" and what follows`},
		{"ttl: \"5s\n", `--config "FILE" is not YAML (line 2: found unexpected end of stream): write lines of the form name: value`},
	} {
		path := write(t, row.file)
		_, _, got := load(t, []string{"--election=x", "--config=" + path}, nil, "")
		if want := []string{strings.ReplaceAll(row.want, "FILE", path)}; !slices.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", row.file, got, want)
		}
	}
	_, _, got := load(t, []string{"--election=x", "--config=/nowhere/e.yaml"}, nil, "")
	if want := []string{`--config "/nowhere/e.yaml" cannot be read (no such file or directory): name a readable YAML file`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAllMistakesAreReportedTogether(t *testing.T) {
	_, _, got := load(t, []string{"--ttl=1s", "--http=x", "--log-level=loud"}, nil, "unheard: x\n")
	if len(got) != 5 { // these and the missing election
		t.Errorf("got %d mistakes: %q", len(got), got)
	}
	cfg := Default(nil)
	cfg.TTL = 0
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("Validate: %v", err)
	}
}
