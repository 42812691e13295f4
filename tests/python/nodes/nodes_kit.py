"""Several nodes on one PostgreSQL of the test's own, and one SIP address before them, as a balancer of calls has it."""

import contextlib
import select
import socket
import threading

import pytest
from harness import Server, free_port, wait_for
from sip import Message
from stores import Database, Postgres


@pytest.fixture
def postgres():
    """One that the test may stop."""
    one = Postgres()
    try:
        yield one
    finally:
        one.remove()


class Cluster:
    """Nodes with one database, one secret and one operator's key; each has its own folder, as on a machine of its own."""

    def __init__(self, folder, postgres, arguments=(), public=None):
        self.folder, self.postgres, self.nodes = folder, postgres, []
        self.arguments = ["--drain-seconds", "5", *arguments]
        if public:
            place = "{}:{}".format(*public)
            self.arguments += ["--public-sip", f"udp:{place}", "--public-sip", f"tcp:{place}"]

    def node(self):
        """One more, not yet started."""
        first = self.nodes[0] if self.nodes else None
        folder = self.folder / f"node{len(self.nodes)}"
        folder.mkdir()
        store = Database(folder, self.postgres, of=first.store if first else None)
        one = Server(folder, arguments=self.arguments, store=store)
        if first:
            one.admin_key = first.admin_key
        self.nodes.append(one)
        return one

    def stop(self):
        codes = [node.stop(20) for node in self.nodes if node.process]
        assert all(code in (0, -9) for code in codes), [node.last_log() for node in self.nodes]


@contextlib.contextmanager
def cluster(folder, postgres, count=2, **how):
    nodes = Cluster(folder, postgres, **how)
    try:
        for _ in range(count):
            nodes.node().start()
        yield nodes
    finally:
        nodes.stop()


def health(node):
    return node.anonymous.get("/health/ready").json()


def follows(node, other, seconds=10):
    """Waits until a node has what another one has now."""
    there = health(other)["table"]["generation"]
    wait_for(lambda: health(node)["table"]["generation"] >= there, f"generation {there} is applied", seconds)


class Balancer:
    """One UDP address before several nodes. A call's messages go to the node that has its Call-ID for as long as that lives and
    is known; new calls go to those that are ready, in turn. Answers find their way by the Via behind ours (RFC 3261 section 18.2.2)."""

    def __init__(self):
        self.address = ("127.0.0.1", free_port())
        self.nodes, self.ready, self.homes, self.turn = [], set(), {}, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(self.address)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def before(self, *nodes):
        self.nodes = list(nodes)
        self.ready = set(nodes)
        self._thread.start()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self.socket.close()

    def gone(self, node):
        """It takes nothing any more: its calls go to the others."""
        self.ready.discard(node)
        self.homes = {call: home for call, home in self.homes.items() if home is not node}

    def _home(self, message):
        call = message.get("call-id")
        home = self.homes.get(call)
        if home is None:
            ready = sorted(self.ready, key=self.nodes.index)
            home = ready[self.turn % len(ready)]
            self.turn += 1
            self.homes[call] = home
        return home

    def _run(self):
        while not self._stop.is_set():
            if not select.select([self.socket], [], [], 0.1)[0]:
                continue
            try:
                data, source = self.socket.recvfrom(65_535)
            except ConnectionRefusedError:
                continue
            message = Message.parse(data)
            places = {node.sip for node in self.nodes}
            if message.status and source in places:
                sent_by = message.get("via").split()[1].split(";")[0]
                host, port = sent_by.rsplit(":", 1)
                self.socket.sendto(data, (host, int(port)))
            else:
                self.socket.sendto(data, self._home(message).sip)
