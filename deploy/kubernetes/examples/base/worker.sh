#!/bin/sh
# A worker that needs no more than busybox: once a second it asks elector, and acts if the answer is yes.

# A shell that is process 1 of its container dies of SIGTERM only if it says so.
trap 'exit 0' TERM

# now: milliseconds since boot. A yes counts from before the request.
now() {
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}0"
}

# number NAME: the number of that name in the answer.
number() { echo "$yes" | sed -n 's/.*"'"$1"'":\([0-9]*\).*/\1/p'; }

while :; do
	asked=$(now)
	# A 503, or no answer within a second, is a no. (With wget -T, which would bound the wait too, some busyboxes crash; of a
	# program that has been ended the shell would tell, if it were not for exit.)
	if yes=$(timeout 1 wget -q -O - http://127.0.0.1:4040/leader 2>/dev/null || exit 1); then
		token=$(number token) certain=$(number expires_in_ms)
		# Work goes here. It ends before the yes does, and whoever stores its effect refuses a smaller token.
		if [ -n "$certain" ] && [ $(($(now) + 200)) -lt $((asked + certain)) ]; then
			echo "working with token $token"
		fi
	fi
	sleep 1 &
	wait $! # unlike sleep itself, wait is interrupted by SIGTERM
done
