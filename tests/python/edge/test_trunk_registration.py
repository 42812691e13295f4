"""Trunks that register with their carriers: what the carrier hears, what the API shows, and whose calls come in by it."""

import re
import signal
import subprocess
import time

import pytest
from calls_kit import answering  # noqa: F401
from dns_kit import A, SRV, Dns
from harness import BINARY, Server, ok, wait_for
from outbound_kit import CALLED, Agent, Caller, calling_number, dial
from registrar_kit import Registrar, final, in_state, invite, status, trunk
from sip import Message, Peer, token


@pytest.fixture
def registrar():
    with Registrar() as running:
        yield running


def metrics(server, name):
    lines = server.anonymous.get("/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)}


def test_a_trunk_registers_and_its_carriers_calls_come_in(tenant, registrar, answering):  # noqa: F811
    made = trunk(tenant, registrar.place)
    assert made["register"] == {
        "registrar": registrar.place, "transport": "udp", "domain": None, "user": None, "username": "line7", "expires_seconds": 3600,
    }  # fmt: skip
    shown = in_state(tenant, made, "registered")
    first, second = registrar.registers
    assert first.get("authorization") is None and first.get("expires") == "3600" and first.uri == f"sip:{registrar.place}"
    assert first.get("to") == "<sip:line7@127.0.0.61>" and "outbound" in first.get("supported")
    assert [m.get("cseq") for m in (first, second)] == ["1 REGISTER", "2 REGISTER"] and first.get("call-id") == second.get("call-id")
    assert shown["contact"] == registrar.contact_uri and shown["registrar"] == f"udp:{registrar.place}"
    assert shown["problem"] is None and shown["failures"] == 0 and shown["next_attempt_at"] < shown["expires_at"]
    assert "pass 7" not in str(made) + str(shown) + tenant.server.last_log()
    assert metrics(tenant.server, "trunkline_sip_trunk_registers_total")['trunkline_sip_trunk_registers_total{result="accepted"}'] >= 1

    number = tenant.number(trunk=made, endpoint_id=tenant.endpoint(answering.uri)["id"])
    command = [BINARY, "explain", number["e164"], "--url", tenant.server.url, "--key", tenant.key("native")]
    told = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=15)
    assert told.returncode == 0 and re.search(r"trunk: registered until \S+, next try \S+\n", told.stdout), told
    explained = tenant.explain(number)
    assert explained["outcome"] == "route" and explained["trunk"]["registration"]["state"] == "registered"
    edge = tenant.server.sip
    # From where it has registered, the carrier may also dial the number itself.
    with Peer("127.0.0.61") as carrier:
        for target in (registrar.contact_uri, f"sip:{number['e164']}@{edge[0]}:{edge[1]}"):
            assert final(carrier, invite(carrier, target, number["e164"], edge)).status == 200
    # From elsewhere it is known by our Contact, and by nothing else.
    with Peer("127.0.0.62") as other:
        assert final(other, invite(other, registrar.contact_uri, number["e164"], edge)).status == 200
        wrong = registrar.contact_uri.replace("sip:tr", "sip:tr0")
        for target in (wrong, f"sip:{number['e164']}@{edge[0]}:{edge[1]}"):
            request = invite(other, target, number["e164"], edge)
            assert not other.receive(0.5), request
    # It may ask from there whether we are there, by the same name alone.
    with Caller(edge, host="127.0.0.62") as other:
        for target, answered in ((registrar.contact_uri, True), (wrong, False)):
            request = Message(f"OPTIONS {target} SIP/2.0", [
                ("Via", f"SIP/2.0/UDP {other.address[0]}:{other.address[1]};branch={token('z9hG4bK')}"), ("Max-Forwards", "70"),
                ("From", f"<sip:c@carrier.example>;tag={token()}"), ("To", f"<{target}>"), ("Call-ID", token("c")), ("CSeq", "1 OPTIONS"),
            ])  # fmt: skip
            other.send(request, edge)
            answer = other.receive(8 if answered else 0.5)
            assert (answer.status == 200) if answered else answer is None
    wait_for(lambda: len(tenant.calls(number["e164"])) >= 3, "the calls are on record")
    calls = tenant.calls(number["e164"])
    assert len(calls) == 3 and {c["provider_id"] for c in calls} == {made["id"]}
    receipts = [ok(tenant.native.get(f"/api/v1/calls/{c['id']}"), 200)["receipt"] for c in calls]
    by_contact = ["the caller calls what the trunk registered" in [step["rule"] for step in r["steps"]] for r in receipts]
    assert by_contact == [False, False, True]
    assert {c["to"] for c in calls} == {number["e164"]}, "the secret of our Contact is in no record"
    elsewhere = ok(tenant.admin.get(f"/api/v1/numbers/{number['e164']}/explain", params={"from": "127.0.0.99"}), 200)
    assert "the caller calls what the trunk registered" in [s["rule"] for s in elsewhere["steps"]]
    # A number of another trunk is not to be reached by this one's Contact.
    stranger = tenant.number(trunk=tenant.trunk("198.51.100.9"), endpoint_id=number["endpoint_id"])
    with Peer("127.0.0.62") as other:
        assert final(other, invite(other, registrar.contact_uri, stranger["e164"], edge)).status == 404


