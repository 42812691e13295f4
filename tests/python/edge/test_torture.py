"""A handful of RFC 4475's messages at the real binary, by datagrams and by stream: what tests/torture/OUTCOMES.md says of each."""

import re
import socket

import pytest
from calls_kit import caller, carrier  # noqa: F401
from harness import ROOT

FOLDER = ROOT / "tests" / "torture"
# Not those whose outcome depends on which numbers and registrations a server has.
HANDFUL = ["bext01", "insuf", "lwsstart", "mismatch01", "multi01", "novelsc", "quotbal", "semiuri", "unkscm", "zeromf"]


def outcomes():
    rows = [row.strip("|").split(" | ") for row in (FOLDER / "OUTCOMES.md").read_text().splitlines() if row.startswith("| `")]
    return {row[0].strip(" `"): row[3].strip() for row in rows}


def message(name):
    return (FOLDER / f"{name}.dat").read_bytes()


def asking_rport(data):
    """The same, asking to be answered where it comes from: the senders of the RFC stand at fixed ports. With a branch of its own,
    since what comes on a stream with the same one would be a repeat of this."""
    data = re.sub(rb"(?im)^((?:via|v)\s*:\s*SIP/2\.0/\w+ [^;,\s]+)", rb"\1;rport", data, count=1)
    return re.sub(rb"(branch=z9hG4bK)", rb"\1-udp-", data, count=1)


def status_line(data):
    return data.split(b"\r\n", 1)[0].decode().removeprefix("SIP/2.0 ")


@pytest.mark.parametrize("name", HANDFUL)
def test_a_datagram_becomes_what_the_table_says(carrier, name):  # noqa: F811
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as party:
        party.bind(("127.0.0.1", 0))
        party.settimeout(5)
        party.sendto(asking_rport(message(name)), carrier.server.sip)
        assert status_line(party.recv(65_535)) == outcomes()[name]


@pytest.mark.parametrize("name", HANDFUL)
def test_on_a_stream_it_is_the_same(carrier, name):  # noqa: F811
    with socket.create_connection(carrier.server.sip, timeout=5) as party:
        party.sendall(message(name))
        assert status_line(party.recv(65_535)) == outcomes()[name]


def test_answers_to_nothing_and_strangers_meet_silence(carrier, caller):  # noqa: F811
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as party, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        party.bind(("127.0.0.1", 0))
        stranger.bind(("127.0.0.77", 0))
        for name in ["bcast", "bigcode", "noreason", "scalarlg", "unreason"]:
            assert outcomes()[name] == "silence"
            party.sendto(asking_rport(message(name)), carrier.server.sip)
        for name in HANDFUL:
            stranger.sendto(asking_rport(message(name)), carrier.server.sip)
        # answered after all of them: whatever they made is on its way by now
        assert caller.options().status == 200
        for silent in (party, stranger):
            silent.settimeout(0.3)
            with pytest.raises(TimeoutError):
                silent.recv(65_535)
