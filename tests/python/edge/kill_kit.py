"""Peers over TCP, with the words of `sip.Caller` and `sip.Agent`: for calls whose edge is killed in the middle."""

import os
import select
import signal
import socket
import time

from sip import Agent, Caller, Message


class Streams:
    """Sends and receives SIP over TCP, on connections of either side."""

    def __init__(self, host="127.0.0.1"):
        self.listener = socket.create_server((host, 0))
        self.address = self.listener.getsockname()
        self.connections, self.buffers, self.received = {}, {}, []

    @property
    def contact(self):
        return f"sip:test@{self.address[0]}:{self.address[1]};transport=tcp"

    def _drop(self, key):
        self.connections.pop(key).close()
        self.buffers.pop(key, None)

    def send(self, message, to):
        """On the connection to that peer; where it is gone, on a new one (RFC 3261 section 18.2.2)."""
        data = message.encode() if isinstance(message, Message) else message
        data = data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")
        for _ in range(2):
            known = self.connections.get(to)
            if known and self._is_gone(known):
                self._drop(to)
                known = None
            if known is None:
                known = self.connections[to] = socket.create_connection(getattr(self, "edge", to), 5)
                self.buffers[to] = b""
            try:
                return known.sendall(data)
            except OSError:
                self._drop(to)

    @staticmethod
    def _is_gone(connection):
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
                    connection, peer = one.accept()
                    self.connections[peer], self.buffers[peer] = connection, b""
                    continue
                try:
                    data = one.recv(65_536)
                except OSError:
                    data = b""
                if data:
                    self.buffers[by_socket[one]] += data
                else:
                    self._drop(by_socket[one])

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


def freeze(server):
    """What arrives from now on is in the kernel's hands: the process has not read it."""
    os.kill(server.process.pid, signal.SIGSTOP)
