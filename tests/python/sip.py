"""SIP for tests: a message, a caller and an agent on plain sockets that do exactly what a test says, and SIPp for the rest.

Written from RFC 3261 and from nothing of the service under test, so that both do not share a mistake.
"""

import itertools
import pathlib
import random
import re
import select
import socket
import subprocess
import threading
import time

from harness import ROOT, free_port, wait_for

SDP = (
    "v=0\r\no=test 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type"}
_COUNTER = itertools.count(1)
_RUN = f"{random.SystemRandom().getrandbits(48):x}"


def token(kind=""):
    return f"{kind}{_RUN}{next(_COUNTER):x}"


class Message:
    """A request or response: start line, headers in order, body."""

    def __init__(self, start, headers, body=""):
        self.start, self.headers, self.body = start, headers, body

    @classmethod
    def parse(cls, data):
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        start, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        headers = [(k.strip(), v.strip()) for k, _, v in (line.partition(":") for line in lines)]
        return cls(start, headers, body)

    def encode(self):
        rows = [(k, v) for k, v in self.headers if k.lower() != "content-length"]
        rows.append(("Content-Length", str(len(self.body.encode()))))
        return "\r\n".join([self.start, *(f"{k}: {v}" for k, v in rows), "", self.body]).encode()

    def all(self, name):
        """All values of a header, as lines: a line with commas stays one."""
        return [v for k, v in self.headers if _COMPACT.get(k.lower(), k.lower()) == name.lower()]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)

    @property
    def status(self):
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else None

    @property
    def method(self):
        return None if self.status else self.start.split()[0]

    @property
    def uri(self):
        return self.start.split()[1]

    @property
    def cseq_method(self):
        return self.get("cseq", "").split()[-1]

    def routes(self, name):
        return [part.strip() for value in self.all(name) for part in re.split(r",\s*(?=<)", value)]

    def reply(self, status, reason, *, to_tag=None, contact=None, body=""):
        """The response to this request: Via, Record-Route, From, To, Call-ID, CSeq copied (RFC 3261 8.2.6.2)."""
        rows = []
        for name in ("via", "record-route", "from", "to", "call-id", "cseq"):
            for key, value in self.headers:
                if _COMPACT.get(key.lower(), key.lower()) == name:
                    if name == "to" and to_tag and "tag=" not in value:
                        value += f";tag={to_tag}"
                    rows.append((key, value))
        if contact:
            rows.append(("Contact", f"<{contact}>"))
        if body:
            rows.append(("Content-Type", "application/sdp"))
        return Message(f"SIP/2.0 {status} {reason}", rows, body)

    def __repr__(self):
        return f"<{self.start}>"


def uri_in(header):
    found = re.search(r"<([^>]+)>", header)
    return found[1] if found else header.split(";")[0].strip()


class Peer:
    """A SIP party on one UDP socket."""

    def __init__(self, host="127.0.0.1"):
        self.address = (host, free_port(host))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.received = []

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def contact(self):
        return f"sip:test@{self.address[0]}:{self.address[1]}"

    def send(self, message, to):
        self.socket.sendto(message.encode() if isinstance(message, Message) else message, to)

    def receive(self, seconds):
        """The next message, or None."""
        if not select.select([self.socket], [], [], max(0, seconds))[0]:
            return None
        try:
            data, self.peer = self.socket.recvfrom(65535)
        except ConnectionRefusedError:
            return None
        message = Message.parse(data)
        self.received.append(message)
        return message

    def receive_until(self, wanted, seconds, what):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            message = self.receive(left)
            if message and wanted(message):
                return message
        raise AssertionError(f"not within {seconds} s: {what}; received {self.received}")


