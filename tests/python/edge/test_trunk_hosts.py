"""Trunks whose callers are known by a host's name: whatever it resolves to."""

import time

from calls_kit import answering  # noqa: F401
from harness import ok, wait_for
from sip import Caller


def trunk(tenant, *sources, status=201):
    body = {"kind": "sip_trunk", "label": "by name", "inbound": {"allowed_addresses": list(sources)}}
    answer = tenant.admin.post("/api/v1/providers", json=body)
    return ok(answer, 201) if status == 201 else answer


def test_a_call_comes_in_from_where_a_name_leads(tenant, answering):  # noqa: F811
    made = trunk(tenant, "127.0.0.70", "LocalHost", "sip.carrier.invalid")
    assert made["inbound"]["allowed_addresses"] == ["127.0.0.70", "localhost", "sip.carrier.invalid"]
    number = tenant.number(trunk=made, endpoint_id=tenant.endpoint(answering.uri)["id"])
    explained = lambda: ok(tenant.admin.get(f"/api/v1/numbers/{number['e164']}/explain", params={"from": "127.0.0.1"}), 200)  # noqa: E731
    # A name that nobody knows keeps no other from being looked up.
    wait_for(lambda: explained()["outcome"] == "route", "the name is looked up", 15)
    for host in ("127.0.0.1", "127.0.0.70"):
        with Caller(tenant.server.sip, host=host) as caller:
            call = caller.invite(number["e164"])
            assert call.final().status == 200
            call.bye()
    # A tenant beside it that names the same host reaches its own numbers only.
    other = tenant.server.tenant("beside")
    theirs = other.number(trunk=trunk(other, "localhost"), endpoint_id=other.endpoint(answering.uri)["id"])
    with Caller(tenant.server.sip) as caller:

        def carried():
            call = caller.invite(theirs["e164"])
            if taken := call.final().status == 200:
                call.bye()
            return taken

        wait_for(carried, "the other's call", 15)
    assert other.call_with(theirs["e164"], "completed")["provider_id"] == other.read(theirs)["provider_id"]
    # Without the name the way is closed at once.
    ok(tenant.admin.patch(f"/api/v1/providers/{made['id']}", json={"inbound": {"allowed_addresses": ["127.0.0.70"]}}), 200)
    assert explained()["outcome"] == "refuse"


def test_an_endpoints_address_stays_so_whatever_a_name_leads_to(fresh, answering):  # noqa: F811
    tenant = fresh.start().tenant("owner")
    tenant.settings(imports="open")
    tenant.endpoint("sip:127.0.0.1:9", source_addresses=["127.0.0.1"])
    made = trunk(tenant, "localhost")
    number = tenant.number(trunk=made, endpoint_id=tenant.endpoint(answering.uri)["id"])
    time.sleep(2)
    explained = ok(tenant.admin.get(f"/api/v1/numbers/{number['e164']}/explain", params={"from": "127.0.0.1"}), 200)
    assert explained["outcome"] == "refuse", explained


def test_what_is_no_host_is_refused(tenant):
    for source in ("192.0.2.256", "192.0.2.1/33", "sip:carrier.example", "a..b", "-a.example", "a b"):
        refused = trunk(tenant, source, status=422)
        assert refused.status_code == 422 and "host names" in refused.json()["detail"], refused.text
    many = trunk(tenant, *(f"h{n}.example" for n in range(17)), status=422)
    assert many.status_code == 422 and "16" in many.json()["detail"], many.text
