"""Sends new INVITEs to one place for a bounded time, as fast as this machine lets it or so many a second: usage flood.py HOST PORT
NUMBER SECONDS [A_SECOND].
Each is a call of its own; nothing is read but counted: how many were told 503 with Retry-After. Prints "sent shed"."""

import itertools
import os
import socket
import sys
import time

INVITES_MAX = 2_000_000


def main(host, port, number, seconds, rate=None):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind(("127.0.0.1", 0))
    out.setblocking(False)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    mine, run = "%s:%d" % out.getsockname(), os.getpid()
    text = (
        f"INVITE sip:{number}@{host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {mine};branch=z9hG4bKf{run}x%d\r\nMax-Forwards: 70\r\n"
        f"From: <sip:+12125550100@{mine}>;tag=f%d\r\nTo: <sip:{number}@{host}>\r\nCall-ID: flood{run}x%d\r\nCSeq: 1 INVITE\r\n"
        f"Contact: <sip:flood@{mine}>\r\nContent-Length: 0\r\n\r\n"
    )
    begun = time.monotonic()
    end, sent, shed = begun + seconds, 0, 0
    for n in itertools.islice(itertools.count(), INVITES_MAX):
        try:
            out.sendto((text % (n, n, n)).encode(), (host, port))
            sent += 1
        except BlockingIOError:
            pass
        if n % 16 == 0:
            if rate and (ahead := n / rate - (time.monotonic() - begun)) > 0:
                time.sleep(ahead)
            try:
                while answer := out.recv(4096):
                    shed += answer.startswith(b"SIP/2.0 503 ") and b"\r\nRetry-After: " in answer
            except (BlockingIOError, ConnectionRefusedError):
                pass
            if time.monotonic() > end:
                break
    print(sent, shed)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], *map(float, sys.argv[4:]))