class Caller(Peer):
    """Places calls at `edge`. A call is a Call object; nothing is repeated unless a test repeats it."""

    def __init__(self, edge, host="127.0.0.1"):
        super().__init__(host)
        self.edge = edge

    def invite(self, user, *, host=None, params="", headers=(), max_forwards=70, from_user="+12125550100", scheme="sip",
               media_port=40_000, body=None):  # fmt: skip
        return Call(self, user, host, params, headers, max_forwards, from_user, scheme, media_port, body)

    def options(self, headers=(), seconds=5):
        branch, host = token("z9hG4bK"), self.address
        message = Message(
            f"OPTIONS sip:{self.edge[0]}:{self.edge[1]} SIP/2.0",
            [
                ("Via", f"SIP/2.0/UDP {host[0]}:{host[1]};branch={branch}"), ("Max-Forwards", "70"),
                ("From", f"<sip:test@{host[0]}>;tag={token()}"), ("To", f"<sip:{self.edge[0]}>"),
                ("Call-ID", token("c")), ("CSeq", "1 OPTIONS"), ("Contact", f"<{self.contact}>"), *headers,
            ],
        )  # fmt: skip
        self.send(message, self.edge)
        return self.receive_until(lambda m: m.cseq_method == "OPTIONS" and m.status, seconds, "an answer to OPTIONS")


