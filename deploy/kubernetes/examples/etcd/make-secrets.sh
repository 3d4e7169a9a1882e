#!/bin/sh
# Makes what the example's etcd needs, with openssl: an authority, a certificate for its members, and two passwords. They are
# left in secrets/, which git ignores and only you can read; kustomization.yaml makes Secrets of them.
set -eu
umask 077
cd "$(dirname "$0")"
if [ -e secrets ]; then
	echo "make-secrets.sh: secrets/ is there already: remove it to make new ones" >&2
	exit 1
fi
new=$(mktemp -d secrets.XXXXXX)
trap 'rm -rf "$new"' EXIT

key() { openssl ecparam -name prime256v1 -genkey -noout; }

# Members know each other by these names. Each is looked up when a member connects, so there is no wildcard.
names=IP:127.0.0.1,DNS:localhost
for member in etcd-0.etcd etcd-1.etcd etcd-2.etcd; do
	names=$names,DNS:$member,DNS:$member.elector-example.svc
done
cat >"$new/openssl.cnf" <<-END
	[req]
	distinguished_name = name
	[name]
	[ca]
	basicConstraints = critical,CA:true
	keyUsage = critical,keyCertSign
	[member]
	basicConstraints = critical,CA:false
	keyUsage = critical,digitalSignature
	extendedKeyUsage = serverAuth,clientAuth
	subjectAltName = $names
END
key >"$new/ca.key"
key >"$new/tls.key"
openssl req -config "$new/openssl.cnf" -extensions ca -new -x509 -days 3650 -subj '/CN=elector-example' -key "$new/ca.key" -out "$new/ca.crt"
openssl req -config "$new/openssl.cnf" -new -subj /CN=etcd -key "$new/tls.key" -out "$new/tls.csr"
openssl x509 -req -days 365 -in "$new/tls.csr" -CA "$new/ca.crt" -CAkey "$new/ca.key" -set_serial 1 \
	-extfile "$new/openssl.cnf" -extensions member -out "$new/tls.crt" 2>/dev/null
for user in root elector; do
	openssl rand -hex 24 | tr -d '\n' >"$new/$user-password"
done
rm "$new/tls.csr" "$new/openssl.cnf"
mv "$new" secrets
echo "made $PWD/secrets: keep ca.key, with which the next certificate is signed"
