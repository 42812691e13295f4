"""A carrier's registrar on a plain socket, for tests: it answers what a test tells it to, and remembers what it was asked."""

import re
import threading
import time

from access_kit import digest
from harness import ok, wait_for
from sip import SDP, Message, Peer, token
from streams_kit import Streams

CHALLENGE = 'Digest realm="carrier", nonce="{nonce}", algorithm=MD5, qop="auth"'


class Registrar(Peer):
    """Takes REGISTERs in a thread of its own. `password` is asked for; `said` says of each request what to answer, or none: the usual."""

    def __init__(self, host="127.0.0.61", user="line7", password="pass 7", granted=300):
        super().__init__(host)
        self.user, self.password, self.granted = user, password, granted
        self.said = lambda request: None
        self.asked, self.contact_uri, self.lines = [], None, []
        self.socket.settimeout(0.1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        self._thread.join(5)
        super().close()

    place = property(lambda self: f"{self.address[0]}:{self.address[1]}")
    # One that was repeated, since the answer was slow, is one.
    registers = property(lambda self: list({m.get("via"): m for m in self.asked if m.method == "REGISTER"}.values()))

    def _run(self):
        while not self._stop.is_set():
            try:
                data, source = self.socket.recvfrom(65535)
            except TimeoutError:
                continue
            if not data.strip():
                continue
            message = Message.parse(data)
            self.asked.append(message)
            if message.method == "REGISTER" and (answer := self.said(message) or self.answer(message)):
                self.send(answer, source)

    def proves(self, request):
        given = request.get("authorization", "")
        part = lambda name: re.search(rf'{name}="?([^",]+)', given)  # noqa: E731
        if not part("nonce") or part("username")[1] != self.user:
            return False
        challenge = CHALLENGE.format(nonce=part("nonce")[1])
        wanted = digest(challenge, "REGISTER", request.uri, self.user, self.password, nc=int(part("nc")[1], 16), cnonce=part("cnonce")[1])
        return part("response")[1] == re.search(r'response="([^"]+)', wanted)[1]

    def answer(self, request):
        if not self.proves(request):
            answer = request.reply(401, "Unauthorized", to_tag="r")
            answer.headers.append(("WWW-Authenticate", CHALLENGE.format(nonce=token("n"))))
            return answer
        contact = request.get("contact")
        uri, expires = re.search(r"<([^>]+)>", contact)[1], int(request.get("expires"))
        answer = request.reply(200, "OK", to_tag="r")
        self.contact_uri = uri if expires else None
        if expires:
            answer.headers.append(("Contact", f"<{uri}>;expires={min(expires, self.granted)}"))
        answer.headers += self.lines
        return answer

    def refuse(self, request, status, *lines):
        answer = request.reply(status, "No", to_tag="r")
        answer.headers += lines
        return answer


class StreamRegistrar(Streams, Registrar):
    """The same over a stream, and without a thread: it works while [`registered`] is awaited."""

    def __init__(self, transport, context=None, host="127.0.0.61"):
        self._begin(transport, context, host)
        self.user, self.password, self.granted, self.asked, self.contact_uri, self.lines = "line7", "pass 7", 300, [], None, []

    def close(self):
        Streams.close(self)

    def registered(self, seconds=8):
        """Answers until a REGISTER is taken; gives the connection that it came by."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            message = self.receive(left)
            if message and message.method == "REGISTER":
                self.asked.append(message)
                answer = self.answer(message)
                self.send(answer, self.peer)
                if answer.status == 200:
                    return self.peer
        raise AssertionError(f"nobody registered within {seconds} s; {self.asked}, {self.refused}")


def trunk(tenant, registrar, *, status=201, **more):
    """A trunk that registers there, and nothing else."""
    register = {"registrar": registrar, "credentials": {"username": "line7", "password": "pass 7"}} | more
    answer = tenant.native.post("/api/v1/providers", json={"kind": "sip_trunk", "label": "registers", "register": register})
    return ok(answer, 201) if status == 201 else answer


def status(tenant, made):
    return ok(tenant.native.get(f"/api/v1/providers/{made['id']}/status"), 200)


def in_state(tenant, made, state, seconds=8):
    """Waits until a registration is in a state, and gives it."""

    def there():
        shown = status(tenant, made)["registration"]
        return shown if shown and shown["state"] == state else None

    try:
        return wait_for(there, f"the trunk is {state}", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {status(tenant, made)}") from None


def invite(party, contact, number, edge):
    """The carrier calls our Contact, for a number in To."""
    host, tag, branch = f"{party.address[0]}:{party.address[1]}", token("f"), token("z9hG4bK")
    rows = [
        ("Via", f"SIP/2.0/UDP {host};branch={branch}"), ("Max-Forwards", "70"), ("From", f"<sip:+12125550100@{host}>;tag={tag}"),
        ("To", f"<sip:{number}@carrier.example>"), ("Call-ID", token("c")), ("CSeq", "1 INVITE"),
        ("Contact", f"<sip:c@{host}>"), ("Content-Type", "application/sdp"),
    ]  # fmt: skip
    request = Message(f"INVITE {contact} SIP/2.0", rows, SDP)
    party.send(request, edge)
    return request


def final(party, request, seconds=5):
    """The final answer, acknowledged where it is none of 2xx."""
    mine = lambda m: m.status and m.status >= 200 and m.get("call-id") == request.get("call-id")  # noqa: E731
    answer = party.receive_until(mine, seconds, "a final answer")
    if answer.status >= 300:
        rows = [(k, v) for k, v in request.headers if k in ("Via", "Max-Forwards", "From", "Call-ID")]
        rows += [("To", answer.get("to")), ("CSeq", "1 ACK")]
        party.send(Message(f"ACK {request.uri} SIP/2.0", rows), party.peer)
    return answer