class Call:
    """One call of a caller, from its INVITE on."""

    def __init__(self, caller, user, host, params, headers, max_forwards, from_user, scheme, media_port, body=None):
        self.caller = caller
        mine = f"{caller.address[0]}:{caller.address[1]}"
        there = host or f"{caller.edge[0]}:{caller.edge[1]}"
        if scheme == "tel":
            self.target = f"tel:{user}{params}"
        else:
            self.target = f"{scheme}:{user}@{there}{params}" if user else f"{scheme}:{there}{params}"
        self.id, self.tag, self.branch, self.cseq = token("c"), token("f"), token("z9hG4bK"), 1
        self.from_ = f"<sip:{from_user}@{mine}>;tag={self.tag}"
        self.to = f"<{self.target}>"
        self.request = Message(
            f"INVITE {self.target} SIP/2.0",
            [
                ("Via", f"SIP/2.0/UDP {mine};branch={self.branch}"), ("Max-Forwards", str(max_forwards)),
                ("From", self.from_), ("To", self.to), ("Call-ID", self.id), ("CSeq", "1 INVITE"),
                ("Contact", f"<{caller.contact}>"), *headers, ("Content-Type", "application/sdp"),
            ],
            SDP.replace("40000", str(media_port)) if body is None else body,
        )  # fmt: skip
        self.send()

    def send(self):
        """Sends the INVITE; sent again, it is a retransmission."""
        self.caller.send(self.request, self.caller.edge)

    def response(self, wanted, seconds=8, what="a response"):
        return self.caller.receive_until(
            lambda m: m.status and m.get("call-id") == self.id and wanted(m), seconds, f"{what} to {self.target}"
        )

    def final(self, seconds=8):
        """Waits for the final answer to the INVITE and acknowledges it as RFC 3261 asks for its class."""
        answer = self.response(lambda m: m.cseq_method == "INVITE" and m.status >= 200, seconds, "a final answer")
        self.at, self.answer = time.monotonic(), answer
        if answer.status < 300:
            self.ack()
        else:
            rows = [
                ("Via", self.request.get("via")), ("Max-Forwards", "70"), ("From", self.from_), ("To", answer.get("to")),
                ("Call-ID", self.id), ("CSeq", f"{self.cseq} ACK"),
            ]  # fmt: skip
            self.caller.send(Message(f"ACK {self.target} SIP/2.0", rows), self.caller.edge)
        return answer

    def in_dialog(self, method, cseq=None, body="", headers=()):
        """A request within the dialog that the 200 made: its route set reversed, its Contact as the target."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        mine = f"{self.caller.address[0]}:{self.caller.address[1]}"
        rows = [("Via", f"SIP/2.0/UDP {mine};branch={token('z9hG4bK')}"), ("Max-Forwards", "70")]
        rows += [("Route", route) for route in reversed(self.answer.routes("record-route"))]
        rows += [
            ("From", self.from_), ("To", self.answer.get("to")), ("Call-ID", self.id), ("CSeq", f"{cseq} {method}"),
            ("Contact", f"<{self.caller.contact}>"), *headers,
        ]  # fmt: skip
        if body:
            rows.append(("Content-Type", "application/sdp"))
        return Message(f"{method} {uri_in(self.answer.get('contact'))} SIP/2.0", rows, body)

    def ack(self, cseq=None):
        self.caller.send(self.in_dialog("ACK", cseq or self.cseq), self.caller.edge)

    def ask(self, method, body="", repeats=0, headers=()):
        """Sends an in-dialog request, repeated each half second at most `repeats` times, and gives its final answer."""
        request = self.in_dialog(method, body=body, headers=headers)
        for left in range(repeats, -1, -1):
            self.caller.send(request, self.caller.edge)
            self.sent = time.monotonic()
            try:
                return self.response(
                    lambda m: m.cseq_method == method and m.status >= 200 and m.get("cseq").startswith(f"{self.cseq} "),
                    0.5 if left else 5, f"an answer to {method}",
                )  # fmt: skip
            except AssertionError:
                if not left:
                    raise

    def bye(self, repeats=0):
        assert self.ask("BYE", repeats=repeats).status == 200

    def cancel(self):
        rows = [(k, v) for k, v in self.request.headers if k in ("Via", "Max-Forwards", "From", "To", "Call-ID")]
        self.caller.send(Message(f"CANCEL {self.target} SIP/2.0", [*rows, ("CSeq", "1 CANCEL")]), self.caller.edge)
        return self.response(lambda m: m.cseq_method == "CANCEL", what="an answer to CANCEL")


class Agent(Peer):
    """Answers from a thread. `how`: answer, ring (180 and no more), busy, silent, or a status as a number."""

    def __init__(self, how="answer", host="127.0.0.1"):
        super().__init__(host)
        self.how, self.tag, self.requests, self.last, self.news = how, token("a"), [], None, threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def uri(self):
        return f"sip:{self.address[0]}:{self.address[1]}"

    def close(self):
        self._stop.set()
        self._thread.join(5)
        super().close()

    def _run(self):
        while not self._stop.is_set():
            message = self.receive(0.1)
            if message is None:
                continue
            with self.news:
                self.requests.append(message)
                if message.method and self.how != "silent":
                    self._answer(message, self.peer)
                self.news.notify_all()

    def _answer(self, request, source):
        if request.method == "INVITE":
            self.last = (request, source)
            if self.how in ("answer", "ring"):
                self.send(request.reply(180, "Ringing", to_tag=self.tag, contact=self.contact), source)
            if self.how == "answer":
                self.accept()
            elif self.how == "busy":
                self.send(request.reply(486, "Busy Here", to_tag=self.tag), source)
            elif isinstance(self.how, int):
                self.send(request.reply(self.how, "As told", to_tag=self.tag), source)
        elif request.method == "CANCEL":
            self.send(request.reply(200, "OK", to_tag=self.tag), source)
            invite, at = self.last
            self.send(invite.reply(487, "Request Terminated", to_tag=self.tag), at)
        elif request.method != "ACK":
            self.send(request.reply(200, "OK", to_tag=self.tag, contact=self.contact), source)

    def accept(self):
        """Answers the last INVITE with 200."""
        request, source = self.last
        self.send(request.reply(200, "OK", to_tag=self.tag, contact=self.contact, body=SDP), source)

    def got(self, method):
        """The requests of a method. One that was repeated, since our answer was slow, is one (RFC 3261 section 17.2.3)."""
        first = {}
        with self.news:
            for request in self.requests:
                if request.method == method:
                    first.setdefault(request.get("via"), request)
        return list(first.values())

    def wait(self, method, count=1, seconds=8):
        """Waits until `count` requests of a method were received; gives them."""
        with self.news:
            enough = self.news.wait_for(lambda: len(self.got(method)) >= count, seconds)
        assert enough, f"not within {seconds} s: {count} {method} at the agent; received {self.requests}"
        return self.got(method)

    def send_bye(self, edge):
        """Hangs up."""
        self.send_request(edge, "BYE", 1)

    def send_request(self, edge, method, cseq):
        """A request from the agent's side, along the route set of the INVITE it answered."""
        invite, _ = self.last
        rows = [("Via", f"SIP/2.0/UDP {self.address[0]}:{self.address[1]};branch={token('z9hG4bK')}"), ("Max-Forwards", "70")]
        rows += [("Route", route) for route in invite.routes("record-route")]
        rows += [
            ("From", f"{invite.get('to')};tag={self.tag}"), ("To", invite.get("from")),
            ("Call-ID", invite.get("call-id")), ("CSeq", f"{cseq} {method}"),
        ]  # fmt: skip
        self.send(Message(f"{method} {uri_in(invite.get('contact'))} SIP/2.0", rows), edge)


