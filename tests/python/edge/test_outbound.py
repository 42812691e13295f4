"""Calls out: an agent's INVITE goes to the carrier of its number, by the number's SIP credentials or from its endpoint's address."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from outbound_kit import CALLED, Agent, Caller, answer_to, calling_number, credentials_of, dial, trunk_to  # noqa: E402


@pytest.fixture(scope="module")
def home(server):
    tenant = server.tenant("home")
    tenant.settings(imports="open")
    return tenant


@pytest.fixture
def carrier():
    with Agent() as party:
        yield party


def user_of(header):
    return re.search(r"sip:([^@>]*)@", header)[1]


@pytest.mark.parametrize("algorithm", [0, 1], ids=["md5", "sha-256"])
def test_an_agent_calls_out_by_its_numbers_credentials(home, carrier, platform, algorithm):
    number, login = calling_number(home, trunk_to(home, carrier))
    shown = [("P-Asserted-Identity", "<sip:+442071838750@elsewhere>"), ("Identity", 'eyJ.a.b;info=<https://x>;alg=ES256')]
    call = dial(platform, number, login, headers=shown, algorithm=algorithm)
    assert call.final().status == 200
    [invite] = carrier.got("INVITE")
    host, port = carrier.address
    assert invite.uri == f"sip:{CALLED}@{host}:{port}"
    assert invite.get("from") == call.from_ and invite.get("to") == call.to, "byte for byte"
    assert invite.all("p-asserted-identity") == [f"<sip:{number['e164']}@{host}>"], "ours, and no other"
    assert invite.get("identity") == shown[1][1] and invite.all("proxy-authorization") == []
    record = home.call_with(number["e164"], "answered")
    assert (record["direction"], record["from"], record["to"]) == ("outbound", number["e164"], CALLED)
    call.bye()
    carrier.wait("BYE")
    record = home.call_with(number["e164"], "completed")
    assert record["ended_by"] == "caller" and [a["cause"] for a in record["attempts"]] == ["answered"]


def test_an_agent_calls_out_from_its_endpoints_address(home, carrier, server):
    number, _ = calling_number(home, trunk_to(home, carrier))
    home.endpoint("sip:agent@127.0.0.22:5060", source_addresses=["127.0.0.22"])
    with Caller(server.sip, host="127.0.0.22") as agent:
        call = agent.invite(CALLED, from_user=number["e164"])
        assert call.final().status == 200
        carrier.wait("ACK")
        carrier.send_bye(server.sip)
        bye = agent.receive_until(lambda m: m.method == "BYE", 5, "the carrier's BYE")
        agent.send(bye.reply(200, "OK"), agent.peer)
        # The identity says who calls where From does not.
        private = [("Privacy", "id"), ("P-Preferred-Identity", f"<sip:{number['e164']}@x>")]
        call = agent.invite(CALLED, from_user="anonymous", headers=private)
        assert call.final().status == 200
        call.bye()
    invite = carrier.got("INVITE")[-1]
    assert invite.get("privacy") == "id" and user_of(invite.get("p-asserted-identity")) == number["e164"]
    assert user_of(invite.get("from")) == "anonymous" and invite.all("p-preferred-identity") == []


def test_what_comes_from_a_trunks_address_comes_in(home, carrier, server):
    trunk = trunk_to(home, carrier, inbound="127.0.0.23")
    number, _ = calling_number(home, trunk)
    with Caller(server.sip, host="127.0.0.23") as trunk_side:
        assert trunk_side.invite(CALLED, from_user=number["e164"]).final().status == 404
    assert carrier.got("INVITE") == []
    assert home.call_with(CALLED, "refused")["direction"] == "inbound"
