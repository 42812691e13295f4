"""A receiver of webhooks: a plain HTTP server that keeps what comes and answers as it is told."""

import hashlib
import hmac
import http.server
import json
import threading
import time

from harness import free_port


class Receiver:
    """`answer` is a status, or a function from the count of requests so far (from 1) to a status, a pair of a status and headers,
    those and a text, or None for no answer at all."""

    def __init__(self, answer=200, port=None):
        self.port, self.answer, self.news = port or free_port(), answer, threading.Condition()
        self.requests, self._open, self._stopping = [], 0, threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver._take(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True
            # Who hangs here has taken the request: with the usual five in line the system itself would leave callers at the door.
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self._http = Listener(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def _take(self, handler):
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        with self.news:
            self.requests.append(Received(handler.command, handler.path, dict(handler.headers.items()), body))
            count = len(self.requests)
            self.news.notify_all()
        answer = self.answer(count) if callable(self.answer) else self.answer
        if answer is None:
            self._stopping.wait(30)
            handler.close_connection = True
            return
        status, headers, *text = answer if isinstance(answer, tuple) else (answer, {})
        text = text[0] if text else b"" if status < 400 else b"the receiver said no\r\n"
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def wait(self, count=1, seconds=10, event=None):
        """Waits until `count` requests have come (of one event, if it is named); gives them."""
        of = lambda: [r for r in self.requests if event is None or r.json["event"] == event]
        with self.news:
            enough = self.news.wait_for(lambda: len(of()) >= count, seconds)
            assert enough, f"not within {seconds} s: {count} × {event or 'any event'}; there are {self.requests}"
            return of()

    def quiet(self, seconds=0.8):
        """What has come once nothing more comes for a while."""
        while True:
            with self.news:
                before = len(self.requests)
            time.sleep(seconds)
            with self.news:
                if len(self.requests) == before:
                    return list(self.requests)


class Received:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.body, self.at = method, path, body, time.monotonic()
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.method} {self.path} {self.body[:120]!r}"

    def assert_signed(self, secret):
        mac = hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        assert self.headers["x-webhook-signature"] == f"sha256={mac}"
        assert self.method == "POST" and self.headers["content-type"] == "application/json"