# --- SIPp --------------------------------------------------------------------------------------------------------------------

SCENARIOS = ROOT / "tests" / "sipp"


class Sipp:
    """One run of SIPp: a scenario of tests/sipp, a fixed number of calls, a time-out. Its exit code is its verdict."""

    def __init__(self, folder, scenario, *, remote=None, user=None, calls=1, rate=10, pause=200, tcp=False,
                 host="127.0.0.1", status=None, timeout=30, **words):  # fmt: skip
        self.name = f"{scenario}-{token()}"
        self.port = free_port(host)
        self.folder = pathlib.Path(folder)
        text = (SCENARIOS / f"{scenario}.xml").read_text()
        for name, word in (words | ({"status": status} if status else {})).items():
            text = text.replace(f"@{name.upper()}@", str(word))
        assert not (left := re.search("@[A-Z]+@", text)), f"{scenario} needs {left[0]}"
        path = self.folder / f"{self.name}.xml"
        path.write_text(text)
        self.trace, self.errors = self.folder / f"{self.name}.messages", self.folder / f"{self.name}.errors"
        command = [
            "sipp", "-sf", path, "-i", host, "-p", str(self.port), "-m", str(calls), "-nostdin", "-d", str(pause),
            "-timeout", f"{timeout}s", "-timeout_error", "-t", "t1" if tcp else "u1", "-r", str(rate),
            "-trace_msg", "-message_file", self.trace, "-trace_err", "-error_file", self.errors,
        ]  # fmt: skip
        if user:
            command += ["-s", user]
        if remote:
            command.append(f"{remote[0]}:{remote[1]}")
        self.timeout = timeout
        self.output = open(self.folder / f"{self.name}.out", "wb+")
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output
        )
        if not remote:
            self._wait_bound(host, tcp)

    def _wait_bound(self, host, tcp):
        """Waits until an agent's port is taken."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            assert self.process.poll() is None, self.story()
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind((host, self.port))
                except OSError:
                    return
            time.sleep(0.02)
        raise AssertionError(f"{self.name} did not take its port")

    @property
    def uri(self):
        return f"sip:127.0.0.1:{self.port}"

    def acknowledged(self, count=1):
        """Waits until so many ACKs have come: SIPp takes no BYE before, and of messages sent at once one may overtake another."""
        wait_for(lambda: len(re.findall("(?m)^ACK sip", self.trace.read_text())) >= count, f"{count} ACKs at {self.name}")

    def story(self):
        parts = []
        for path in (self.errors, self.trace, pathlib.Path(self.output.name)):
            if path.exists():
                parts.append(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}")
        return "\n".join(parts)

    def finish(self):
        """Waits for its end; it must have completed all its calls."""
        try:
            code = self.process.wait(self.timeout + 5)
        except subprocess.TimeoutExpired:
            self.stop()
            raise AssertionError(f"{self.name} does not end\n{self.story()}") from None
        assert code == 0, f"{self.name}: exit code {code}\n{self.story()}"
        self.output.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
