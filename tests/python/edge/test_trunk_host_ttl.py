"""Hosts that trunks name are looked up again when their answers have aged, and not before; what DNS said last holds while it is away."""

import datetime
import time

import pytest
from calls_kit import answering  # noqa: F401
from dns_kit import A, AAAA, Dns
from harness import ok, wait_for
from registrar_kit import status
from sip import Caller

NAME = "sip.carrier.test"


@pytest.fixture
def dns():
    with Dns(ttl=2) as running:
        yield running


@pytest.fixture
def tenant(fresh, dns):
    fresh.arguments += ["--sip-dns", dns.setting]
    holder = fresh.start().tenant("by name")
    holder.settings(imports="open")
    return holder


def trunk(tenant):
    body = {"kind": "sip_trunk", "label": "by name", "inbound": {"allowed_addresses": [NAME]}}
    return ok(tenant.native.post("/api/v1/providers", json=body), 201)


def host(tenant, made):
    [shown] = status(tenant, made)["hosts"]
    assert shown["name"] == NAME
    return shown


def at(text):
    return datetime.datetime.fromisoformat(text)


def questions(dns):
    return sum(1 for asked in dns.asked if asked == (NAME, A))


def test_a_host_is_where_dns_says_for_as_long_as_it_says(tenant, dns, answering):  # noqa: F811
    dns.put(NAME, A, "127.0.0.71")
    dns.put(NAME, AAAA, "::1")
    made = trunk(tenant)
    number = tenant.number(trunk=made, endpoint_id=tenant.endpoint(answering.uri)["id"])
    wait_for(lambda: host(tenant, made)["addresses"] == ["127.0.0.71", "::1"], "both addresses")
    shown = host(tenant, made)
    # Two seconds are too short: the floor is five. A minute is not asked again within it.
    span = (at(shown["next_look_up_at"]) - at(shown["looked_up_at"])).total_seconds()
    assert 4.5 <= span <= 5.5 and shown["failing"] is False
    assert tenant.explain(number)["trunk"]["hosts"] == [shown]
    with Caller(tenant.server.sip, host="127.0.0.71") as caller:
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
    dns.put(NAME, A, "127.0.0.72")
    dns.put(NAME, AAAA)
    dns.ttl = 90_000
    wait_for(lambda: host(tenant, made)["addresses"] == ["127.0.0.72"], "the new address alone", 10)
    shown = host(tenant, made)
    # A day is too long: the ceiling is an hour.
    assert 3_590 <= (at(shown["next_look_up_at"]) - at(shown["looked_up_at"])).total_seconds() <= 3_601
    count = questions(dns)
    with Caller(tenant.server.sip, host="127.0.0.71") as former, Caller(tenant.server.sip, host="127.0.0.72") as caller:
        former.invite(number["e164"])
        assert not former.receive(0.5), "what is no longer said is nobody's"
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
    time.sleep(1.5)
    assert questions(dns) == count


def test_the_last_answer_holds_while_dns_is_away(tenant, dns, answering):  # noqa: F811
    dns.put(NAME, A, "127.0.0.73")
    made = trunk(tenant)
    number = tenant.number(trunk=made, endpoint_id=tenant.endpoint(answering.uri)["id"])
    wait_for(lambda: host(tenant, made)["addresses"], "its address")
    before = host(tenant, made)
    dns.silent = True
    wait_for(lambda: host(tenant, made)["failing"], "nobody answers", 15)
    shown = host(tenant, made)
    assert (shown["addresses"], shown["looked_up_at"]) == (before["addresses"], before["looked_up_at"])
    assert at(shown["next_look_up_at"]) > at(shown["looked_up_at"])
    with Caller(tenant.server.sip, host="127.0.0.73") as caller:
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
    dns.silent = False
    dns.put(NAME, A, "127.0.0.74")
    wait_for(lambda: host(tenant, made)["addresses"] == ["127.0.0.74"], "it is asked again", 15)
    assert host(tenant, made)["failing"] is False
    assert 'trunkline_trunk_host_lookups_total{result="failed"}' in tenant.server.anonymous.get("/metrics").text
