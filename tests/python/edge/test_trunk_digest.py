"""Callers that prove who they are: a trunk's digest credentials, with real peers; strangers, floods, and names that others have too."""

import hashlib
import re
import threading
import time

import pytest
from harness import Server, new_number, ok, wait_for, while_up
from sip import Caller, Sipp, token
from calls_kit import answering, caller, carrier, line, up


# --- Digest ------------------------------------------------------------------------------------------------------------------

USER, PASSWORD = "line-1", "correct horse: battery"


@pytest.fixture(scope="module")
def digest(tmp_path_factory):
    """A server of its own: where any trunk asks for a password, strangers are asked."""
    with while_up(Server(tmp_path_factory.mktemp("digest"))) as server:
        tenant = server.tenant("digest")
        tenant.settings(imports="open")
        inbound = {"allowed_addresses": [], "credentials": {"username": USER, "password": PASSWORD}}
        body = {"kind": "sip_trunk", "label": "d", "inbound": inbound}
        tenant.its_trunk = ok(tenant.admin.post("/api/v1/providers", json=body), 201)
        yield tenant


def answer_to(challenge, call, *, user=USER, password=PASSWORD, nc=1, uri=None):
    """What a client answers (RFC 7616 section 3.4.1)."""
    part = lambda name: re.search(rf'{name}="?([^",]+)', challenge)[1]  # noqa: E731
    hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[part("algorithm")]
    hexed = lambda text: hashed(text.encode()).hexdigest()  # noqa: E731
    uri, cnonce = uri or call.target, token("n")
    first, second = hexed(f"{user}:{part('realm')}:{password}"), hexed(f"INVITE:{uri}")
    response = hexed(f"{first}:{part('nonce')}:{nc:08x}:{cnonce}:auth:{second}")
    return (
        f'Digest username="{user}", realm="{part("realm")}", nonce="{part("nonce")}", uri="{uri}", response="{response}", '
        f'algorithm={part("algorithm")}, cnonce="{cnonce}", qop=auth, nc={nc:08x}'
    )


def challenges(answer):
    assert answer.status == 407, answer
    values = answer.all("proxy-authenticate")
    assert [re.search(r"algorithm=([^,]+)", v)[1] for v in values] == ["MD5", "SHA-256"], values
    assert all('qop="auth"' in v and 'realm="' in v for v in values)
    return values


def test_a_caller_proves_itself_by_sipp(digest, answering, tmp_path):
    number = line(digest, answering.uri)
    # SIPp reads a password up to the next blank.
    digest.admin.patch(f"/api/v1/providers/{digest.its_trunk['id']}",
                       json={"inbound": {"allowed_addresses": [], "credentials": {"username": "sipp", "password": "tested"}}})  # fmt: skip
    try:
        Sipp(tmp_path, "caller_digest", remote=digest.server.sip, user=number["e164"], **{"password": "tested"}, name="sipp").finish()
        digest.call_with(number["e164"], "completed")
        [invite] = answering.got("INVITE")
        assert invite.all("proxy-authorization") == [], "what was for us goes no further"
        Sipp(tmp_path, "caller_digest_refused", remote=digest.server.sip, user=number["e164"], password="wrong", name="sipp").finish()
        assert len(answering.got("INVITE")) == 1
        # What was tried with a wrong password can be found.
        digest.call_with(number["e164"], "refused")
        assert [c["sip_status"] for c in digest.calls(number["e164"]) if c["status"] != "completed"] == [407]
    finally:
        digest.admin.patch(f"/api/v1/providers/{digest.its_trunk['id']}",
                           json={"inbound": {"allowed_addresses": [], "credentials": {"username": USER, "password": PASSWORD}}})  # fmt: skip


def test_explain_knows_of_passwords(digest, answering):
    number = line(digest, answering.uri)
    explained = ok(digest.admin.get(f"/api/v1/numbers/{number['e164']}/explain", params={"from": "127.0.0.1"}), 200)
    assert explained["sip_status"] == 200
    assert "the caller proves to know the trunk's password" in [step["rule"] for step in explained["steps"]]


@pytest.mark.parametrize("at", [0, 1], ids=["md5", "sha-256"])
def test_each_algorithm_is_taken_once(digest, answering, at):
    number = line(digest, answering.uri)
    with Caller(digest.server.sip) as caller:
        first = caller.invite(number["e164"])
        challenge = challenges(first.final())[at]
        given = [("Proxy-Authorization", answer_to(challenge, first))]
        call = caller.invite(number["e164"], headers=given)
        assert call.final().status == 200
        call.bye()
        # The same again was overheard: the right password, but a nonce that was used.
        replayed = caller.invite(number["e164"], headers=given)
        assert all("stale=true" in value for value in challenges(replayed.final()))
        # Counted up, the nonce is good for another call; for another number it is not.
        other = line(digest, answering.uri)
        moved = caller.invite(other["e164"], headers=[("Proxy-Authorization", answer_to(challenge, first, nc=2))])
        assert all("stale" not in value for value in challenges(moved.final()))
        again = caller.invite(number["e164"], headers=[("Proxy-Authorization", answer_to(challenge, first, nc=2))])
        assert again.final().status == 200
        again.bye()


