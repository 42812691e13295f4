"""`--sip-private deny`: nothing of SIP is sent to addresses that are not public for whom that is not allowed, whatever names them."""

import time

import pytest
from calls_kit import line
from dns_kit import AAAA, NAPTR, SRV, A, Dns
from harness import Server, free_port, new_number, ok, wait_for, while_up
from outbound_kit import CALLED, calling_number, dial
from registrar_kit import Registrar, in_state, trunk
from sip import Agent, Caller

CAUSE = "private_address"


@pytest.fixture(scope="module")
def dns():
    with Dns(ttl=0) as running:
        running.put("we.test", A, "9.9.9.10")
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory, dns):
    """Its listeners are on loopback, where its callers are; others know it by an address and by a name."""
    running = Server(tmp_path_factory.mktemp("deny"), environment={"TRUNKLINE_SIP_PRIVATE": "deny"})
    running.arguments = ["--sip-dns", dns.setting, "--public-sip", f"9.9.9.9:{running.sip_port}", "--public-sip", f"we.test:{running.sip_port}"]
    running.arguments += ["--sip", f"udp:[::1]:{free_port()}", "--public-sip", "9.9.9.9:5060"]
    with while_up(running):
        yield running


@pytest.fixture(scope="module")
def open_tenant(server):
    """An organization to which the operator allows private addresses."""
    tenant = server.tenant("open")
    tenant.settings(sip_private="allow")
    tenant.its_trunk = tenant.trunk("127.0.0.2")
    return tenant


@pytest.fixture
def caller(server):
    with Caller(server.sip) as party:
        yield party


@pytest.fixture
def agent():
    with Agent() as party:
        yield party


def refused(caller, tenant, number):
    """A call finds no place to go to; gives the causes of its attempts."""
    answer = caller.invite(number["e164"]).final()
    assert answer.status == 503
    record = tenant.call_with(number["e164"], "failed")
    return [attempt["cause"] for attempt in record["attempts"]], record, answer


def problem(answer, field):
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["errors"][0]["field"] == field if "errors" in body else body["field"] == field, body
    assert "sip_private" in answer.text and "public" in answer.text
    return body


PRIVATE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[fd00::7]", "[::ffff:192.168.0.1]", "[64:ff9b::a00:1]", "100.64.0.1", "9.9.9.9", "localhost"]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused_where_it_is_written_and_the_field_is_named(carrier, host):
    targets = [{"uri": "sip:public.example"}, {"uri": f"sip:agent@{host}:5070"}]
    new = {"name": "x", "kind": "sip", "environment": "live", "targets": targets}
    problem(carrier.native.post("/api/v1/endpoints", json=new), "targets")
    for side, body in {
        "outbound": {"address": f"{host}:5070", "transport": "udp"},
        "register": {"registrar": host, "credentials": {"username": "u", "password": "p"}},
    }.items():
        made = {"kind": "sip_trunk", "label": "t", side: body}
        problem(carrier.native.post("/api/v1/providers", json=made), side)
        own = carrier.trunk("127.0.0.77")
        problem(carrier.native.patch(f"/api/v1/providers/{own['id']}", json={side: body}), side)
    answer = carrier.krosai.post("/v1/endpoints", json={"name": "x", "type": "custom_sip", "url": f"sip:{host}"})
    assert answer.status_code == 400 and "sip_private" in answer.text and answer.json()["details"]["field"] == "url", answer.text


def test_what_was_written_before_is_kept_and_can_be_changed_otherwise(server, agent):
    tenant = server.tenant()
    tenant.settings(sip_private="allow")
    made = tenant.endpoint(agent.uri)
    tenant.settings(sip_private=None)
    path = f"/api/v1/endpoints/{made['id']}"
    named = ok(tenant.native.patch(path, json={"name": "renamed", "targets": made["targets"]}), 200)
    assert named["name"] == "renamed" and named["targets"] == made["targets"]
    problem(tenant.native.patch(path, json={"targets": [*made["targets"], {"uri": "sip:127.0.0.1:9"}]}), "targets")


@pytest.mark.parametrize(("kind", "address"), [
    (A, "127.0.0.1"), (A, "10.0.0.1"), (A, "169.254.169.254"), (AAAA, "::1"), (AAAA, "fd00::1"), (AAAA, "fe80::1"),
    (AAAA, "::ffff:127.0.0.1"), (AAAA, "64:ff9b::7f00:1"), (A, "9.9.9.9"), (A, "9.9.9.10"), (AAAA, "64:ff9b::909:909"),
])  # fmt: skip
def test_a_name_that_leads_to_a_private_address_or_to_us_is_passed_over(carrier, caller, dns, agent, kind, address):
    name = f"to{address.replace(':', '-').replace('.', '-')}.test"
    dns.put(name, kind, address)
    number = line(carrier, f"sip:{name}:{agent.address[1]}")
    causes, record, answer = refused(caller, carrier, number)
    assert causes == [CAUSE] and agent.got("INVITE") == []
    assert "sip_private" in record["reason"] and "sip_private" in answer.get("reason")


