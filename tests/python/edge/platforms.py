"""Simulators of agent platforms: each refuses, says or forgets what the real one is reported to.

Written from the platforms' documents, public traces and source, and from nothing of the service under test. What a simulator finds
wrong with a request it keeps in `wrong`, so that a test fails with the words of the platform.
"""

import collections
import hashlib
import re
import threading

import sip
from streams_kit import StreamAgent

CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
SRTP = sip.SDP.replace("RTP/AVP", "RTP/SAVP") + CRYPTO
DTLS = sip.SDP.replace("RTP/AVP", "UDP/TLS/RTP/SAVP") + "a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\n"
HASHES = {None: hashlib.md5, "MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def part(value, name):
    """A parameter of a challenge or of credentials."""
    found = re.search(rf'(?:[ ,]){name}=(?:"([^"]*)"|([^", ]+))', value)
    return found and (found[1] if found[1] is not None else found[2])


class Digest:
    """Asks for credentials (RFC 7616) and says whether an answer is right: each nonce was given, and its count rises."""

    def __init__(self, realm, username, password, algorithm="MD5", qop=True, status=407):
        self.realm, self.username, self.password, self.algorithm = realm, username, password, algorithm
        self.qop, self.status, self.nonces, self.asked = qop, status, {}, 0

    def challenge(self, request, to_tag, stale=False):
        self.asked += 1
        nonce = sip.token("n")
        self.nonces[nonce] = 0
        value = f'Digest realm="{self.realm}", nonce="{nonce}"'
        value += f", algorithm={self.algorithm}" if self.algorithm else ""
        value += ', qop="auth"' if self.qop else ""
        value += ", stale=true" if stale else ""
        answer = request.reply(self.status, "Who is it", to_tag=to_tag)
        answer.headers.append(("Proxy-Authenticate" if self.status == 407 else "WWW-Authenticate", value))
        return answer

    def proves(self, request):
        name = "proxy-authorization" if self.status == 407 else "authorization"
        for value in request.all(name):
            if part(value, "realm") != self.realm:
                continue
            hexed = lambda text: HASHES[self.algorithm](text.encode()).hexdigest()  # noqa: E731
            nonce, count = part(value, "nonce"), part(value, "nc")
            first = hexed(f"{self.username}:{self.realm}:{self.password}")
            second = hexed(f"{request.method}:{request.uri}")
            middle = f"{nonce}:{count}:{part(value, 'cnonce')}:auth" if self.qop else nonce
            if part(value, "uri") != request.uri or part(value, "username") != self.username or nonce not in self.nonces:
                return False
            if self.qop and int(count, 16) <= self.nonces[nonce]:
                return False
            self.nonces[nonce] = int(count, 16) if self.qop else 0
            return part(value, "response") == hexed(f"{first}:{middle}:{second}")
        return False


class Platform:
    """An agent with quirks; a subclass of this and of sip.Agent or StreamAgent. Checks what RFC 3261 has every peer check."""

    body = sip.SDP
    asks = ()
    asks_within = False
    client = None  # TLS of connections that the platform makes

    def _begin_quirks(self):
        self.wrong, self.cseq, self.seen, self.asked_at = [], {}, set(), set()

    def receive(self, seconds):
        # What a test wants sent leaves from the agent's own thread: a TLS connection has one user at a time.
        while self.todo:
            self.todo.popleft()()
        return super().receive(min(seconds, 0.02))

    def do(self, what):
        done = threading.Event()
        self.todo.append(lambda: (what(), done.set()))
        assert done.wait(5), "the agent's thread is gone"

    def connect(self, to):
        if self.client is None:
            return super().connect(to)
        ours, self.context = self.context, self.client
        try:
            return super().connect(to)
        finally:
            self.context = ours

    @property
    def own_contact(self):
        return self.contact

    def check(self, request):
        """A status and phrase for what the platform would refuse."""

    def _answer(self, request, source):
        if not hasattr(self, "wrong"):
            self._begin_quirks()
        call, branch, number = request.get("call-id"), request.all("via")[0], int(request.get("cseq").split()[0])
        if request.method == "ACK":
            return
        if request.method == "CANCEL":
            return super()._answer(request, source)
        if branch in self.seen:
            return  # a repeat; what was answered is on its way
        self.seen.add(branch)
        if any(len(re.findall(r";transport=", value)) > 1 for _, value in request.headers):
            self.wrong.append(f"a transport twice in {request.headers}")
            return self.send(request.reply(403, "Malformed Contact", to_tag=self.tag), source)
        within = "tag=" in request.get("to")
        again = within and (call, number) in self.asked_at
        if number <= self.cseq.get(call, 0) and not again:
            self.wrong.append(f"CSeq {number} after {self.cseq[call]}: {request}")
        self.cseq[call] = max(number, self.cseq.get(call, 0))
        if request.method == "PRACK" and request.get("rack") != f"1 {self.invited} INVITE":
            self.wrong.append(f"RAck {request.get('rack')}, not of {self.invited}")
        if not within and request.method == "INVITE":
            if request.all("route"):
                self.wrong.append("a Route in a new call")
            if refusal := self.check(request):
                return self.send(request.reply(*refusal, to_tag=self.tag), source)
        if (not within or self.asks_within) and request.method != "PRACK":
            for one in self.asks:
                if not one.proves(request):
                    self.asked_at.add((call, number))
                    return self.send(one.challenge(request, self.tag), source)
        if not within and request.method == "INVITE":
            self.last, self.invited = (request, source), number
            return self.ring(request, source)
        body = self.body if request.method == "INVITE" else ""
        self.send(self.dressed(request.reply(200, "OK", contact=self.own_contact, body=body)), source)

    def ring(self, request, source):
        self.send(request.reply(180, "Ringing", to_tag=self.tag, contact=self.own_contact), source)
        self.accept()

    def dressed(self, answer):
        return answer

    @property
    def todo(self):
        return self.__dict__.setdefault("_todo", collections.deque())

    def picks_up(self):
        """Answers the last INVITE, when a test says so."""
        self.do(self.accept)

    def accept(self):
        request, source = self.last
        answer = request.reply(200, "OK", to_tag=self.tag, contact=self.own_contact, body=self.body)
        self.send(self.dressed(answer), source)

    def within(self, method, cseq, body="", headers=()):
        """A request of the platform's own, to the top Record-Route of its INVITE."""
        invite, source = self.last
        mine = f"{self.address[0]}:{self.address[1]}"
        rows = [("Via", f"SIP/2.0/UDP {mine};branch={sip.token('z9hG4bK')}"), ("Max-Forwards", "70")]
        rows += [("Route", route) for route in invite.routes("record-route")]
        rows += [
            ("From", f"{invite.get('to')};tag={self.tag}"), ("To", invite.get("from")), ("Call-ID", invite.get("call-id")),
            ("CSeq", f"{cseq} {method}"), ("Contact", f"<{self.own_contact}>"), *headers,
        ]  # fmt: skip
        if body:
            rows.append(("Content-Type", "application/sdp"))
        top = re.search(r"@([0-9.]+):(\d+)", invite.routes("record-route")[0])
        to = source if isinstance(self, StreamAgent) and getattr(source, "open", False) else (top[1], int(top[2]))
        message = sip.Message(f"{method} {sip.uri_in(invite.get('contact'))} SIP/2.0", rows, body)
        self.do(lambda: self.send(message, to))

    def answered(self, method):
        """Waits for the final answer to a request of the platform's own."""
        with self.news:
            found = lambda: [  # noqa: E731
                m for m in self.requests
                if m.status and m.status >= 200 and m.cseq_method == method and m.get("call-id") == self.last[0].get("call-id")
            ]  # fmt: skip
            assert self.news.wait_for(found, 8), f"no answer to {method}; received {self.requests}"
            return found()[-1]


class OpenAi(Platform, StreamAgent):
    """Contact without a transport, at a name; SDP without Content-Type; rings until its webhook is accepted."""

    own_contact = "sip:OAI@sip.api.openai.invalid:5061"

    def check(self, request):
        if not re.match(r"sip:proj_[a-z0-9]+@[^;]+;transport=tls$", request.uri):
            return 404, "No such project"

    def ring(self, request, source):
        self.send(request.reply(180, "Ringing", to_tag=self.tag, contact=self.own_contact), source)
        # until the test accepts: the webhook

    def dressed(self, answer):
        answer.headers = [(k, v) for k, v in answer.headers if k != "Content-Type"]
        return answer


class XAi(Platform, StreamAgent):
    """The number is registered with digest credentials, or the caller's address is."""

    numbers = ()

    def check(self, request):
        user = re.match(r"sip:(\+\d+)@", request.uri)
        if not user or user[1] not in self.numbers:
            return 404, "Number not registered"


class LiveKit(Platform, StreamAgent):
    """The number in To picks the trunk and its password; a refusal is repeated to the same Call-ID and From tag; the 200 is sent once."""

    trunks = {}
    refuses = None

    def _answer(self, request, source):
        if not hasattr(self, "wrong"):
            self._begin_quirks()
            self.refused = {}
        key = (request.get("call-id"), request.get("from").split(";tag=")[-1])
        if request.method == "INVITE" and "tag=" not in request.get("to"):
            if key in self.refused:
                self.cached = getattr(self, "cached", 0) + 1
                return self.send(request.reply(*self.refused[key], to_tag=self.tag), source)
            number = re.search(r"sip:(\+\d+)@", request.get("to"))
            if not number or number[1] not in self.trunks:
                self.refused[key] = (404, "No trunk found")
                return self.send(request.reply(404, "No trunk found", to_tag=self.tag), source)
            self.asks = [one for one in [self.trunks[number[1]]] if one]
            if self.refuses:
                self.refused[key] = (self.refuses, "Not now")
                return self.send(request.reply(self.refuses, "Not now", to_tag=self.tag), source)
        return super()._answer(request, source)


class ElevenLabs(Platform, StreamAgent):
    """No UDP; the user part is mandatory; reads X-CALL-ID and X-CALLER-ID."""

    def check(self, request):
        if not re.match(r"sip:[^@:;]+@", request.uri):
            return 404, "No user part"
        self.call_id, self.caller_id = request.get("x-call-id"), request.get("x-caller-id")
        if not self.call_id or not self.caller_id:
            self.wrong.append("without X-CALL-ID or X-CALLER-ID")


class Vapi(Platform, sip.Agent):
    """Over UDP, by the number; its sound comes from elsewhere than its signalling."""

    body = sip.SDP.replace("c=IN IP4 127.0.0.1", "c=IN IP4 198.51.100.77")


class Retell(Platform, StreamAgent):
    """Over TCP, by the agent's id or the number."""


class Bland(Platform, StreamAgent):
    """TLS and SRTP only."""

    body = SRTP

    def check(self, request):
        if self.transport != "TLS" or "RTP/SAVP" not in request.body or "a=crypto" not in request.body:
            return 488, "SRTP required"


class Challenger(Platform, sip.Agent):
    """Reliable provisional answers (RFC 3262), and challenges of any kind, for the INVITE or for every request."""

    stale = False

    def __init__(self, *asks, within=False, stale=False):
        self.asks, self.asks_within, self.stale, self.staled = asks, within, stale, set()
        super().__init__()

    def _answer(self, request, source):
        fresh = request.method == "INVITE" and "tag=" not in request.get("to") and self.stale
        if fresh and request.get("call-id") not in self.staled and any(one.nonces for one in self.asks):
            [one] = self.asks
            if one.proves(request):
                self.staled.add(request.get("call-id"))
                self.seen.add(request.all("via")[0])
                self.cseq[request.get("call-id")] = int(request.get("cseq").split()[0])
                return self.send(one.challenge(request, self.tag, stale=True), source)
        return super()._answer(request, source)

    def ring(self, request, source):
        answer = request.reply(183, "Session Progress", to_tag=self.tag, contact=self.own_contact, body=self.body)
        answer.headers += [("Require", "100rel"), ("RSeq", "1")]
        self.send(answer, source)
        # until the test accepts