def test_a_trunk_that_goes_or_changes_tells_its_carrier(tenant):
    with Registrar("127.0.0.65") as registrar:
        changes(tenant, registrar)


def changes(tenant, registrar):
    made = trunk(tenant, registrar.place)
    in_state(tenant, made, "registered")
    count = len(registrar.registers)
    path = f"/api/v1/providers/{made['id']}"
    # What has nothing to do with it changes nothing; absent is not null.
    for body in ({"label": "another name"}, {"register": {"registrar": registrar.place}}):
        assert ok(tenant.native.patch(path, json=body), 200)["register"] == made["register"]
    time.sleep(0.3)
    assert len(registrar.registers) == count
    for wrong in (
        {"registrar": registrar.place, "user": "a@b"}, {"registrar": ""}, {"registrar": registrar.place, "transport": "ws"},
        {"registrar": registrar.place, "expires_seconds": 59}, {"registrar": registrar.place, "domain": "a b"}, {"domain": "a.example"},
        {"registrar": registrar.place, "password": "x"}, {"registrar": registrar.place, "credentials": {"username": "a"}},
        {"registrar": registrar.place, "credentials": None},
    ):  # fmt: skip
        refused = tenant.native.patch(path, json={"register": wrong})
        assert refused.status_code == 422 and "register" in refused.json()["detail"], refused.text
    # A user of its own: that is another address of record, and the former is taken away.
    changed = ok(tenant.native.patch(path, json={"register": {"registrar": registrar.place, "user": "+4930123", "domain": "carrier.example"}}), 200)
    assert (changed["register"]["user"], changed["register"]["domain"]) == ("+4930123", "carrier.example")
    gone = lambda aor: any(m.get("expires") == "0" and aor in m.get("to") and registrar.proves(m) for m in registrar.registers)  # noqa: E731
    wait_for(lambda: gone("sip:line7@127.0.0.65"), "the former is taken away")
    wait_for(lambda: any("<sip:+4930123@carrier.example>" == m.get("to") and registrar.proves(m) for m in registrar.registers), "the new one")
    in_state(tenant, made, "registered")
    back = ok(tenant.native.patch(path, json={"register": {"registrar": registrar.place, "user": None, "domain": None}}), 200)
    assert back["register"]["user"] is None and back["register"]["username"] == "line7"
    wait_for(lambda: gone("+4930123"), "null is not absent")
    in_state(tenant, made, "registered")
    # No sides are left: the trunk needs one.
    assert tenant.native.patch(path, json={"register": None}).status_code == 422
    ok(tenant.native.patch(path, json={"register": None, "inbound": {"allowed_addresses": ["198.51.100.3"]}}), 200)
    wait_for(lambda: registrar.contact_uri is None, "nothing is bound any more")
    assert status(tenant, made)["registration"] is None
    with Peer("127.0.0.65") as carrier:
        carrier.send(invite(carrier, f"sip:+14155550000@{tenant.server.sip[0]}", "+14155550000", tenant.server.sip), tenant.server.sip)
        assert not carrier.receive(0.5), "its address is nobody's any more"


