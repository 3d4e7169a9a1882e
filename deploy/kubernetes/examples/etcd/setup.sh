#!/bin/sh
# Makes etcd ask for passwords: root's, and that of the user elector, who gets the role that `elector etcd-role` prints for
# each of $ELECTIONS and nothing else. May be run again; a password that has changed is then set anew.
set -eu
tools=${TOOLS:-/tools}
# The programs are on volumes that nothing can be run from.
for program in $PROGRAMS; do
	cp "$program" "$tools"
done
PATH=$tools:$PATH

for election in $ELECTIONS; do
	elector etcd-role --election="$election" --etcd-user=elector --etcd-password-file="$ELECTOR_PASSWORD_FILE"
done >"$tools/roles.sh"

# What the commands below call. It takes a new user's password from a file, and what exists already is no error.
etcdctl() {
	case "$1 $2" in
	'user add' | 'user passwd') set -- "$@" --interactive=false ;;
	esac
	said=$(command etcdctl "$@" 2>&1 <"$password") && return
	case $said in
	*'role name already exists'*) ;;
	*'user name already exists'*) command etcdctl user passwd "$3" --interactive=false <"$password" ;;
	*) echo "etcdctl $1 $2: $said" >&2 && return 1 ;;
	esac
}

# Where users are already asked for, root may do this, and otherwise anybody.
ETCDCTL_USER=root ETCDCTL_PASSWORD=$(cat "$ROOT_PASSWORD_FILE")
export ETCDCTL_USER ETCDCTL_PASSWORD

until command etcdctl endpoint health >/dev/null 2>&1; do
	echo "waiting for $ETCDCTL_ENDPOINTS"
	sleep 2
done

password=$ELECTOR_PASSWORD_FILE
. "$tools/roles.sh"
password=$ROOT_PASSWORD_FILE
etcdctl user add root
etcdctl user grant-role root root
etcdctl auth enable
echo "made the user elector for $ELECTIONS, and turned users on"
