"""Who is nobody here hears nothing: scanners find no server, floods leave trunk calls alone, bans come and go by what is done."""

import re
import socket
import subprocess
import sys
import threading
import time

import pytest
from access_kit import Agent, digest
from calls_kit import answering, caller, carrier, line  # noqa: F401
from harness import new_number, ok, wait_for
from sip import Caller, token

TRUNK = "127.0.0.40"


@pytest.fixture
def quiet(fresh):
    """A server whose only trunk sends from an address of its own; agents may register, and one trunk takes a password."""
    tenant = fresh.start().tenant("quiet")
    tenant.settings(imports="open")
    tenant.its_trunk = tenant.trunk(TRUNK)
    return tenant


def metric(server, name):
    found = re.search(rf"^{re.escape(name)} (\d+)", server.admin.get("/metrics").text, re.M)
    return int(found[1]) if found else 0


def bans(server):
    return ok(server.admin.get("/api/v1/bans"), 200)["data"]


def vicious(tool, *arguments):
    """One run of sipvicious; what it says, once that is asked for."""
    command = [sys.executable.replace("python3", "python").rsplit("/", 1)[0] + f"/sipvicious_{tool}", *map(str, arguments)]
    run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return lambda: run.communicate(timeout=60)[0]


@pytest.mark.parametrize("registering", [False, True], ids=["closed", "registering"])
def test_sipvicious_finds_nothing(quiet, answering, tmp_path, registering):  # noqa: F811
    if registering:
        # Even where strangers may prove themselves, by registering and by a trunk's password.
        quiet.number(trunk=quiet.its_trunk, endpoint_id=quiet.endpoint("sip:registered.invalid")["id"])
        inbound = {"allowed_addresses": [], "credentials": {"username": "line", "password": "secret"}}
        ok(quiet.admin.post("/api/v1/providers", json={"kind": "sip_trunk", "label": "p", "inbound": inbound}), 201)
    host, port = quiet.server.sip
    (tmp_path / "passwords").write_text("\n".join(f"secret{n}" for n in range(20)))
    # Without an answer each run takes the tool's own patience, some seconds: all at once.
    control = vicious("svmap", "-p", answering.address[1], "127.0.0.1")
    maps = [vicious("svmap", "-p", port, "-m", method, host) for method in (("OPTIONS", "INVITE") if registering else ("REGISTER",))]
    wars = [
        vicious("svwar", "-p", port, "-m", method, "-e", "100-120", "--maximumtime", 2, host)
        for method in (("REGISTER", "INVITE") if registering else ("OPTIONS",))
    ]
    crack = vicious("svcrack", "-p", port, "-u", "100", "-d", tmp_path / "passwords", host)
    # First the tool itself: it does find whoever answers.
    found = control()
    assert f"127.0.0.1:{answering.address[1]}" in found, found
    for found in [run() for run in maps]:
        assert "found nothing" in found and f"{host}:{port}" not in found, found
    for found in [run() for run in wars]:
        assert "reqauth" not in found and "noauth" not in found and "weird" not in found, found
    found = crack()
    assert "The password" not in found and "| 100" not in found, found
    # To find what a server says of a name that is not there, one tool first tries a long random one, which could be a number: where
    # a password lets a call in from anywhere, that is asked for it, as any number is.
    sent = metric(quiet.server, 'trunkline_sip_messages_total{direction="out",transport="udp"}')
    assert sent <= (2 if registering else 0), sent
    quiet.server.assert_up()


def test_options_is_answered_to_those_who_belong_here(quiet):
    quiet.endpoint("sip:127.0.0.1:9", source_addresses=["127.0.0.44"])
    for host in (TRUNK, "127.0.0.44"):
        with Caller(quiet.server.sip, host=host) as known:
            assert known.options().status == 200
    with Caller(quiet.server.sip, host="127.0.0.45") as stranger:
        with pytest.raises(AssertionError, match="an answer to OPTIONS"):
            stranger.options(seconds=1)


def test_an_unknown_caller_hears_nothing_but_leaves_a_row(quiet):
    dialled = new_number()
    with Caller(quiet.server.sip, host="127.0.0.46") as stranger:
        stranger.invite(dialled)
        assert stranger.receive(0.7) is None
    rows = lambda: ok(quiet.server.admin.get("/api/v1/calls"), 200)["data"]  # noqa: E731
    wait_for(lambda: [c["sip_status"] for c in rows() if c["to"] == dialled] == [403], "the operator finds it")