def test_a_wrong_password_is_tried_once(tenant, registrar):
    registrar.password = "another"
    made = trunk(tenant, registrar.place)
    shown = in_state(tenant, made, "refused")
    assert shown["sip_status"] == 401 and "register.credentials" in shown["problem"] and shown["expires_at"] is None
    assert len(registrar.registers) == 2
    number = tenant.number(trunk=made)
    explained = tenant.explain(number)
    assert explained["trunk"]["registration"]["state"] == "refused" and "is not registered with its carrier" in explained["reason"]
    time.sleep(2)
    assert len(registrar.registers) == 2
    # Whoever sets the right one need not wait.
    body = {"register": {"registrar": registrar.place, "credentials": {"username": "line7", "password": "another"}}}
    ok(tenant.native.patch(f"/api/v1/providers/{made['id']}", json=body), 200)
    in_state(tenant, made, "registered")
    wait_for(lambda: metrics(tenant.server, "trunkline_sip_trunk_registrations").get('trunkline_sip_trunk_registrations{state="registered"}', 0) >= 1, "the count", 10)


def test_a_carrier_that_asks_for_longer_or_moved_is_obeyed(tenant, registrar):
    brief = lambda m: registrar.refuse(m, 423, ("Min-Expires", "7200")) if 0 < int(m.get("expires")) < 7200 else None  # noqa: E731
    registrar.said, registrar.granted = brief, 7200
    registrar.lines = [("Service-Route", "<sip:out.carrier.example;lr>")]
    with Registrar("127.0.0.63") as former:
        former.said = lambda m: former.refuse(m, 302, ("Contact", f"<sip:{registrar.place}>"))
        made = trunk(tenant, former.place)
        shown = in_state(tenant, made, "registered")
        assert shown["registrar"] == f"udp:{registrar.place}" and shown["service_route"] == ["<sip:out.carrier.example;lr>"]
        assert len(former.registers) == 1 and [m.get("expires") for m in registrar.registers] == ["3600", "7200", "7200"]
        ok(tenant.native.delete(f"/api/v1/providers/{made['id']}"), 204)
        wait_for(lambda: registrar.contact_uri is None, "it is taken away where it was made")


def test_calls_out_take_the_routes_that_the_carrier_names(tenant, registrar):
    tenant.settings(imports="open")
    with Agent(host="127.0.0.66") as proxy, Agent(host="127.0.0.67") as other, Caller(tenant.server.sip, host="127.0.0.23") as agent:
        route = f"<sip:{proxy.address[0]}:{proxy.address[1]};lr>"
        registrar.lines = [("Service-Route", f"{route}, <sip:second.carrier.example;lr>")]
        made = trunk(tenant, registrar.place)
        assert in_state(tenant, made, "registered")["service_route"] == [route, "<sip:second.carrier.example;lr>"]
        path = f"/api/v1/providers/{made['id']}"
        ok(tenant.native.patch(path, json={"outbound": {"address": registrar.place}}), 200)
        number, login = calling_number(tenant, made)
        call = dial(agent, number, login)
        assert call.final().status == 200
        invite = next(m for m in proxy.requests if m.method == "INVITE")
        assert invite.uri == f"sip:{CALLED}@{registrar.place}" and invite.routes("route") == [route, "<sip:second.carrier.example;lr>"]
        call.bye()
        assert not [m for m in registrar.asked if m.method == "INVITE"]
        # Calls that go elsewhere are not this carrier's to lead.
        ok(tenant.native.patch(path, json={"outbound": {"address": f"127.0.0.67:{other.address[1]}"}}), 200)
        call = dial(agent, number, login)
        assert call.final().status == 200 and other.requests[0].get("route") is None
        call.bye()


