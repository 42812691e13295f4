"""A DNS server for tests: answers from a table over UDP, counts its questions, and can keep silent. Written from RFC 1035, 2782, 3403."""

import ipaddress
import socket
import struct
import threading

from harness import free_port

A, SOA, AAAA, SRV, NAPTR = 1, 6, 28, 33, 35


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.rstrip(".").split(".") if label) + b"\0"


def word(text):
    return bytes([len(text)]) + text.encode()


def data(kind, value):
    if kind in (A, AAAA):
        return ipaddress.ip_address(value).packed
    if kind == SRV:
        priority, weight, port, target = value
        return struct.pack(">HHH", priority, weight, port) + name(target)
    order, preference, service, replacement = value
    return struct.pack(">HH", order, preference) + word("s") + word(service) + word("") + name(replacement)


class Dns:
    """`rows[name, kind]` is a list of values; what is not there is answered so. `ttl` in seconds."""

    def __init__(self, ttl=60):
        self.address = ("127.0.0.1", free_port())
        self.rows, self.ttl, self.silent, self.asked = {}, ttl, False, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.socket.settimeout(0.1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(5)
        self.socket.close()

    @property
    def setting(self):
        return f"{self.address[0]}:{self.address[1]}"

    def put(self, where, kind, *values):
        self.rows[where.lower(), kind] = list(values)

    def _run(self):
        while not self._stop.is_set():
            try:
                query, source = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode())
                at += 1 + query[at]
            where, kind = ".".join(labels).lower(), struct.unpack(">H", query[at + 1 : at + 3])[0]
            self.asked.append((where, kind))
            if self.silent:
                continue
            values = self.rows.get((where, kind), [])
            there = any(known == where for known, _ in self.rows)
            answers = b"".join(
                b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, self.ttl, len(data(kind, value))) + data(kind, value)
                for value in values
            )
            authority = b""
            if not values:
                # Without a SOA nobody may remember that there is nothing (RFC 2308).
                rdata = name("ns.test") + name("admin.test") + struct.pack(">IIIII", 1, 60, 60, 60, 60)
                authority = name("test") + struct.pack(">HHIH", SOA, 1, 60, len(rdata)) + rdata
            flags = 0x8580 | (0 if there else 3)
            head = query[:2] + struct.pack(">HHHHH", flags, 1, len(values), 0 if values else 1, 0)
            self.socket.sendto(head + query[12 : at + 5] + answers + authority, source)