def flood(stop, host, edge, make, count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind((host, 0))
        while not stop.is_set():
            for _ in range(20):
                out.sendto(make(), edge)
                count[0] += 1
            time.sleep(0.004)


def request(method):
    text = (
        f"{method} sip:100@h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch={token('z9hG4bK')}\r\nFrom: <sip:a@h>;tag={token()}\r\n"
        f"To: <sip:a@h>\r\nCall-ID: {token()}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    return text.encode()


@pytest.mark.alone
def test_floods_of_strangers_leave_trunk_calls_alone(quiet, answering):  # noqa: F811
    number = line(quiet, answering.uri)
    stop, counts = threading.Event(), [[0] for _ in range(4)]
    floods = [("127.0.0.51", lambda: request("OPTIONS")), ("127.0.0.52", lambda: request("INVITE")),
              ("127.0.0.53", lambda: b"INVITE sip:x SIP/2.0\r\nVia: y\r\n" + b"z" * 400), ("127.0.0.54", lambda: request("REGISTER"))]  # fmt: skip
    threads = [threading.Thread(target=flood, args=(stop, host, quiet.server.sip, make, count))
               for (host, make), count in zip(floods, counts)]  # fmt: skip
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        took = []
        with Caller(quiet.server.sip, host=TRUNK) as carrier:  # noqa: F811
            for _ in range(20):
                began = time.monotonic()
                call = carrier.invite(number["e164"])
                assert call.final(2).status == 200
                took.append(time.monotonic() - began)
                call.bye()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    sent = sum(count[0] for count in counts)
    assert sent > 3_000 and sorted(took)[10] < 0.5, (sent, took)
    banned = {ban["address"] for ban in bans(quiet.server)}
    assert {"127.0.0.51", "127.0.0.52", "127.0.0.54"} <= banned and TRUNK not in banned, banned
    assert metric(quiet.server, 'trunkline_sip_dropped_total{reason="banned"}') > 0
    with Caller(quiet.server.sip, host=TRUNK) as carrier:  # noqa: F811
        call = carrier.invite(number["e164"])
        assert call.final().status == 200
        call.bye()


def test_a_ban_reaches_nobody_who_belongs_here_and_the_operator_lifts_it(quiet, answering):  # noqa: F811
    number = quiet.number(trunk=quiet.its_trunk, endpoint_id=quiet.endpoint("sip:registered.invalid")["id"])
    made = ok(quiet.admin.post(f"/api/v1/numbers/{number['id']}/sip-credentials"), 200)
    login = made["sip_username"], made["sip_password"]
    with Agent(quiet.server.sip, login, host="127.0.0.61") as bad, Agent(quiet.server.sip, login, host="127.0.0.62") as good:
        assert good.register().status == 200
        # A list of passwords: after some three dozen there is silence.
        answers = 0
        for n in range(60):
            bad.send(bad.request(), bad.edge)
            challenge = bad.receive(1.5)
            if challenge is None:
                break
            asked = bad.request()
            given = digest(challenge.all("www-authenticate")[0], "REGISTER", asked.uri, login[0], f"guess {n}")
            asked.headers.append(("Authorization", given))
            bad.send(asked, bad.edge)
            answers += bad.receive(1.5) is not None
        assert 30 <= answers <= 40, answers
        [ban] = bans(quiet.server)
        assert ban["address"] == "127.0.0.61" and ban["until"] > ban["since"]
        # Guessing at a line keeps its own agent from nothing.
        assert good.register().status == 200
        # Only the operator sees who is banned, and hears somebody again.
        assert quiet.native.get("/api/v1/bans").status_code == 403
        assert quiet.native.delete("/api/v1/bans/127.0.0.61").status_code == 403
        assert quiet.server.admin.delete("/api/v1/bans/127.0.0.99").status_code == 404
        assert quiet.server.admin.delete("/api/v1/bans/nobody").status_code == 404
        ok(quiet.server.admin.delete("/api/v1/bans/127.0.0.61"), 204)
        assert bans(quiet.server) == [] and bad.register().status == 200
        # Now it has proved itself: what comes in its name is no reason to ban it.
        with Caller(quiet.server.sip, host="127.0.0.61") as spoofed:
            for _ in range(300):
                spoofed.send(request("SUBSCRIBE"), quiet.server.sip)
        assert bad.register().status == 200 and bans(quiet.server) == []


def test_what_is_sent_in_the_name_of_a_called_agent_does_not_cut_its_calls(quiet):
    with Caller(quiet.server.sip, host="127.0.0.63") as spoofed:
        from sip import Agent as Answering

        with Answering(host="127.0.0.63") as agent:
            number = line(quiet, agent.uri)
            for _ in range(300):
                spoofed.send(request("OPTIONS"), quiet.server.sip)
            wait_for(lambda: bans(quiet.server), "the address is banned")
            with Caller(quiet.server.sip, host=TRUNK) as carrier:  # noqa: F811
                call = carrier.invite(number["e164"])
                assert call.final().status == 200, "its answers pass"
                agent.send_bye(quiet.server.sip)
                bye = carrier.receive_until(lambda m: m.method == "BYE", 5, "a BYE at the caller")
                carrier.send(bye.reply(200, "OK"), carrier.peer)
                agent.wait("ACK")