def test_srv_and_naptr_lead_nowhere_private(carrier, caller, dns, agent):
    dns.put("naptr.test", NAPTR, (10, 1, "SIP+D2U", "_sip._udp.naptr.test"))
    dns.put("_sip._udp.naptr.test", SRV, (1, 1, agent.address[1], "inside.naptr.test"))
    dns.put("inside.naptr.test", A, "127.0.0.1")
    for uri in ("sip:naptr.test", "sip:naptr.test;transport=udp"):
        assert refused(caller, carrier, line(carrier, uri))[0] == [CAUSE]
    # A name of one part is the machine's own matter, and so are numbers that its library reads as addresses.
    for host in ("2130706433", "127.1"):
        assert refused(caller, carrier, line(carrier, f"sip:{host}:{agent.address[1]}"))[0][0] in (CAUSE, "name_not_found")
    assert agent.got("INVITE") == []


def test_of_a_host_with_several_addresses_the_public_ones_are_tried(carrier, caller, dns, agent):
    """The public one cannot be reached from a listener on loopback: that it was tried, and the other was not, is what counts."""
    dns.put("both.test", A, "127.0.0.1", "9.9.9.77")
    causes, record, _ = refused(caller, carrier, line(carrier, f"sip:both.test:{agent.address[1]}"))
    assert causes == ["transport"] and record["attempts"][0]["hop"].startswith("udp:9.9.9.77:") and agent.got("INVITE") == []


def test_a_name_that_means_another_address_a_moment_later_is_looked_at_again(carrier, caller, dns, agent):
    dns.put("rebound.test", A, "9.9.9.77")
    number = line(carrier, f"sip:rebound.test:{agent.address[1]}")
    assert refused(caller, carrier, number)[0] == ["transport"]
    dns.put("rebound.test", A, "127.0.0.1")
    time.sleep(5.2)  # an answer lasts that long at least
    wait_for(lambda: refused(caller, carrier, number)[0] == [CAUSE], "the new answer is used")
    assert agent.got("INVITE") == []


def test_the_operator_allows_it_to_one_organization_and_takes_it_back(server, open_tenant, dns):
    dns.put("shared.test", A, "127.0.0.1")
    with Agent() as agent, Caller(server.sip, host="127.0.0.2") as caller:
        number = line(open_tenant, f"sip:shared.test:{agent.address[1]}", agent.uri)
        call = caller.invite(number["e164"])
        assert call.final().status == 200
        call.bye()
        open_tenant.settings(sip_private="deny")
        try:
            causes, _, _ = refused(caller, open_tenant, number)
            assert causes == [CAUSE, CAUSE] and len(agent.got("INVITE")) == 1
            told = open_tenant.explain(number)
            # Where a name leads is not looked up for it.
            assert told["outcome"] == "route" and f"Passed over: {agent.uri} ({CAUSE})" in told["reason"]
            assert [uri.split("@")[1] for uri in told["targets"]] == [f"shared.test:{agent.address[1]}"]
            literal = line_at(open_tenant, agent)
        finally:
            open_tenant.settings(sip_private="allow")
        assert literal["outcome"] == "refuse" and literal["sip_status"] == 503 and "sip_private" in literal["reason"]
    bad = server.admin.patch(f"/api/v1/organizations/{open_tenant.id}", json={"settings": {"sip_private": "maybe"}})
    assert bad.status_code == 422 and "sip_private" in bad.text
    assert open_tenant.native.patch(f"/api/v1/organizations/{open_tenant.id}", json={"settings": {"sip_private": "allow"}}).status_code == 403


def line_at(tenant, agent):
    """What is explained of a number whose only target was private when that was allowed."""
    tenant.settings(sip_private="allow")
    number = line(tenant, agent.uri)
    tenant.settings(sip_private="deny")
    return tenant.explain(number)


def test_health_asks_nothing_private_and_tells_nothing_of_what_others_may_ask(server, carrier, open_tenant, dns, agent):
    dns.put("asked.test", A, "127.0.0.1")
    uri, health = f"sip:asked.test:{agent.address[1]}", {"enabled": True, "interval_seconds": 2}

    def target(tenant, id):
        return ok(tenant.native.get(f"/api/v1/endpoints/{id}/health"), 200)["targets"][0]

    closed = carrier.endpoint(uri, health=health)["id"]
    wait_for(lambda: target(carrier, closed)["state"] == "down", "it is down", 15)
    assert target(carrier, closed)["cause"] == CAUSE and agent.got("OPTIONS") == []
    opened = open_tenant.endpoint(uri, health=health)["id"]
    wait_for(lambda: target(open_tenant, opened)["state"] == "up", "it is up for whom it is allowed", 15)
    checked = target(carrier, closed)["checked_at"]
    wait_for(lambda: target(carrier, closed)["checked_at"] != checked, "both are asked again", 8)
    assert (target(carrier, closed)["state"], target(carrier, closed)["cause"]) == ("down", CAUSE)
    assert target(open_tenant, opened)["cause"] == "answered"


