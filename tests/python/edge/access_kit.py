"""What tests of registering agents share: an agent behind a NAT on a plain socket, over UDP or TCP, that proves itself by digest."""

import hashlib
import re
import select
import socket
import time

from harness import free_port
from sip import SDP, Message, Peer, token


def digest(challenge, method, uri, user, password, *, nc=1, cnonce="c0ffee"):
    """What a client answers (RFC 7616 section 3.4.1)."""
    part = lambda name: re.search(rf'{name}="?([^",]+)', challenge)[1]  # noqa: E731
    algorithm = part("algorithm") if "algorithm" in challenge else "MD5"
    hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]
    hexed = lambda text: hashed(text.encode()).hexdigest()  # noqa: E731
    first, second = hexed(f"{user}:{part('realm')}:{password}"), hexed(f"{method}:{uri}")
    response = hexed(f"{first}:{part('nonce')}:{nc:08x}:{cnonce}:auth:{second}")
    return (
        f'Digest username="{user}", realm="{part("realm")}", nonce="{part("nonce")}", uri="{uri}", response="{response}", '
        f'algorithm={algorithm}, cnonce="{cnonce}", qop=auth, nc={nc:08x}'
    )


class Stream:
    """The TCP side of a peer: send and receive as [`Peer`] has them."""

    def __init__(self, edge, host):
        self.socket = socket.create_connection(edge, timeout=5, source_address=(host, 0))
        self.address, self.buffer = self.socket.getsockname(), b""

    def sendto(self, data, _):
        self.socket.sendall(data)

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    def recvfrom(self, _):
        """One message; keep-alives are passed over."""
        while True:
            self.buffer = self.buffer.lstrip(b"\r\n")
            head, found, body = self.buffer.partition(b"\r\n\r\n")
            if found:
                length = int(re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", head)[1])
                if len(body) >= length:
                    self.buffer = body[length:]
                    return head + found + body[:length], self.socket.getpeername()
            data = self.socket.recv(65535)
            if not data:
                raise ConnectionError("the edge closed the connection")
            self.buffer += data


class Agent(Peer):
    """An agent whose Contact is a private address: only the way that its REGISTER came leads to it."""

    def __init__(self, edge, login, *, tcp=False, host="127.0.0.1", contact=None, instance=None, reg_id=None):
        self.edge, (self.user, self.password) = edge, login
        if tcp:
            self.socket = Stream(edge, host)
            self.address, self.received = self.socket.address, []
        else:
            super().__init__(host)
        self.transport = "TCP" if tcp else "UDP"
        self.own = contact or f"sip:{self.user}@10.11.12.13:{free_port()}" + (";transport=tcp" if tcp else "")
        self.params = (f';+sip.instance="<urn:uuid:{instance}>"' if instance else "") + (f";reg-id={reg_id}" if reg_id else "")
        self.outbound, self.id, self.cseq, self.tag, self.nc = bool(reg_id), token("r"), 0, token("a"), {}

    contact = property(lambda self: self.own)

    def receive(self, seconds):
        if isinstance(self.socket, Stream) and self.socket.buffer.lstrip(b"\r\n"):
            seconds = 0
            message = Message.parse(self.socket.recvfrom(0)[0])
            self.received.append(message)
            return message
        end = time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
            data, self.peer = self.socket.recvfrom(65535)
            # What keeps a NAT open is no message.
            if data.strip():
                message = Message.parse(data)
                self.received.append(message)
                return message
        return None

    def request(self, *, contacts=None, expires=None, headers=(), to=None, uri=None):
        self.cseq += 1
        domain = uri or f"sip:{self.edge[0]}:{self.edge[1]}"
        aor = f"<sip:{to or self.user}@{self.edge[0]}>"
        rows = [
            ("Via", f"SIP/2.0/{self.transport} 10.11.12.13:5060;branch={token('z9hG4bK')};rport"), ("Max-Forwards", "70"),
            ("From", f"{aor};tag={token()}"), ("To", aor), ("Call-ID", self.id), ("CSeq", f"{self.cseq} REGISTER"), *headers,
        ]  # fmt: skip
        if self.outbound:
            rows.append(("Supported", "path, outbound"))
        rows += [("Contact", c) for c in ([f"<{self.own}>{self.params}"] if contacts is None else contacts)]
        if expires is not None:
            rows.append(("Expires", str(expires)))
        return Message(f"REGISTER {domain} SIP/2.0", rows)

    def ask(self, request, seconds=5):
        """Sends a request and gives its final answer."""
        self.send(request, self.edge)
        cseq = request.get("cseq")
        return self.receive_until(
            lambda m: m.status and m.status >= 200 and m.get("cseq") == cseq and m.get("call-id") == request.get("call-id"),
            seconds, f"an answer to {request}",
        )  # fmt: skip

    def register(self, *, at=0, password=None, user=None, **how):
        """Registers as a client does: asked for a password, it gives it."""
        asked = self.ask(self.request(**how))
        if asked.status != 401:
            return asked
        challenge = asked.all("www-authenticate")[at]
        request = self.request(**how)
        given = digest(challenge, "REGISTER", request.uri, user or self.user, password or self.password)
        request.headers.append(("Authorization", given))
        return self.ask(request)

    def take(self, seconds=5):
        """Waits for a call and answers it."""
        invite = self.receive_until(lambda m: m.method == "INVITE", seconds, "a call at the agent")
        self.send(invite.reply(200, "OK", to_tag=self.tag, contact=self.own, body=SDP), self.edge)
        self.invite = invite
        return invite

    def answer(self, method, seconds=5):
        """Waits for a request and says 200."""
        request = self.receive_until(lambda m: m.method == method, seconds, f"a {method} at the agent")
        if method != "ACK":
            self.send(request.reply(200, "OK", to_tag=self.tag), self.edge)
        return request


def bound(answer):
    """The URIs that a 200 to REGISTER lists, with the seconds of each."""
    contacts = answer.all("contact")
    return {re.search(r"<([^>]+)>", c)[1]: int(re.search(r"expires=(\d+)", c)[1]) for c in contacts}
