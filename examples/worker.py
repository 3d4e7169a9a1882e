#!/usr/bin/env python3
"""A worker in Python: it acts only while the elector beside it leads, and sends the token with every effect.

worker.py http://127.0.0.1:4040 journal
"""
import contextlib
import json
import sys
import time
import urllib.request


def boot_clock():  # counts on while the host is suspended, which time.monotonic() does not
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def act(journal, token, until):
    """Does a piece of work that ends before until. Whoever stores its effect refuses smaller tokens."""
    with open(journal, "a") as f:
        if (now := boot_clock()) < until:
            f.write(f"{int(now * 1000)} {token} python\n")


elector, journal = sys.argv[1:3]
while True:
    asked = boot_clock()  # the yes counts from before the request
    with contextlib.suppress(OSError, ValueError):  # a 503, no answer, half an answer: a no
        with urllib.request.urlopen(elector + "/leader", timeout=1) as reply:
            yes = json.load(reply)
        act(journal, yes["token"], asked + yes["expires_in_ms"] / 1000)
    time.sleep(0.02)
