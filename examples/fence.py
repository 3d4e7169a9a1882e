#!/usr/bin/env python3
"""A proxy that fences an HTTP API which knows nothing of tokens: who sends a smaller token than the greatest seen is refused.

fence.py LISTEN_PORT UPSTREAM FILE
fence.py 8090 http://127.0.0.1:8080 /var/lib/fence/mail

One proxy for one election, and no other way to the API. Requests go on one at a time: an old leader's, once it has been
let through, is over before the next leader's is.
"""
import http.server
import os
import sys
import threading
import urllib.error
import urllib.request

port, upstream, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
one_at_a_time = threading.Lock()


def greatest():
    try:
        with open(file) as f:
            return int(f.read())
    except FileNotFoundError:
        return 0


def remember(token):
    """Returns when the token is on disk: a proxy that starts again refuses what this one refuses."""
    with open(file + ".new", "w") as f:
        f.write(str(token))
        f.flush()
        os.fsync(f.fileno())
    os.replace(file + ".new", file)
    directory = os.open(os.path.dirname(os.path.abspath(file)), os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


class Fence(http.server.BaseHTTPRequestHandler):
    timeout = 10  # for a client that sends nothing

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            token = int(self.headers["Elector-Token"])
        except (TypeError, ValueError):
            return self.reply(400, b"send the term's token as Elector-Token\n")
        with one_at_a_time:
            if token < greatest():
                return self.reply(409, b"the token %d is older than %d: stop\n" % (token, greatest()))
            if token > greatest():
                remember(token)
            kind = {"Content-Type": self.headers.get("Content-Type", "application/octet-stream")}
            request = urllib.request.Request(upstream + self.path, body or None, kind, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    self.reply(answer.status, answer.read())
            except urllib.error.HTTPError as answer:
                self.reply(answer.code, answer.read())
            except OSError as err:
                self.reply(502, b"the outcome is not known: %s\n" % str(err).encode())

    do_PUT = do_POST = do_PATCH = do_DELETE = pass_on

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", port), Fence).serve_forever()
