"""SIP over TCP, TLS and WebSocket for tests: certificates, and callers and agents on connections of their own.

Written from RFC 3261, 5246, 6455 and 7118 and from nothing of the service under test.
"""

import base64
import datetime
import hashlib
import ipaddress
import os
import select
import socket
import ssl
import struct
import threading
import time

import harness
import sip
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from harness import free_port

SECURE = ("TLS", "WSS")
WEB = ("WS", "WSS")


class Authority:
    """Signs certificates, for a day or for one that is over."""

    def __init__(self, folder, name="authority"):
        self.folder, self.name, self.key, self.count = folder, name, ec.generate_private_key(ec.SECP256R1()), 0
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {os.urandom(4).hex()}")])
        usage = x509.BasicConstraints(ca=True, path_length=0)
        self.certificate = self._sign(self.subject, self.key.public_key(), [(usage, True)])
        self.path = self._write(f"{name}.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, public, extensions, days=(-1, 1)):
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject).public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0])).not_valid_after(now + datetime.timedelta(days=days[1]))
        )  # fmt: skip
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def issue(self, *names, days=(-1, 1), at=None):
        """A certificate and its key as files: names are DNS names, addresses, or URIs. `at` names the files to be replaced."""
        def read(name):
            if ":" in name and name.startswith(("sip:", "sips:", "https:")):
                return x509.UniformResourceIdentifier(name)
            try:
                return x509.IPAddress(ipaddress.ip_address(name))
            except ValueError:
                return x509.DNSName(name)

        self.count += 1
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        more = [(x509.SubjectAlternativeName([read(name) for name in names]), False), (both, False)]
        signed = self._sign(subject, key.public_key(), more, days)
        label = at or f"{self.name}-{self.count}"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = self._write(f"{label}.crt", signed.public_bytes(serialization.Encoding.PEM))
        return certificate, self._write(f"{label}.key", private)