def test_a_failing_registrar_shows_when_it_is_asked_next(tenant, registrar):
    registrar.said = lambda m: registrar.refuse(m, 503, ("Retry-After", "600"))
    made = trunk(tenant, registrar.place)
    shown = in_state(tenant, made, "failing")
    assert (shown["sip_status"], shown["failures"]) == (503, 1) and shown["next_attempt_at"]
    assert "the trunk is failing" not in tenant.server.last_log()
    silent = trunk(tenant, "127.0.0.64:5060")
    assert status(tenant, silent)["registration"]["state"] == "registering"
    unknown = trunk(tenant, "no.such.invalid", transport="tcp")
    assert "looked up" in in_state(tenant, unknown, "failing", 12)["problem"]
    tls = trunk(tenant, "127.0.0.64:5061", transport="tls")
    assert "--sip" in in_state(tenant, tls, "failing")["problem"]


def test_a_registrar_by_name_a_restart_and_a_second_process(fresh, registrar, answering, tmp_path):  # noqa: F811
    with Dns(ttl=30) as dns:
        dns.put("carrier.test", A, "127.0.0.1")
        dns.put("_sip._udp.carrier.test", SRV, (10, 0, registrar.address[1], "proxy.carrier.test"))
        dns.put("proxy.carrier.test", A, registrar.address[0])
        fresh.arguments += ["--sip-dns", dns.setting]
        tenant = fresh.start().tenant("registers")
        tenant.settings(imports="open")
        made = trunk(tenant, "carrier.test")
        in_state(tenant, made, "registered")
        assert registrar.registers[-1].uri == "sip:carrier.test" and registrar.registers[-1].get("to") == "<sip:line7@carrier.test>"
        number = tenant.number(trunk=made, endpoint_id=tenant.endpoint(answering.uri)["id"])
        contact, instance = registrar.contact_uri, re.search(r"instance=\"([^\"]+)", registrar.registers[-1].get("contact"))[1]

        # A second process over the same store leaves it alone, and takes over when the first is gone.
        beside = Server(tmp_path, arguments=fresh.arguments)
        beside.admin_key = fresh.admin_key
        beside.start()
        try:
            shown = ok(beside.admin.get(f"/api/v1/providers/{made['id']}/status", headers={"x-organization-id": tenant.id}), 200)
            assert shown["registration"]["state"] == "elsewhere"
            count = len(registrar.registers)
            fresh.kill()
            wait_for(lambda: len(registrar.registers) > count and registrar.contact_uri != contact, "the second registers", 15)
            assert f":{beside.sip_port}" in registrar.contact_uri
            with Peer("127.0.0.62") as other:
                assert final(other, invite(other, registrar.contact_uri, number["e164"], beside.sip)).status == 200
        finally:
            beside.stop()
        assert registrar.contact_uri is None and registrar.registers[-1].get("expires") == "0", "a process that ends in order says so"

        fresh.start()
        wait_for(lambda: registrar.contact_uri == contact, "the same Contact as before the restart")
        assert instance in registrar.registers[-1].get("contact")
        with Peer("127.0.0.62") as other:
            assert final(other, invite(other, contact, number["e164"], fresh.sip)).status == 200
        fresh.process.send_signal(signal.SIGTERM)
        fresh.process.wait(10)
        assert registrar.contact_uri is None


def test_another_tenant_sees_nothing_of_it(tenant, registrar):
    made = trunk(tenant, registrar.place)
    other = tenant.server.tenant("nosy")
    assert other.native.get(f"/api/v1/providers/{made['id']}/status").status_code == 404
    assert tenant.server.anonymous.get(f"/api/v1/providers/{made['id']}/status").status_code == 401
    managed = ok(tenant.native.post("/api/v1/providers", json={"kind": "managed", "label": "stock"}), 201)
    assert status(tenant, managed) == {"registration": None, "hosts": []}
    body = {"kind": "managed", "label": "stock", "register": {"registrar": "a.example", "credentials": {"username": "a", "password": "b"}}}
    assert tenant.native.post("/api/v1/providers", json=body).status_code == 422
