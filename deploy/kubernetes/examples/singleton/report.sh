#!/bin/sh
# Runs while its elector leads, and knows nothing of that: at each full minute, the report.
trap 'exit 0' TERM

while :; do
	sleep $((60 - $(date +%s) % 60)) &
	wait $!
	echo "report of $(date), with token $ELECTOR_TERM_TOKEN"
done