def serving(pair, *, ask=None):
    """The TLS of a server with this certificate; `ask` is the authority of callers' certificates, which it then requires."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if ask:
        context.load_verify_locations(ask.path)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def calling(authority, pair=None):
    """The TLS of a client that trusts an authority and does not look at names; with a certificate of its own, if one is given."""
    context = ssl.create_default_context(cafile=authority.path)
    context.check_hostname = False
    if pair:
        context.load_cert_chain(*pair)
    return context


class Link:
    """One connection: whole messages in, whole messages out. `pings` counts double line breaks, each answered by one, and the pings
    of a WebSocket; `said` is the code and the reason that one was closed with."""

    def __init__(self, connection, transport, *, server, silent=False):
        self.socket, self.transport, self.server, self.silent = connection, transport, server, silent
        # An SSL socket bears one thread at a time.
        self.lock = threading.RLock()
        self.buffer, self.messages, self.pings, self.pongs, self.open, self.said = b"", [], 0, 0, True, None
        if transport in WEB:
            (self._welcome if server else self._ask)()

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.open = False
        self.socket.close()

    def send(self, data):
        with self.lock:
            self.socket.sendall(self._framed(data) if self.transport in WEB else data)

    def pending(self):
        with self.lock:
            return bool(self.messages) or isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def read(self):
        """Takes what has arrived; False when the other end closed."""
        with self.lock:
            return self._read()

    def _read(self):
        try:
            # What has arrived may be a ticket of TLS and nothing behind it.
            patience = self.socket.gettimeout()
            self.socket.settimeout(0)
            try:
                data = self.socket.recv(65536)
            finally:
                self.socket.settimeout(patience)
        except (ssl.SSLWantReadError, BlockingIOError):
            return True
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        self.buffer += data
        (self._frames if self.transport in WEB else self._messages)()
        return True

    def _messages(self):
        while self.buffer:
            if self.buffer.startswith(b"\r\n\r\n"):
                self.buffer, self.pings = self.buffer[4:], self.pings + 1
                if not self.silent:
                    self.socket.sendall(b"\r\n")
                continue
            if self.buffer.startswith(b"\r\n"):
                self.buffer, self.pongs = self.buffer[2:], self.pongs + 1
                continue
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(sip.Message.parse(head + found).get("content-length"))
            if len(rest) < length:
                return
            self.messages.append(sip.Message.parse(head + found + rest[:length]))
            self.buffer = rest[length:]

    # --- WebSocket (RFC 6455), as much of it as SIP uses ---

    def _line_end(self):
        while b"\r\n\r\n" not in self.buffer:
            data = self.socket.recv(4096)
            assert data, "the handshake of the WebSocket was ended"
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head.decode()

    @staticmethod
    def _accepted(key):
        return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()

    def _ask(self, protocol="sip"):
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n".encode()
        )
        head = self._line_end()
        self.upgraded = head
        assert " 101 " in head.split("\r\n")[0] and self._accepted(key) in head, head
        assert "sec-websocket-protocol: sip" in head.lower(), head

    def _welcome(self):
        head = self.asked = self._line_end()
        [key] = [line.split(":", 1)[1].strip() for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key:")]
        assert "sec-websocket-protocol: sip" in head.lower(), head
        self.socket.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {self._accepted(key)}\r\nSec-WebSocket-Protocol: sip\r\n\r\n".encode()
        )

    def _framed(self, data, opcode=1):
        mask = b"" if self.server else os.urandom(4)
        size = len(data)
        bit = 0 if self.server else 0x80
        kind, form = (size, "") if size < 126 else (126, ">H") if size < 1 << 16 else (127, ">Q")
        length = bytes([bit | kind]) + (struct.pack(form, size) if form else b"")
        body = data if self.server else bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        return bytes([0x80 | opcode]) + length + mask + body

    def _frames(self):
        while len(self.buffer) >= 2:
            masked, size, at = self.buffer[1] & 0x80, self.buffer[1] & 0x7F, 2
            if size == 126:
                size, at = struct.unpack(">H", self.buffer[2:4])[0], 4
            assert size < 127 or at == 4, "no message is that long"
            mask = self.buffer[at : at + 4] if masked else b"\0\0\0\0"
            at += 4 if masked else 0
            if len(self.buffer) < at + size:
                return
            opcode = self.buffer[0] & 15
            body = bytes(b ^ mask[i % 4] for i, b in enumerate(self.buffer[at : at + size]))
            self.buffer = self.buffer[at + size :]
            assert bool(masked) == self.server, "clients mask, servers do not"
            if opcode == 9:
                self.pings += 1
                if not self.silent:
                    self.socket.sendall(self._framed(body, 10))
            elif opcode == 10:
                self.pongs += 1
            elif opcode == 8:
                self.said = (struct.unpack(">H", body[:2])[0], body[2:].decode()) if body else None
                self.close()
                return
            elif body.strip():
                assert opcode in (1, 2)
                self.messages.append(sip.Message.parse(body))


class Streams:
    """What takes the place of the UDP socket of a sip.Peer: connections that it made or accepted."""

    called = None  # Its host in its Contact, where that is not its address.

    def _begin(self, transport, context, host, listens=True):
        self.transport, self.context, self.links, self.refused = transport, context, [], []
        self.address, self.received = (host, free_port("127.0.0.1" if ":" in host else host)), []
        self.silent, self.serving = False, context
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = None
        if listens:
            self.socket = socket.socket(family, socket.SOCK_STREAM)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.address)
            self.socket.listen(16)

    @property
    def host(self):
        return f"[{self.address[0]}]" if ":" in self.address[0] else self.address[0]

    @property
    def contact(self):
        return f"sip:test@{self.called or self.host}:{self.address[1]};transport={self.transport.lower()}"

    def close(self):
        for link in self.links:
            link.close()
        if self.socket:
            self.socket.close()

    def connect(self, to):
        """A connection to an address, new or still there."""
        for link in self.links:
            if link.open and getattr(link, "to", None) == to:
                return link
        plain = socket.create_connection(to, 5, source_address=(self.address[0], 0))
        if self.transport in SECURE:
            plain = self.context.wrap_socket(plain)
        link = Link(plain, self.transport, server=False, silent=self.silent)
        link.to = to
        self.links.append(link)
        return link

    def send(self, message, to):
        link = to if isinstance(to, Link) else self.connect(to)
        data = message.encode() if isinstance(message, sip.Message) else message
        mine = f"SIP/2.0/UDP {self.address[0]}:{self.address[1]}"
        data = data.replace(mine.encode(), f"SIP/2.0/{self.transport} {self.host}:{self.address[1]}".encode())
        link.send(data)

    def receive(self, seconds):
        """The next message, or None."""
        end = time.monotonic() + seconds
        while True:
            for link in self.links:
                if link.messages:
                    message, self.peer = link.messages.pop(0), link
                    self.received.append(message)
                    return message
            self.links = [link for link in self.links if link.open]
            if any(link.pending() and link.read() for link in self.links):
                continue
            left = end - time.monotonic()
            watched = [*self.links, *([self.socket] if self.socket else [])]
            if left <= 0 or not watched:
                return None
            try:
                found = select.select(watched, [], [], left)[0]
            except (OSError, ValueError):
                # A test has closed one of them under this thread.
                continue
            for ready in found:
                if ready is self.socket:
                    self._accept()
                else:
                    ready.read()

    def _accept(self):
        plain, _ = self.socket.accept()
        plain.settimeout(3)
        try:
            stream = self.serving.wrap_socket(plain, server_side=True) if self.transport in SECURE else plain
            link = Link(stream, self.transport, server=True, silent=self.silent)
        except (OSError, AssertionError) as error:
            self.refused.append(error)
            plain.close()
            return
        stream.settimeout(3)
        self.links.append(link)


class StreamCaller(Streams, sip.Caller):
    """A sip.Caller over a stream; with `listens` it can be connected to, as `serving` shows it."""

    def __init__(self, transport, edge, context=None, host="127.0.0.1", listens=False, serving=None):
        self._begin(transport, context, host, listens)
        self.edge, self.serving = edge, serving


class StreamAgent(Streams, sip.Agent):
    """A sip.Agent over a stream; `name` is its host in its URI."""

    def __init__(self, transport, context=None, how="answer", host="127.0.0.1", name=None):
        self._begin(transport, context, host)
        self.name = name or self.host
        self.how, self.tag, self.requests, self.last = how, sip.token("a"), [], None
        self.news, self._stop = sip.threading.Condition(), sip.threading.Event()
        self._thread = sip.threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def uri(self):
        return f"sip:{self.name}:{self.address[1]};transport={self.transport.lower()}"

    def close(self):
        self._stop.set()
        self._thread.join(5)
        Streams.close(self)


def caller_on(server, authority, transport):
    if transport == "UDP":
        return sip.Caller(server.sip)
    return StreamCaller(transport, server.at[transport], calling(authority))


def agent_on(authority, transport, **how):
    if transport == "UDP":
        return sip.Agent(**how)
    context = serving(authority.issue("localhost")) if transport in SECURE else None
    return StreamAgent(transport, context, name="localhost", **how)


def edge(folder, authority, *transports, arguments=(), names=("localhost", "127.0.0.1"), host="127.0.0.1"):
    """A server, not yet started, with these further listeners (`at[transport]`) and a certificate that the authority signed."""
    at, more = {}, []
    for transport in transports:
        at[transport] = (host, free_port("127.0.0.1" if ":" in host else host))
        place = f"[{host}]" if ":" in host else host
        more += ["--sip", f"{transport.lower()}:{place}:{at[transport][1]}"]
    if authority:
        certificate, key = authority.issue(*names, at="server")
        more += ["--sip-tls-certificate", certificate, "--sip-tls-key", key, "--sip-tls-ca", authority.path]
    server = harness.Server(folder, arguments=[*more, *arguments])
    server.at = at | {"UDP": server.sip, "TCP": server.sip}
    return server


def metric(server, name):
    """The sum of a counter's values, by whatever labels are named in it."""
    rows = [line for line in server.admin.get("/metrics").text.splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in rows)