def test_strangers_learn_nothing_from_how_they_are_refused(digest, answering):
    number = line(digest, answering.uri)
    # An address of its own: rows for wrong passwords are rationed by it.
    with Caller(digest.server.sip, host="127.0.0.15") as caller:
        first = caller.invite(number["e164"])
        challenge = challenges(first.final())[0]
        seen = set()
        for more in ({"password": "wrong"}, {"user": "nobody"}, {"user": "nobody", "password": "x"}, {"user": ""}):
            refused = caller.invite(number["e164"], headers=[("Proxy-Authorization", answer_to(challenge, first, **more))])
            answer = refused.final()
            values = [re.sub('nonce="[^"]+"', "", value) for value in challenges(answer)]
            seen.add((answer.start, tuple(values), tuple(sorted(k.lower() for k, _ in answer.headers))))
        assert len(seen) == 1, seen
        for _ in range(20):
            refused = caller.invite(number["e164"], headers=[("Proxy-Authorization", answer_to(challenge, first, password="wrong"))])
            assert refused.final().status == 407
        # A number that nobody has is asked for like one that somebody has.
        assert caller.invite(new_number()).final().status == 407
        forged = re.sub('nonce="[^"]+"', 'nonce="Zm9yZ2VkZm9yZ2VkZm9yZ2VkZm9yZ2Vk"', answer_to(challenge, first))
        assert caller.invite(number["e164"], headers=[("Proxy-Authorization", forged)]).final().status == 407
        assert caller.invite(number["e164"], headers=[("Proxy-Authorization", "Digest x")]).final().status == 407
    assert answering.got("INVITE") == []
    # Of wrong passwords from one address two a second leave a row; a question that was not answered leaves none.
    digest.call_with(number["e164"], "refused")
    tried = digest.calls(number["e164"])
    assert 1 <= len(tried) <= 8 and {(c["sip_status"], c["provider_id"]) for c in tried} == {(407, digest.its_trunk["id"])}
    log = digest.server.log.read_text()
    assert PASSWORD not in log and number["e164"] not in log


def test_an_address_or_a_password_lets_a_call_in(digest, answering):
    inbound = {"allowed_addresses": ["127.0.0.4"], "credentials": {"username": "both", "password": "p"}}
    trunk = ok(digest.admin.post("/api/v1/providers", json={"kind": "sip_trunk", "label": "b", "inbound": inbound}), 201)
    number = digest.number(trunk=trunk, endpoint_id=digest.endpoint(answering.uri)["id"])
    with Caller(digest.server.sip, host="127.0.0.4") as caller:
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
    with Caller(digest.server.sip, host="127.0.0.5") as caller:
        first = caller.invite(number["e164"])
        challenge = challenges(first.final())[0]
        # Another trunk's password reaches that trunk's numbers only.
        given = [("Proxy-Authorization", answer_to(challenge, first))]
        assert caller.invite(number["e164"], headers=given).final().status == 404
        given = [("Proxy-Authorization", answer_to(challenge, first, user="both", password="p", nc=2))]
        call = caller.invite(number["e164"], headers=given)
        assert call.final().status == 200
        call.bye()
    wait_for(lambda: [c["status"] for c in digest.calls(number["e164"])].count("completed") == 2, "two calls")
    assert {c["provider_id"] for c in digest.calls(number["e164"]) if c["status"] == "completed"} == {trunk["id"]}


def test_a_carrier_that_needs_no_password_is_not_asked(digest, answering):
    open_trunk = digest.trunk("127.0.0.6")
    number = digest.number(trunk=open_trunk, endpoint_id=digest.endpoint(answering.uri)["id"])
    asked = line(digest, answering.uri)
    with Caller(digest.server.sip, host="127.0.0.6") as caller:
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        assert caller.invite(new_number()).final().status == 404
        # The number of a trunk that asks is reached by asking.
        first = caller.invite(asked["e164"])
        given = [("Proxy-Authorization", answer_to(challenges(first.final())[1], first))]
        call = caller.invite(asked["e164"], headers=given)
        assert call.final().status == 200
        call.bye()
        assert caller.options().status == 200
    with Caller(digest.server.sip, host="127.0.0.7") as stranger:
        call = stranger.invite(number["e164"])
        call.final()
        call.answer.headers.append(("Contact", "<sip:x@127.0.0.1>"))
        # In a dialog that is none, a stranger hears nothing.
        stranger.send(call.in_dialog("BYE"), stranger.edge)
        assert stranger.receive(0.5) is None


