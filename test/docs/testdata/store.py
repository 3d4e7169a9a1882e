"""A store of objects with ETags, as S3 has them: If-None-Match: * creates, If-Match: ETAG replaces, else 412.

store.py PORT
"""
import hashlib
import http.server
import sys
import threading

objects, lock = {}, threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, body=b"", etag=None):
        self.send_response(status)
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            body = objects.get(self.path)
        self.reply(404) if body is None else self.reply(200, body, etag(body))

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with lock:
            old = objects.get(self.path)
            refused = self.headers["If-None-Match"] == "*" and old is not None
            wanted = self.headers["If-Match"]
            refused = refused or wanted is not None and (old is None or wanted != etag(old))
            if not refused:
                objects[self.path] = body
        self.reply(412) if refused else self.reply(200, b"", etag(body))

    def log_message(self, *_):
        pass


def etag(body):
    return '"' + hashlib.md5(body).hexdigest() + '"'


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
