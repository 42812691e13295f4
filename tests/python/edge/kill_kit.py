"""Peers over TCP and TLS, with the words of `sip.Caller` and `sip.Agent`: for calls whose edge is killed in the middle, and what kills
it: at a message that it is about to send (`killer.c`), or stopped while a message waits in its socket."""

import os
import select
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

from harness import wait_for
from sip import Agent, Caller, Message
from streams_kit import calling, serving


class Streams:
    """Sends and receives SIP over TCP, on connections of either side."""

    transport = "TCP"

    def __init__(self, host="127.0.0.1"):
        self.listener = socket.create_server((host, 0))
        self.address = self.listener.getsockname()
        self.connections, self.buffers, self.received = {}, {}, []

    @property
    def contact(self):
        return f"sip:test@{self.address[0]}:{self.address[1]};transport={self.transport.lower()}"

    def _opened(self, to):
        return socket.create_connection(to, 5)

    def _accepted(self):
        return self.listener.accept()

    def _drop(self, key):
        self.connections.pop(key).close()
        self.buffers.pop(key, None)

    def send(self, message, to):
        """On the connection to that peer; where it is gone, on a new one (RFC 3261 section 18.2.2)."""
        data = message.encode() if isinstance(message, Message) else message
        data = data.replace(b"SIP/2.0/UDP", f"SIP/2.0/{self.transport}".encode())
        for _ in range(2):
            known = self.connections.get(to)
            if known and self._is_gone(known):
                self._drop(to)
                known = None
            if known is None:
                known = self.connections[to] = self._opened(getattr(self, "edge", to))
                self.buffers[to] = b""
            try:
                return known.sendall(data)
            except OSError:
                self._drop(to)

    def _is_gone(self, connection):
        if not select.select([connection], [], [], 0)[0]:
            return False
        try:
            return connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def receive(self, seconds):
        end = time.monotonic() + max(0, seconds)
        while True:
            for key, buffer in list(self.buffers.items()):
                head, mark, rest = buffer.lstrip(b"\r\n").partition(b"\r\n\r\n")
                if not mark:
                    continue
                sizes = [row for row in head.split(b"\r\n") if row.lower().startswith(b"content-length")]
                size = int(sizes[0].split(b":")[1]) if sizes else 0
                if len(rest) < size:
                    continue
                self.buffers[key], self.peer = rest[size:], key
                message = Message.parse(head + mark + rest[:size])
                self.received.append(message)
                return message
            by_socket = {connection: key for key, connection in self.connections.items()}
            ready = select.select([self.listener, *by_socket], [], [], max(0, end - time.monotonic()))[0]
            if not ready:
                return None
            for one in ready:
                if one is self.listener:
                    try:
                        connection, peer = self._accepted()
                    except OSError:
                        continue
                    self.connections[peer], self.buffers[peer] = connection, b""
                    continue
                self._read(by_socket[one], one)

    def _read(self, key, connection):
        try:
            data = connection.recv(65_536)
        except (ssl.SSLWantReadError, TimeoutError):
            return
        except OSError:
            data = b""
        if data:
            self.buffers[key] += data
        else:
            self._drop(key)

    def close(self):
        for key in list(self.connections):
            self._drop(key)
        self.listener.close()


class TcpCaller(Streams, Caller):
    def __init__(self, edge, host="127.0.0.1"):
        Streams.__init__(self, host)
        self.edge = edge


class TcpAgent(Streams, Agent):
    """Answers on the connection that a request came on, or, where that is gone, on a new one to `edge`."""

    def __init__(self, how="answer", host="127.0.0.1", edge=None):
        self._after = lambda: Streams.__init__(self, host)
        Agent.__init__(self, how, host)
        if edge:
            self.edge = edge

    @property
    def uri(self):
        return f"sip:{self.address[0]}:{self.address[1]};transport=tcp"

    def _run(self):
        self.socket.close()
        self._after()
        self.bound = True
        Agent._run(self)

    def close(self):
        self._stop.set()
        self._thread.join(5)
        Streams.close(self)


class Tls:
    """The same over TLS; `authority` signs the agents' certificates and is trusted by all."""

    transport = "TLS"
    authority = None

    def _opened(self, to):
        connection = calling(self.authority).wrap_socket(super()._opened(to))
        connection.settimeout(0.2)
        return connection

    def _accepted(self):
        plain, peer = super()._accepted()
        plain.settimeout(3)
        connection = self.context.wrap_socket(plain, server_side=True)
        connection.settimeout(0.2)
        return connection, peer

    def _is_gone(self, connection):
        # What waits there may be a ticket with the end behind it: it is read.
        key = next(key for key, known in self.connections.items() if known is connection)
        while connection.pending() or select.select([connection], [], [], 0)[0]:
            self._read(key, connection)
            if key not in self.connections:
                return True
        return False

    def _drop(self, key):
        if key in self.connections:
            super()._drop(key)


class TlsCaller(Tls, TcpCaller):
    def __init__(self, edge, authority):
        self.authority, self.context = authority, serving(authority.issue("localhost", "127.0.0.1"))
        super().__init__(edge)


class TlsAgent(Tls, TcpAgent):
    def __init__(self, how="answer", edge=None, authority=None):
        self.authority, self.context = authority, serving(authority.issue("localhost", "127.0.0.1"))
        super().__init__(how, edge=edge)

    @property
    def uri(self):
        return f"sip:localhost:{self.address[1]};transport=tls"


def killed_at(folder, *words):
    """What makes a server die (SIGKILL) instead of sending its first UDP or TCP message that has all these words in its head, as
    environment; `off` is to be called before the next start."""
    library = Path(folder) / "killer.so"
    source = Path(__file__).with_name("killer.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True, timeout=60)
    return {"LD_PRELOAD": str(library), "KILL_AT": "|".join(words)}


def died(server, seconds=10):
    """Waits until the server has killed itself."""
    assert server.process.wait(seconds) == -signal.SIGKILL, server.last_log()


def freeze(server):
    """What arrives from now on is in the kernel's hands: the process has not read it."""
    os.kill(server.process.pid, signal.SIGSTOP)
    threads = Path(f"/proc/{server.process.pid}/task")
    state = lambda task: (task / "stat").read_text().rpartition(")")[2].split()[0]  # noqa: E731
    wait_for(lambda: all(state(task) == "T" for task in threads.iterdir()), "every thread has stopped")