def test_a_user_name_that_others_have_too_keeps_no_trunk_out(digest, answering):
    number = line(digest, answering.uri)
    other = digest.server.tenant("namesake")
    for n in range(10):
        inbound = {"allowed_addresses": [], "credentials": {"username": USER, "password": f"guess {n}"}}
        ok(other.native.post("/api/v1/providers", json={"kind": "sip_trunk", "label": f"n{n}", "inbound": inbound}), 201)
    try:
        # A change puts the trunk behind its namesakes.
        ok(digest.admin.patch(f"/api/v1/providers/{digest.its_trunk['id']}", json={"label": "renamed"}), 200)
        with Caller(digest.server.sip) as caller:
            first = caller.invite(number["e164"])
            given = [("Proxy-Authorization", answer_to(challenges(first.final())[0], first))]
            call = caller.invite(number["e164"], headers=given)
            assert call.final().status == 200
            call.bye()
            # A namesake's password is not the trunk's.
            given = [("Proxy-Authorization", answer_to(challenges(caller.invite(number["e164"]).final())[0], first, password="guess 1"))]
            assert caller.invite(number["e164"], headers=given).final().status == 404
    finally:
        for trunk in other.pages("/api/v1/providers"):
            ok(other.native.delete(f"/api/v1/providers/{trunk['id']}"), 204)


def test_a_tenants_trunk_does_not_tell_who_holds_a_number(digest, answering):
    number = line(digest, answering.uri)
    other = digest.server.tenant("curious")
    other.trunk("127.0.0.10")
    with Caller(digest.server.sip, host="127.0.0.10") as caller:
        told = [caller.invite(dialled).final() for dialled in (number["e164"], new_number())]
        assert [answer.status for answer in told] == [407, 407]
        assert [len(challenges(answer)) for answer in told] == [2, 2]
    assert digest.calls(number["e164"]) == [] and other.pages("/api/v1/calls") == []


def test_a_caller_that_proved_itself_may_ask_whether_we_are_there(digest, answering):
    number = line(digest, answering.uri)
    with Caller(digest.server.sip, host="127.0.0.11") as stranger:
        with pytest.raises(AssertionError, match="an answer to OPTIONS"):
            stranger.options(seconds=1)
        first = stranger.invite(number["e164"])
        given = [("Proxy-Authorization", answer_to(challenges(first.final())[0], first))]
        call = stranger.invite(number["e164"], headers=given)
        assert call.final().status == 200
        call.bye()
        answer = stranger.options()
        assert answer.status == 200 and "INVITE" in answer.get("allow")


@pytest.mark.parametrize("side", ["inbound", "outbound"])
def test_a_user_name_that_clients_write_each_in_their_way_is_refused(digest, side):
    def body(name):
        credentials = {"username": name, "password": "p"}
        return {side: {"credentials": credentials} | ({"address": "c.example"} if side == "outbound" else {"allowed_addresses": []})}

    trunk = ok(digest.native.post("/api/v1/providers", json={"kind": "sip_trunk", "label": "q"} | body("plain")), 201)
    for name in ('a"b', "a\\b"):
        made = digest.native.post("/api/v1/providers", json={"kind": "sip_trunk", "label": "q"} | body(name))
        for refused in (made, digest.native.patch(f"/api/v1/providers/{trunk['id']}", json=body(name))):
            assert refused.status_code == 422 and f"{side}.credentials.username" in refused.json()["detail"], refused.text
    ok(digest.native.delete(f"/api/v1/providers/{trunk['id']}"), 204)


@pytest.mark.alone
def test_challenges_are_rationed(digest):
    with Caller(digest.server.sip, host="127.0.0.9") as stranger:
        began = time.monotonic()
        for _ in range(1000):
            stranger.invite(new_number())
        asked, took = set(), 0
        while message := stranger.receive(0.5):
            assert message.status == 407
            asked.add(message.get("call-id"))
            took = time.monotonic() - began
        # A hundred a second; the burst may touch three seconds, or more where this machine is slow.
        assert took < 7, "this machine is too slow to tell"
        assert 50 <= len(asked) <= 100 * (int(took) + 2), (len(asked), took)
        time.sleep(1.1)
        assert stranger.invite(new_number()).final().status == 407, "and whoever waits is asked"


@pytest.mark.alone
def test_a_flood_from_one_address_takes_nobody_elses_challenges(digest, answering):
    number = line(digest, answering.uri)
    stop = threading.Event()

    def flood():
        with Caller(digest.server.sip, host="127.0.0.12") as stranger:
            while not stop.is_set():
                stranger.invite("+12125550111")
                time.sleep(0.002)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        time.sleep(0.5)
        for _ in range(8):
            with Caller(digest.server.sip, host="127.0.0.13") as caller:
                # Answered without a repeat, which this caller never sends.
                first = caller.invite(number["e164"])
                given = [("Proxy-Authorization", answer_to(challenges(first.final(3))[0], first))]
                call = caller.invite(number["e164"], headers=given)
                assert call.final().status == 200
                call.bye()
            time.sleep(0.2)
    finally:
        stop.set()
        flooding.join()
    dropped = re.search(r'trunkline_sip_dropped_total{reason="unknown_source"} (\d+)', digest.server.admin.get("/metrics").text)
    assert int(dropped[1]) > 0, "the flood was more than is answered"


def test_without_a_trunk_that_asks_a_stranger_hears_nothing(server, carrier):
    with Caller(server.sip, host="127.0.0.8") as stranger:
        stranger.invite(new_number())
        assert stranger.receive(0.5) is None
