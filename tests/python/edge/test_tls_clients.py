"""Callers over TLS who show certificates: a trunk is known by the names in them, wherever its calls come from."""

import contextlib

import pytest
import sip
from harness import ok, while_up
from outbound_kit import CALLED, calling_number, trunk_to
from streams_kit import Authority, StreamCaller, calling, edge


@pytest.fixture(scope="module")
def callers(tmp_path_factory):
    """The authority of carriers' certificates."""
    return Authority(tmp_path_factory.mktemp("callers"), "carriers")


@pytest.fixture(scope="module")
def server(tmp_path_factory, authority, callers):
    running = edge(tmp_path_factory.mktemp("mtls"), authority, "TLS", arguments=["--sip-tls-client-ca", callers.path])
    with while_up(running):
        yield running


@pytest.fixture(scope="module")
def carrier(server):
    tenant = server.tenant()
    inbound = {"allowed_addresses": [], "certificate_names": ["sip.Carrier.example", "sip:other.example"]}
    body = {"kind": "sip_trunk", "label": "certified", "inbound": inbound}
    tenant.its_trunk = ok(tenant.admin.post("/api/v1/providers", json=body), 201)
    assert tenant.its_trunk["inbound"]["certificate_names"] == ["sip.carrier.example", "other.example"]
    return tenant


# What strangers hear.
SILENCE = None


def call_with(server, authority, pair, number, seconds=8):
    with StreamCaller("TLS", server.at["TLS"], calling(authority, pair)) as caller:
        call = caller.invite(number["e164"])
        try:
            answer = call.final(seconds)
        except AssertionError:
            return SILENCE
        if answer.status == 200:
            call.bye()
        return answer.status


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["sip.carrier.example"], 200),
        (["SIP.CARRIER.EXAMPLE"], 200),
        (["sip:other.example"], 200),
        (["sip:other.example", "sip.carrier.example"], 200),
        (["elsewhere.example"], SILENCE),
        (["*.carrier.example"], SILENCE),
        # Where there is a sip: name, it alone counts (RFC 5922 section 7.1).
        (["sip:elsewhere.example", "sip.carrier.example"], SILENCE),
        (["sip:alice@other.example"], SILENCE),
        (None, SILENCE),
    ],
)
def test_a_trunk_is_known_by_the_names_of_its_certificate(server, carrier, authority, callers, names, status):
    with sip.Agent() as agent:
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(agent.uri)["id"])
        pair = callers.issue(*names) if names else None
        assert call_with(server, authority, pair, number, 1 if status is SILENCE else 8) == status
        if status == 200:
            record = carrier.call_with(number["e164"], "completed")
            assert record["provider_id"] == carrier.its_trunk["id"]
            receipt = ok(carrier.admin.get(f"/api/v1/calls/{record['id']}"), 200)
            assert "the caller shows a certificate of the trunk" in str(receipt)
        else:
            assert agent.got("INVITE") == []


def test_the_same_address_without_the_certificate_is_nobody(server, carrier, callers):
    """A certificate proves one connection, not the place it came from."""
    with sip.Agent() as agent, sip.Caller(server.sip) as plain:
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(agent.uri)["id"])
        plain.invite(number["e164"])
        assert plain.receive(1) is None and agent.got("INVITE") == []


def test_a_certificate_of_another_authority_is_refused_in_the_handshake(server, carrier, authority, tmp_path):
    stranger = Authority(tmp_path, "stranger").issue("sip.carrier.example")
    with sip.Agent() as agent:
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(agent.uri)["id"])
        with contextlib.suppress(OSError):
            assert call_with(server, authority, stranger, number, 1) is SILENCE
        assert agent.got("INVITE") == []


def test_a_change_of_names_holds_from_the_next_call_on(server, carrier, authority, callers):
    inbound = {"allowed_addresses": [], "certificate_names": ["new.example"]}
    body = {"kind": "sip_trunk", "label": "changing", "inbound": inbound}
    trunk = ok(carrier.admin.post("/api/v1/providers", json=body), 201)
    path = f"/api/v1/providers/{trunk['id']}"
    with sip.Agent() as agent:
        number = carrier.number(trunk=trunk, endpoint_id=carrier.endpoint(agent.uri)["id"])
        pair = callers.issue("new.example")
        assert call_with(server, authority, pair, number) == 200
        # Absent keeps what is there.
        kept = ok(carrier.admin.patch(path, json={"inbound": {"allowed_addresses": ["192.0.2.1"]}}), 200)
        assert kept["inbound"]["certificate_names"] == ["new.example"]
        assert call_with(server, authority, pair, number) == 200
        ok(carrier.admin.patch(path, json={"inbound": inbound | {"certificate_names": []}}), 200)
        assert call_with(server, authority, pair, number, 1) is SILENCE


def test_explain_knows_of_certificates(carrier):
    with sip.Agent() as agent:
        number = carrier.number(trunk=carrier.its_trunk, endpoint_id=carrier.endpoint(agent.uri)["id"])
        path = f"/api/v1/numbers/{number['e164']}/explain"
        explained = ok(carrier.admin.get(path, params={"from": "203.0.113.9"}), 200)
        assert explained["sip_status"] == 200
        assert "the caller shows a certificate of the trunk" in [step["rule"] for step in explained["steps"]]


@pytest.mark.parametrize("name", ["", "carrier", "*.carrier.example", "192.0.2.1", "sip.carrier.example:5061", "sip:a@b.example", 7])
def test_what_is_no_domain_is_refused(carrier, name):
    inbound = {"allowed_addresses": [], "certificate_names": [name]}
    made = carrier.admin.post("/api/v1/providers", json={"kind": "sip_trunk", "label": "x", "inbound": inbound})
    assert made.status_code == 422 and "certificate_names" in made.json()["detail"], made.text


def test_where_certificates_are_required_nobody_else_gets_in(tmp_path, authority, callers):
    arguments = ["--sip-tls-client-ca", callers.path, "--sip-tls-client-auth", "require"]
    server = edge(tmp_path, authority, "TLS", arguments=arguments).start()
    try:
        tenant = server.tenant()
        tenant.its_trunk = tenant.trunk("127.0.0.1")
        with sip.Agent() as agent:
            number = tenant.number(trunk=tenant.its_trunk, endpoint_id=tenant.endpoint(agent.uri)["id"])
            assert call_with(server, authority, callers.issue("any.example"), number) == 200
            with contextlib.suppress(OSError):
                assert call_with(server, authority, None, number, 1) is SILENCE
            assert len(agent.got("INVITE")) == 1
    finally:
        server.stop()


def test_a_domain_that_another_says_its_trunk_has_turns_no_calls_out_round(server, authority, callers):
    home, other = server.tenant("home"), server.tenant("other")
    inbound = {"allowed_addresses": [], "certificate_names": ["agent.example"]}
    body = {"kind": "sip_trunk", "label": "trap", "inbound": inbound}
    ok(other.admin.post("/api/v1/providers", json=body), 201)
    with sip.Agent() as carrier:
        number, _ = calling_number(home, trunk_to(home, carrier))
        home.endpoint("sip:agent@127.0.0.29:5060", source_addresses=["127.0.0.29"])
        context = calling(authority, callers.issue("agent.example"))
        with StreamCaller("TLS", server.at["TLS"], context, host="127.0.0.29") as agent:
            call = agent.invite(CALLED, from_user=number["e164"])
            assert call.final().status == 200
            call.bye()