def test_calls_out_go_to_no_private_trunk(server, dns, platform, agent):
    dns.put("way.test", A, "127.0.0.1")
    tenant = server.tenant()
    out = ok(tenant.admin.post("/api/v1/providers", json={
        "kind": "sip_trunk", "label": "out", "inbound": {"allowed_addresses": ["127.0.0.98"]},
        "outbound": {"address": f"way.test:{agent.address[1]}", "transport": "udp"},
    }), 201)  # fmt: skip
    number, login = calling_number(tenant, out, endpoint_id=tenant.endpoint("sip:registered.invalid")["id"])
    answer = dial(platform, number, login).final()
    assert answer.status == 503
    record = tenant.call_with(number["e164"], "failed")
    assert [attempt["cause"] for attempt in record["attempts"]] == [CAUSE] and agent.got("INVITE") == []
    tenant.settings(sip_private="allow")
    call = dial(platform, number, login)
    assert call.final().status == 200
    call.bye()
    assert len(agent.got("INVITE")) == 1
    told = ok(tenant.admin.get(f"/api/v1/numbers/{number['e164']}/explain", params={"to": CALLED}), 200)
    assert told["outcome"] == "route"


def test_calls_that_an_api_begins_go_to_no_private_agent(server, dns, agent):
    dns.put("begun.test", A, "127.0.0.1")
    tenant = server.tenant()
    out = ok(tenant.admin.post("/api/v1/providers", json={
        "kind": "sip_trunk", "label": "out", "inbound": {"allowed_addresses": ["127.0.0.97"]},
        "outbound": {"address": "9.9.9.77:5060", "transport": "udp"},
    }), 201)  # fmt: skip
    number, _ = calling_number(tenant, out, endpoint_id=tenant.endpoint(f"sip:begun.test:{agent.address[1]}")["id"])
    call = ok(tenant.admin.post("/api/v1/calls", json={"from": number["e164"], "to": CALLED}), 201)
    record = wait_for(lambda: (r := ok(tenant.admin.get(f"/api/v1/calls/{call['id']}"))) and r["status"] == "failed" and r, "it failed")
    assert "The address of the agent is not public" in record["reason"] and agent.got("INVITE") == []


def test_no_trunk_registers_at_a_private_address(server, carrier, dns):
    with Registrar("127.0.0.66") as registrar:
        dns.put("registrar.test", A, "127.0.0.66")
        made = trunk(carrier, f"registrar.test:{registrar.address[1]}")
        assert CAUSE in in_state(carrier, made, "failing")["problem"] and registrar.asked == []
        ok(carrier.native.delete(f"/api/v1/providers/{made['id']}"))
        free = server.tenant()
        free.settings(sip_private="allow")
        ok(free.native.delete(f"/api/v1/providers/{in_order(free, registrar)['id']}"))


def in_order(tenant, registrar):
    made = trunk(tenant, f"registrar.test:{registrar.address[1]}")
    in_state(tenant, made, "registered")
    return made


def test_the_operators_own_trunk_may_be_anywhere(server, platform):
    with Agent() as way:
        host, port = way.address
        body = {"kind": "sip_trunk", "label": "operator", "inbound": {"allowed_addresses": ["127.0.0.96"]},
                "outbound": {"address": f"{host}:{port}", "transport": "udp"}}  # fmt: skip
        ok(server.admin.post("/api/v1/providers", json=body), 201)
        tenant = server.tenant()
        endpoint = tenant.endpoint("sip:registered.invalid")
        number = ok(tenant.admin.post("/api/v1/numbers", json={"stock_id": server.stock(e164=new_number())["id"], "endpoint_id": endpoint["id"]}), 201)
        tenant.patch(number, allow_outbound=True)
        given = ok(tenant.admin.post(f"/api/v1/numbers/{number['e164']}/sip-credentials"))
        call = dial(platform, number, (given["sip_username"], given["sip_password"]))
        assert call.final().status == 200
        call.bye()
        assert len(way.got("INVITE")) == 1


def test_a_server_on_loopback_calls_its_neighbours_without_being_told(tmp_path):
    with while_up(Server(tmp_path)) as server, Agent() as agent, Caller(server.sip) as caller:
        tenant = server.tenant()
        tenant.its_trunk = tenant.trunk("127.0.0.1")
        call = caller.invite(line(tenant, agent.uri)["e164"])
        assert call.final().status == 200
        call.bye()

