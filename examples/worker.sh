#!/bin/sh
# A worker in POSIX shell: it acts only while the elector beside it leads, and sends the token with every effect.
# It needs no HTTP: the elector keeps --leader-file while it leads.
#
#   worker.sh /run/elector/leader journal
leader=$1 journal=$2

# now: milliseconds on the boot clock, which counts on while the host is suspended. The kernel cuts it to hundredths of a
# second, so it may be that much later than it says.
now() {
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}0"
}

# field NAME: the number of that name in the leader file, as it was read.
field() { echo "$yes" | sed -n 's/.*"'"$1"'":\([0-9]*\).*/\1/p'; }

while :; do
	# The file is there while the elector leads. A killed or frozen elector cannot remove it: what counts is its end.
	if yes=$(cat "$leader" 2>/dev/null); then
		token=$(field token) until=$(field expires_boottime_ms)
		# Leave room for the work: here, for this shell to write a line.
		if [ -n "$until" ] && at=$(now) && [ $((at + 200)) -lt "$until" ]; then
			echo "$at $token shell" >>"$journal"
		fi
	fi
	sleep 0.05
done
