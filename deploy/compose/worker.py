"""A web server that serves while the elector beside it leads. It says who it is and under which token; what it stores
anywhere would carry that token too."""
import http.server
import json
import socket
import time
import urllib.request


def boot_clock():  # counts on while the host is suspended
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Worker(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = boot_clock()  # the yes counts from before the request
        try:
            with urllib.request.urlopen("http://127.0.0.1:4040/leader", timeout=1) as reply:
                yes = json.load(reply)
        except (OSError, ValueError):  # a 503, no answer, half an answer: a no
            self.reply(503, "this worker does not lead\n")  # and HAProxy asks another one
            return
        body = f"{socket.gethostname()} token {yes['token']}\n"
        if boot_clock() < asked + yes["expires_in_ms"] / 1000:
            self.reply(200, body)
        else:
            self.reply(503, "this worker led until just now\n")

    def reply(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):  # HAProxy's log has them
        pass


http.server.ThreadingHTTPServer(("", 8080), Worker).serve_forever()
